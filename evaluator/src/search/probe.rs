//! The only way a strategy sees a block, and the only place where its cost is counted.
//!
//! Two strategies with the same number of evaluations may differ in time: sixteen counts asked in one batch keep a
//! GPU busy once, sixteen asked one after another make it wait sixteen times. So the probe reports the *sequential
//! depth* (calls that had to wait for the model) and the largest batch beside the evaluations.
use std::collections::{HashMap, HashSet};

use super::{DistortionSource, Encoding, Evaluations, SearchError};
use engine::TokenRange;

/// One block, open to questions about its distortion. Make a new one for every block.
pub struct Probe<'a> {
    source: &'a mut dyn DistortionSource,
    range: TokenRange,
    seconds_before: Option<f64>,
    known: HashMap<usize, f64>,
    trace: Vec<(usize, f64)>,
    evaluations: Evaluations,
    sequential_depth: usize,
    largest_batch: usize,
}

/// What was spent on one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Passes, by what they were for.
    pub evaluations: Evaluations,
    /// Calls that had to wait for the source, one after another, whatever the size of their batches.
    pub sequential_depth: usize,
    /// Counts in the largest of these batches.
    pub largest_batch: usize,
    /// FLOPs of all evaluations.
    pub flops: f64,
    /// The source's seconds since the probe was made; `None` when the search was replayed.
    pub seconds: Option<f64>,
}

impl<'a> Probe<'a> {
    /// Opens a block for questions about the counts of `range`, counting from zero.
    pub fn new(source: &'a mut dyn DistortionSource, range: TokenRange) -> Self {
        let seconds_before = source.seconds();
        Self {
            source,
            range,
            seconds_before,
            known: HashMap::new(),
            trace: Vec::new(),
            evaluations: Evaluations::default(),
            sequential_depth: 0,
            largest_batch: 0,
        }
    }

    /// The counts that may be asked for.
    pub fn range(&self) -> TokenRange {
        self.range
    }

    /// The block's distortion with `kept_tokens` tokens. See [`distortions`](Self::distortions).
    ///
    /// # Errors
    /// As [`distortions`](Self::distortions).
    pub fn distortion(&mut self, kept_tokens: usize) -> Result<f64, SearchError> {
        Ok(self.distortions(&[kept_tokens])?[0])
    }

    /// The block's distortions with each of the counts, in their order, from one batch.
    ///
    /// A count that was asked before, in this call or an earlier one, is answered from memory and costs nothing; a
    /// call answered wholly from memory adds no depth.
    ///
    /// # Errors
    /// [`SearchError::NotFinite`] for a NaN or infinite distortion, and whatever the source reports. What the source
    /// spent on a batch with a distortion that is not finite stays counted.
    ///
    /// # Panics
    /// If a count is outside the range, or the source does not give one distortion a count.
    pub fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError> {
        let fresh = self.fresh(kept_tokens);
        if !fresh.is_empty() {
            let distortions = self.source.distortions(&fresh)?;
            self.count(fresh.len());
            self.remember(&fresh, &distortions)?;
        }
        Ok(kept_tokens.iter().map(|count| self.known[count]).collect())
    }

    /// Every count asked for with its distortion, in the order asked, each once.
    pub fn trace(&self) -> &[(usize, f64)] {
        &self.trace
    }

    /// Counts the pass that fixes the chosen count's keys and values for the following blocks.
    pub fn count_commit(&mut self) {
        self.evaluations.commit += 1;
    }

    /// Counts the pass that reconstructs the block with the chosen count.
    pub fn count_final_reconstruction(&mut self) {
        self.evaluations.final_reconstruction += 1;
    }

    /// What was spent so far.
    pub fn cost(&self) -> Cost {
        Cost {
            evaluations: self.evaluations,
            sequential_depth: self.sequential_depth,
            largest_batch: self.largest_batch,
            flops: self.source.flops(&self.evaluations),
            seconds: self.source.seconds().zip(self.seconds_before).map(|(now, before)| now - before),
        }
    }

    /// The counts not asked before, each once, in order.
    fn fresh(&self, kept_tokens: &[usize]) -> Vec<usize> {
        let (min, max) = (self.range.min(), self.range.max());
        for &count in kept_tokens {
            assert!(
                self.range.contains(count),
                "a strategy asked for {count} kept tokens, outside the block's {min}..={max}"
            );
        }
        let mut seen = HashSet::new();
        let is_fresh = |count: &usize| !self.known.contains_key(count) && seen.insert(*count);
        kept_tokens.iter().copied().filter(is_fresh).collect()
    }

    fn count(&mut self, batch: usize) {
        self.evaluations.decoder += batch;
        self.evaluations.encoder += match self.source.encoding() {
            Encoding::PerCount => batch,
            Encoding::Once => usize::from(self.evaluations.encoder == 0),
        };
        self.sequential_depth += 1;
        self.largest_batch = self.largest_batch.max(batch);
    }

    fn remember(&mut self, kept_tokens: &[usize], distortions: &[f64]) -> Result<(), SearchError> {
        assert_eq!(distortions.len(), kept_tokens.len(), "a distortion source must answer every count it is asked for");
        for (&kept_tokens, &distortion) in kept_tokens.iter().zip(distortions) {
            if !distortion.is_finite() {
                return Err(SearchError::NotFinite { kept_tokens, distortion });
            }
            self.known.insert(kept_tokens, distortion);
            self.trace.push((kept_tokens, distortion));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, range};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn evaluations_are_distinct_counts_and_depth_is_calls_that_asked_something_new(
            batches in prop::collection::vec(prop::collection::vec(5_usize..=20, 0..6), 0..8),
        ) {
            let mut source = Curve(|kept_tokens| 1.0 / kept_tokens as f64);
            let mut probe = Probe::new(&mut source, range(5, 20));
            let (mut asked, mut depth, mut largest) = (Vec::new(), 0, 0);
            for batch in &batches {
                let answers = probe.distortions(batch).unwrap();
                prop_assert_eq!(answers, batch.iter().map(|&count| 1.0 / count as f64).collect::<Vec<_>>());
                let before = asked.len();
                for &count in batch {
                    if !asked.contains(&count) {
                        asked.push(count);
                    }
                }
                depth += usize::from(asked.len() > before);
                largest = largest.max(asked.len() - before);
            }
            let cost = probe.cost();
            let expected = Evaluations { encoder: asked.len(), decoder: asked.len(), ..Evaluations::default() };
            prop_assert_eq!(cost.evaluations, expected);
            prop_assert_eq!(cost.sequential_depth, depth);
            prop_assert_eq!(cost.largest_batch, largest);
            prop_assert_eq!(probe.trace().iter().map(|&(count, _)| count).collect::<Vec<_>>(), asked);
        }
    }

    #[test]
    fn commits_and_final_reconstructions_are_counted_and_charged() {
        let mut source = Curve(|_| 0.5);
        let mut probe = Probe::new(&mut source, range(1, 8));
        probe.distortions(&[2, 4, 2]).unwrap();
        probe.count_commit();
        probe.count_final_reconstruction();
        let cost = probe.cost();
        assert_eq!(cost.evaluations, Evaluations { encoder: 2, decoder: 2, commit: 1, final_reconstruction: 1 });
        // The test curve charges 1 FLOP an encoder pass, 10 a decoder pass, 100 a commit, 1000 a final one.
        assert_eq!(cost.flops, 1122.0);
    }

    /// A live model that takes half a second a count, and whose encoder does not see the count.
    struct Matryoshka {
        seconds: f64,
    }

    impl DistortionSource for Matryoshka {
        fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError> {
            self.seconds += 0.5 * kept_tokens.len() as f64;
            Ok(vec![0.1; kept_tokens.len()])
        }

        fn flops(&self, _: &Evaluations) -> f64 {
            0.0
        }

        fn seconds(&self) -> Option<f64> {
            Some(self.seconds)
        }

        fn encoding(&self) -> Encoding {
            Encoding::Once
        }
    }

    #[test]
    fn seconds_are_those_since_the_probe_was_made() {
        let mut source = Matryoshka { seconds: 5.0 };
        let mut probe = Probe::new(&mut source, range(1, 8));
        assert_eq!(probe.cost().seconds, Some(0.0));
        probe.distortions(&[3, 4, 3]).unwrap();
        probe.distortion(4).unwrap();
        assert_eq!(probe.cost().seconds, Some(1.0));
    }

    #[test]
    fn a_model_that_encodes_once_is_charged_one_encoder_pass_a_block() {
        let mut source = Matryoshka { seconds: 0.0 };
        let mut probe = Probe::new(&mut source, range(1, 8));
        assert_eq!(probe.cost().evaluations.encoder, 0);
        probe.distortions(&[1, 2, 3]).unwrap();
        probe.distortion(4).unwrap();
        let evaluations = probe.cost().evaluations;
        assert_eq!((evaluations.encoder, evaluations.decoder), (1, 4));
    }

    #[test]
    fn a_distortion_that_is_not_finite_is_an_error_naming_the_count_and_stays_paid_for() {
        for broken in [f64::NAN, f64::INFINITY] {
            let mut source = Curve(move |kept_tokens| if kept_tokens == 6 { broken } else { 0.1 });
            let mut probe = Probe::new(&mut source, range(1, 8));
            let error = probe.distortions(&[5, 6, 7]).unwrap_err();
            assert!(matches!(error, SearchError::NotFinite { kept_tokens: 6, .. }), "{error}");
            assert!(error.to_string().contains("with 6 kept tokens"), "{error}");
            assert_eq!(probe.cost().evaluations.decoder, 3);
        }
    }

    #[test]
    #[should_panic(expected = "a strategy asked for 9 kept tokens, outside the block's 1..=8")]
    fn a_count_outside_the_range_is_a_broken_strategy() {
        let _ = Probe::new(&mut Curve(|_| 0.1), range(1, 8)).distortion(9);
    }
}
