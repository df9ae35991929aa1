//! Answers a search from a distortion curve measured earlier.
//!
//! Measuring every count of a block once lets any strategy and threshold be tried on it in microseconds. That is
//! sound only behind the same history: the curve of a video's block holds for the kept counts its earlier blocks had.
use std::collections::BTreeMap;

use super::{DistortionSource, Encoding, Evaluations, FlopsPerEvaluation, SearchError};

/// A stored curve of one block, charged as the live model would be.
#[derive(Clone, Debug)]
pub struct Replay {
    curve: BTreeMap<usize, f64>,
    flops: FlopsPerEvaluation,
    encoding: Encoding,
}

impl Replay {
    /// Replays the points `(kept_tokens, distortion)` of a curve of a model that costs `flops` and encodes as
    /// `encoding` says.
    pub fn new(curve: impl IntoIterator<Item = (usize, f64)>, flops: FlopsPerEvaluation, encoding: Encoding) -> Self {
        Self { curve: curve.into_iter().collect(), flops, encoding }
    }
}

impl DistortionSource for Replay {
    fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError> {
        let points = self.curve.len();
        kept_tokens
            .iter()
            .map(|&kept_tokens| {
                self.curve.get(&kept_tokens).copied().ok_or(SearchError::NotMeasured { kept_tokens, points })
            })
            .collect()
    }

    fn flops(&self, evaluations: &Evaluations) -> f64 {
        self.flops.total(evaluations)
    }

    fn seconds(&self) -> Option<f64> {
        None
    }

    fn encoding(&self) -> Encoding {
        self.encoding
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, prediction, range, strategies};
    use super::super::{Probe, Question, SearchStrategy as _};
    use super::*;

    fn wavy(kept_tokens: usize) -> f64 {
        1.0 / kept_tokens as f64 + 0.02 * (kept_tokens as f64).sin()
    }

    #[test]
    fn replay_and_live_agree_on_everything_but_time() {
        let range = range(3, 70);
        for strategy in strategies() {
            for threshold in [0.0, 0.02, 0.05, 0.2, 1.0] {
                let mut live = Curve(wavy);
                let mut probe = Probe::new(&mut live, range);
                let prediction = prediction(range);
                let question = Question { prediction: Some(&prediction), ..Question::new(threshold) };
                let found = strategy.search(&question, &mut probe).unwrap();
                let (cost, trace) = (probe.cost(), probe.trace().to_vec());

                let curve = (3..=70).map(|kept_tokens| (kept_tokens, wavy(kept_tokens)));
                let mut replay = Replay::new(curve, Curve::<fn(usize) -> f64>::FLOPS, Encoding::PerCount);
                let mut probe = Probe::new(&mut replay, range);
                assert_eq!(strategy.search(&question, &mut probe).unwrap(), found, "{}", strategy.name());
                assert_eq!(probe.trace(), trace);
                assert_eq!(probe.cost(), super::super::Cost { seconds: None, ..cost });
            }
        }
    }

    #[test]
    fn a_count_the_curve_lacks_is_an_error_naming_it() {
        let mut replay = Replay::new([(1, 0.3), (8, 0.1)], FlopsPerEvaluation::default(), Encoding::PerCount);
        let mut probe = Probe::new(&mut replay, range(1, 8));
        let error = super::super::Full.search(&Question::new(0.2), &mut probe).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the stored curve holds 2 counts but not 2: measure that count, or run the search live"
        );
    }
}
