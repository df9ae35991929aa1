//! Where distortions come from, and what a source charges for them.
//!
//! A live model spends an encoder and a decoder pass on every candidate count. A stored curve spends neither, but is
//! charged as if it had: a replayed search then reports the cost of the search it stands for. Only time cannot be
//! replayed.
use super::SearchError;
pub use engine::Encoding;

/// One block's distortion as a function of how many tokens it keeps.
///
/// An implementation answers; it does not count. [`Probe`](super::Probe) counts.
pub trait DistortionSource {
    /// The block's distortion (mean squared error in [-1, 1] after clipping) with each of the counts, in their order.
    ///
    /// The counts are distinct. One call is one step that the caller waits for: a live model reconstructs them
    /// together, in several parts where they do not fit its memory.
    ///
    /// # Errors
    /// [`SearchError::Reconstruction`] from a model, [`SearchError::NotMeasured`] from a stored curve.
    fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError>;

    /// FLOPs of that many evaluations of this block (a multiply-add is two).
    fn flops(&self, evaluations: &Evaluations) -> f64;

    /// Seconds this source has spent on the block so far; `None` when it only replays.
    fn seconds(&self) -> Option<f64>;

    /// When its encoder has to run.
    fn encoding(&self) -> Encoding {
        Encoding::PerCount
    }
}

/// Passes spent on one block, by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluations {
    /// Encoder passes of the search.
    pub encoder: usize,
    /// Decoder passes of the search: one a candidate.
    pub decoder: usize,
    /// Passes that fix the chosen count's keys and values for the blocks that follow (encoder and decoder).
    pub commit: usize,
    /// Passes that reconstruct the block with the chosen count, to check and measure it (encoder and decoder).
    pub final_reconstruction: usize,
}

/// What one pass of each kind costs where that does not depend on the count.
///
/// So it is in ElasticTok: dropped positions still attend and are attended to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FlopsPerEvaluation {
    /// FLOPs of an encoder pass.
    pub encoder: f64,
    /// FLOPs of a decoder pass.
    pub decoder: f64,
    /// FLOPs of a commit.
    pub commit: f64,
    /// FLOPs of a final reconstruction.
    pub final_reconstruction: f64,
}

impl FlopsPerEvaluation {
    /// FLOPs of all `evaluations`.
    pub fn total(&self, evaluations: &Evaluations) -> f64 {
        self.encoder * evaluations.encoder as f64
            + self.decoder * evaluations.decoder as f64
            + self.commit * evaluations.commit as f64
            + self.final_reconstruction * evaluations.final_reconstruction as f64
    }
}
