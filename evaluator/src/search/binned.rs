//! Tries a log-spaced grid of counts: a fixed price, known before the search.
//!
//! Distortion falls roughly as a power of the count, so equal *ratios* between counts are equal steps of quality.
//! The released ElasticTok code calls this search «linear».
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy, meets, parse::one_argument};
use engine::TokenRange;

pub(super) const FORM: Form = Form {
    syntax: "binned(k)",
    example: "binned(16)",
    build: |arguments| match one_argument(arguments, "a whole number of counts")? {
        counts @ 0..2 => Err(format!("k is {counts}, but a grid needs at least 2 counts, its two ends")),
        counts => Ok(Box::new(Binned::new(counts))),
    },
};

/// A log-spaced grid from the minimum to all tokens, as one batch.
#[derive(Clone, Copy, Debug)]
pub struct Binned {
    counts: usize,
}

impl Binned {
    /// A grid of at most `counts` counts.
    ///
    /// # Panics
    /// If `counts < 2`: a grid holds both ends of the range.
    pub fn new(counts: usize) -> Self {
        assert!(counts >= 2, "a grid holds both ends of the range, {counts} counts cannot");
        Self { counts }
    }

    /// The grid: ascending distinct counts with both ends of `range`; `min(counts, range.len())` of them.
    ///
    /// Each step closes an equal ratio of what is left up to the maximum, and at least one token. Where the ratio is
    /// smaller than a token the grid is therefore dense, and the counts this saves are spread over the rest.
    pub fn grid(&self, range: TokenRange) -> Vec<usize> {
        let (mut count, max) = (range.min(), range.max());
        let mut grid = vec![count];
        for steps_left in (1..self.counts.min(range.len())).rev() {
            let ratio = (max as f64 / count as f64).powf(1.0 / steps_left as f64);
            count = ((count as f64 * ratio).round() as usize).max(count + 1);
            grid.push(count);
        }
        grid
    }
}

impl SearchStrategy for Binned {
    fn name(&self) -> String {
        format!("binned({})", self.counts)
    }

    fn guarantee(&self) -> &'static str {
        "The smallest count of its grid that meets the threshold, whatever the curve; all tokens only if none of the \
         grid does."
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        self.grid(range).len()
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let grid = self.grid(probe.range());
        let distortions = probe.distortions(&grid)?;
        let smallest = grid.iter().zip(distortions).find(|&(_, distortion)| meets(distortion, question.threshold));
        Ok(smallest.map_or(Found::nothing_meets(probe.range()), |(&kept_tokens, _)| Found::meeting(kept_tokens)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::range;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_grid_over_powers_of_two_doubles() {
        assert_eq!(Binned::new(5).grid(range(256, 4096)), [256, 512, 1024, 2048, 4096]);
    }

    #[test]
    fn a_grid_starting_at_one_token_spends_every_count_it_is_given() {
        // Rounded powers of 64^(1/7) would be 1, 2, 3, 6, 11, 20, 35, 64; of 8^(1/7): 1, 1, 2, 2, 3, 4, 6, 8.
        assert_eq!(Binned::new(8).grid(range(1, 64)), [1, 2, 4, 7, 12, 21, 37, 64]);
        assert_eq!(Binned::new(8).grid(range(1, 8)), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Binned::new(8).grid(range(7, 7)), [7]);
    }

    proptest! {
        #[test]
        fn a_grid_is_ascending_holds_both_ends_and_uses_its_allowance(
            min in 1_usize..300, extra in 0_usize..4000, counts in 2_usize..200,
        ) {
            let range = range(min, min + extra);
            let grid = Binned::new(counts).grid(range);
            prop_assert_eq!(grid.len(), counts.min(range.len()));
            prop_assert_eq!((grid[0], grid[grid.len() - 1]), (range.min(), range.max()));
            prop_assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
