//! How few tokens reconstruct a block within a distortion threshold?
//!
//! The answer costs reconstructions: to learn the distortion at one count, the block is encoded and decoded with that
//! count. A [`SearchStrategy`] decides which counts to try; it sees the model only through a [`Probe`], which counts
//! what was spent, so that «evaluations» means the same for every strategy, live or replayed from a stored curve.
//!
//! Distortion usually falls when more tokens are kept, but nothing forces it to: each strategy therefore states what
//! it promises on *any* curve ([`SearchStrategy::guarantee`]).
//!
//! To add a strategy: write its file, with a `FORM`; declare the file and list the `FORM` in [`FORMS`] below.
use engine::TokenRange;

mod audit;
mod binary;
mod binary_release;
mod binned;
mod bracket;
mod error;
mod fixed;
mod full;
mod guess;
mod interpolate;
mod kary;
mod parse;
mod prediction;
mod probe;
mod regression;
mod replay;
mod source;
mod target_length;
#[cfg(test)]
mod tests;
mod warm_start;

pub use audit::{Audit, BisectionLoss, audit, bisection_loss};
pub use binary::Binary;
pub use binary_release::BinaryRelease;
pub use binned::Binned;
pub use error::SearchError;
pub use fixed::Fixed;
pub use full::Full;
pub use guess::Guess;
pub use interpolate::Interpolate;
pub use kary::Kary;
pub use parse::{Form, parse};
pub use prediction::{Asked, Feature, Prediction, Predictor, ln_distortion};
pub use probe::{Cost, Probe};
pub use regression::{Regression, RegressionVerified};
pub use replay::Replay;
pub use source::{DistortionSource, Encoding, Evaluations, FlopsPerEvaluation};
pub use target_length::TargetLength;
pub use warm_start::WarmStart;

/// Every strategy an experiment can name, in the order shown to people.
pub const FORMS: &[Form] = &[
    full::FORM,
    binned::FORM,
    binary::FORM,
    binary_release::FORM,
    kary::FORM,
    interpolate::FORM,
    warm_start::FORM,
    regression::FORM,
    regression::VERIFIED_FORM,
    guess::FORM,
    fixed::FORM,
    target_length::FORM,
];

/// What a search is asked about one block, and what is known before the model is.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The largest acceptable distortion. Ignored where [`SearchStrategy::needs_threshold`] is false.
    pub threshold: f64,
    /// The answer for the block before, if there is one: of a video, or the previous crop of the same photograph.
    pub previous: Option<usize>,
    /// What the predictor that [`SearchStrategy::asks`] names expects of this block.
    pub prediction: Option<&'a Prediction>,
}

impl Question<'_> {
    /// A threshold, and nothing known.
    pub fn new(threshold: f64) -> Self {
        Self { threshold, previous: None, prediction: None }
    }

    /// The prediction.
    ///
    /// # Panics
    /// If there is none: whoever asks a strategy gives it what it [asks](SearchStrategy::asks) for.
    fn predicted(&self) -> &Prediction {
        self.prediction.expect("a strategy is given the prediction that it asks for")
    }
}

/// A way to choose how many tokens of a block to keep.
pub trait SearchStrategy: std::fmt::Debug + Send + Sync {
    /// Its canonical name, which [`parse`] reads back: `full`, `binned(16)`, `fixed(0.25)`.
    fn name(&self) -> String;

    /// What it promises about its answer on any curve, in one sentence.
    fn guarantee(&self) -> &'static str;

    /// Whether the answer depends on the threshold. A strategy of which it does not is still asked for each: whether its
    /// answer meets them differs.
    fn needs_threshold(&self) -> bool {
        true
    }

    /// The predictor whose [`Prediction`] the question must hold, if any.
    fn asks(&self) -> Option<Asked> {
        None
    }

    /// The most evaluations that a search of one block of this range can cost: what a plan counts with.
    fn most_evaluations(&self, range: TokenRange) -> usize;

    /// Chooses a count of [`Probe::range`] for the block behind `probe`.
    ///
    /// # Errors
    /// What the probe's source reports: a distortion that is not finite, a count its curve lacks, a failed model.
    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError>;
}

/// The answer to a search. What it cost is in [`Probe::cost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Tokens to keep; all of them when nothing was seen to meet the threshold.
    pub kept_tokens: usize,
    /// Whether `kept_tokens` was seen to meet the threshold; `None` when the search did not look, so that only the
    /// final reconstruction can tell.
    pub met: Option<bool>,
}

impl Found {
    /// `kept_tokens` was seen to meet the threshold.
    pub fn meeting(kept_tokens: usize) -> Self {
        Self { kept_tokens, met: Some(true) }
    }

    /// Nothing that was tried met the threshold: keep all tokens.
    pub fn nothing_meets(range: TokenRange) -> Self {
        Self { kept_tokens: range.max(), met: Some(false) }
    }
}

/// Whether a distortion is within the threshold. Equality meets it.
pub fn meets(distortion: f64, threshold: f64) -> bool {
    distortion <= threshold
}
