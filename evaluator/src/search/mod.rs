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
mod binned;
mod error;
mod fixed;
mod full;
mod parse;
mod probe;
mod replay;
mod source;
#[cfg(test)]
mod tests;

pub use audit::{Audit, BisectionLoss, audit, bisection_loss};
pub use binary::Binary;
pub use binned::Binned;
pub use error::SearchError;
pub use fixed::Fixed;
pub use full::Full;
pub use parse::{Form, parse};
pub use probe::{Cost, Probe};
pub use replay::Replay;
pub use source::{DistortionSource, Encoding, Evaluations, FlopsPerEvaluation};

/// Every strategy an experiment can name, in the order shown to people.
pub const FORMS: &[Form] = &[full::FORM, binned::FORM, binary::FORM, fixed::FORM];

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

    /// The most evaluations that a search of one block of this range can cost: what a plan counts with.
    fn most_evaluations(&self, range: TokenRange) -> usize;

    /// Chooses a count of [`Probe::range`] for the block behind `probe`.
    ///
    /// `threshold` is the largest acceptable distortion (mean squared error in [-1, 1]); it is ignored where
    /// [`needs_threshold`](Self::needs_threshold) is false.
    ///
    /// # Errors
    /// What the probe's source reports: a distortion that is not finite, a count its curve lacks, a failed model.
    fn search(&self, threshold: f64, probe: &mut Probe<'_>) -> Result<Found, SearchError>;
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
