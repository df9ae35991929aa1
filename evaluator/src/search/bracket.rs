//! What a search by comparison knows: a count that misses the threshold, one that meets it, and what lies between.
//!
//! Every exact strategy narrows a [`Bracket`] and differs only in which count it asks next. The invariant makes all of
//! them right on any curve: the answer was seen to meet the threshold, and one token fewer was seen to miss it (or is
//! below the range). Where distortion falls there is only one such count, the smallest that meets.
use super::{Found, Probe, SearchError, meets};
use engine::TokenRange;

/// What every strategy that narrows a bracket promises.
pub(super) const GUARANTEE: &str = "As binary: the smallest count that meets the threshold where distortion falls; on \
                                    any curve a count seen to meet it while one token fewer was seen to miss, and all \
                                    tokens only if even they miss it.";

/// The counts not yet decided, between one that misses and one that meets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bracket {
    range: TokenRange,
    /// Seen to miss, or one below the range.
    misses: usize,
    /// Seen to meet, or one above the range.
    meets: usize,
}

impl Bracket {
    pub(super) fn new(range: TokenRange) -> Self {
        Self { range, misses: range.min() - 1, meets: range.max() + 1 }
    }

    /// The smallest and the largest undecided count; `None` once the answer is known.
    pub(super) fn open(&self) -> Option<(usize, usize)> {
        (self.misses + 1 < self.meets).then(|| (self.misses + 1, self.meets - 1))
    }

    /// The undecided count nearest to `count`.
    pub(super) fn nearest(&self, count: usize) -> Option<usize> {
        self.open().map(|(low, high)| count.clamp(low, high))
    }

    /// Asks an undecided count; returns its distortion.
    pub(super) fn ask(&mut self, count: usize, threshold: f64, probe: &mut Probe<'_>) -> Result<f64, SearchError> {
        Ok(self.ask_all(&[count], threshold, probe)?[0])
    }

    /// Asks undecided counts, rising, as one batch; returns their distortions.
    pub(super) fn ask_all(
        &mut self,
        counts: &[usize],
        threshold: f64,
        probe: &mut Probe<'_>,
    ) -> Result<Vec<f64>, SearchError> {
        let distortions = probe.distortions(counts)?;
        let first = distortions.iter().position(|distortion| meets(*distortion, threshold));
        if let Some(first) = first {
            self.meets = counts[first];
        }
        if let Some(before) = first.unwrap_or(counts.len()).checked_sub(1) {
            self.misses = counts[before];
        }
        Ok(distortions)
    }

    /// The smallest count seen to meet, or all tokens.
    pub(super) fn found(&self) -> Found {
        match self.range.contains(self.meets) {
            true => Found::meeting(self.meets),
            false => Found::nothing_meets(self.range),
        }
    }
}
