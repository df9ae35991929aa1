//! Which tokens survive: always the first ones of each block.
//!
//! Tail drop (paper, method and figure 2): a block that keeps n tokens keeps its first n, so that any prefix of an
//! encoding is an encoding. This file is the one home of that rule and of how many tokens training keeps.

use crate::error::EngineError;
use crate::ring::Rows;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many tokens a block may keep: `min..=max`, 1 ≤ min ≤ max.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRange {
    min: usize,
    max: usize,
}

impl TokenRange {
    /// The counts from `min` to `max`, both included.
    ///
    /// # Errors
    /// [`EngineError::TokenRange`] for an empty range or one that starts at zero.
    pub fn new(min: usize, max: usize) -> Result<Self, EngineError> {
        if (1..=max).contains(&min) { Ok(Self { min, max }) } else { Err(EngineError::TokenRange { min, max }) }
    }

    /// The fewest tokens.
    pub fn min(self) -> usize {
        self.min
    }

    /// The most tokens: all of a block.
    pub fn max(self) -> usize {
        self.max
    }

    /// How many different counts there are.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(self) -> usize {
        self.max - self.min + 1
    }

    /// Whether a block may keep `kept_tokens`.
    pub fn contains(self, kept_tokens: usize) -> bool {
        self.counts().contains(&kept_tokens)
    }

    /// Every count, rising.
    pub fn counts(self) -> std::ops::RangeInclusive<usize> {
        self.min..=self.max
    }

    /// The count nearest above a share (0 to 1) of all tokens: ⌈share · max⌉, inside the range.
    ///
    /// 0.07 of 100 tokens is 7, although 0.07 · 100 is a little more than 7 in floating point.
    pub fn at_share(self, share: f64) -> usize {
        ((share * self.max as f64 - 1e-9).ceil() as usize).clamp(self.min, self.max)
    }
}

/// How training chooses the kept tokens of each block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a budget is \"elastic\", \"elastic-log-uniform\", \"elastic-powers-of-two\" or the \
                               share of tokens to keep, like 0.25"
)]
pub enum Budget {
    /// A constant share of all tokens, above 0 and at most 1: the paper's fixed-budget baseline (figure 4).
    Fixed(f64),
    /// Drawn anew for every block and step.
    Elastic(Elastic),
}

/// How an elastic budget draws a count of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Elastic {
    /// Every count alike: the paper's, ℓ ~ U{min..max}. (The reference draws from min + 1.)
    #[serde(rename = "elastic")]
    Uniform,
    /// Every octave alike: small counts more often, n with a probability proportional to ln((n + 1) / n).
    #[serde(rename = "elastic-log-uniform")]
    LogUniform,
    /// Powers of two and the largest count, alike: few counts, each seen often, as nested representations train
    /// (Kusupati et al. 2022).
    #[serde(rename = "elastic-powers-of-two")]
    PowersOfTwo,
}

impl Budget {
    /// The paper's budget: one model for every count.
    pub const ELASTIC: Self = Self::Elastic(Elastic::Uniform);

    /// How many tokens a block keeps: a count of `range`.
    pub fn draw(self, range: TokenRange, random: &mut impl Rng) -> usize {
        match self {
            Self::Fixed(share) => range.at_share(share),
            Self::Elastic(elastic) => elastic.draw(range, random),
        }
    }
}

impl Elastic {
    fn draw(self, range: TokenRange, random: &mut impl Rng) -> usize {
        let (min, max) = (range.min(), range.max());
        match self {
            Self::Uniform => random.random_range(range.counts()),
            Self::LogUniform => {
                let octaves = random.random_range((min as f64).ln()..((max + 1) as f64).ln());
                (octaves.exp() as usize).clamp(min, max)
            }
            Self::PowersOfTwo => {
                let powers = (0..usize::BITS).map(|power| 1 << power).filter(|count| (min..max).contains(count));
                let counts: Vec<usize> = powers.chain([max]).collect();
                counts[random.random_range(0..counts.len())]
            }
        }
    }
}

/// Which tokens of a batch, or of a worker's rows of one, are kept: the first `kept[block]` of each block. The
/// reference's `encoding_mask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixMask {
    tokens_per_block: usize,
    /// Row by row.
    keeps: Arc<[bool]>,
}

impl PrefixMask {
    /// One kept count for each block of the batch, in order.
    ///
    /// # Panics
    /// If a count is more than `tokens_per_block`.
    pub fn new(tokens_per_block: usize, kept: Vec<usize>) -> Self {
        assert!(kept.iter().all(|kept| *kept <= tokens_per_block), "a block keeps at most all of its tokens");
        let keeps = kept.iter().flat_map(|kept| (0..tokens_per_block).map(move |token| token < *kept));
        Self { tokens_per_block, keeps: keeps.collect() }
    }

    /// Every token of `blocks` blocks.
    pub fn all(tokens_per_block: usize, blocks: usize) -> Self {
        Self::new(tokens_per_block, vec![tokens_per_block; blocks])
    }

    /// The same rows, every one of them kept.
    pub fn keeping_all(&self) -> Self {
        Self { tokens_per_block: self.tokens_per_block, keeps: vec![true; self.keeps.len()].into() }
    }

    /// A worker's rows of those of the whole batch.
    ///
    /// # Panics
    /// If they are rows of another batch.
    pub fn of_rows(&self, rows: &Rows) -> Self {
        Self { tokens_per_block: self.tokens_per_block, keeps: rows.gather(&self.keeps, 1).into() }
    }

    /// Whether the token at this row is kept.
    #[inline]
    pub fn keeps(&self, token: usize) -> bool {
        self.keeps[token]
    }

    /// Rows: n.
    pub fn tokens(&self) -> usize {
        self.keeps.len()
    }

    /// How many blocks its rows are; the part of a block that a worker has counts as that part.
    pub fn blocks(&self) -> f64 {
        self.keeps.len() as f64 / self.tokens_per_block as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_mask_keeps_a_prefix_of_each_block() {
        let mask = PrefixMask::new(4, vec![1, 4, 0]);
        let kept: Vec<bool> = (0..mask.tokens()).map(|token| mask.keeps(token)).collect();
        assert_eq!(kept, [[true, false, false, false], [true; 4], [false; 4]].concat());
    }

    #[test]
    fn an_elastic_budget_draws_every_count_of_its_range_and_no_other() {
        let range = TokenRange::new(3, 9).unwrap();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut seen = [0_usize; 12];
        (0..7000).for_each(|_| seen[Budget::ELASTIC.draw(range, &mut random)] += 1);
        assert_eq!(seen.iter().filter(|n| **n > 0).count(), 7);
        // Each count has probability 1/7: 1000 of 7000, standard deviation 29.
        assert!(seen[3..=9].iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    fn drawn(elastic: Elastic, min: usize, max: usize) -> Vec<usize> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let range = TokenRange::new(min, max).unwrap();
        (0..6000).map(|_| Budget::Elastic(elastic).draw(range, &mut random)).collect()
    }

    #[test]
    fn a_log_uniform_budget_draws_every_octave_alike() {
        let counts = drawn(Elastic::LogUniform, 4, 63);
        // 4..=7, 8..=15, 16..=31 and 32..=63: a quarter each, 1500 of 6000, standard deviation 34.
        for octave in [4..=7, 8..=15, 16..=31, 32..=63] {
            let in_octave = counts.iter().filter(|count| octave.contains(*count)).count();
            assert!((1350..1650).contains(&in_octave), "{octave:?}: {in_octave}");
        }
    }

    #[test]
    fn a_budget_of_powers_of_two_draws_them_and_the_largest_count_alone() {
        let mut counts = drawn(Elastic::PowersOfTwo, 3, 48);
        counts.sort_unstable();
        counts.dedup();
        assert_eq!(counts, [4, 8, 16, 32, 48]);
    }

    #[test]
    fn a_fixed_budget_rounds_up_and_stays_in_range() {
        let range = TokenRange::new(4, 64).unwrap();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        assert_eq!(TokenRange::new(1, 100).unwrap().at_share(0.07), 7);
        for (share, kept) in [(0.25, 16), (0.26, 17), (0.0, 4), (1.0, 64), (0.5, 32)] {
            assert_eq!(Budget::Fixed(share).draw(range, &mut random), kept);
        }
    }

    #[test]
    fn impossible_ranges_are_refused() {
        assert!(TokenRange::new(0, 4).is_err());
        let error = TokenRange::new(5, 4).unwrap_err().to_string();
        assert_eq!(error, "token range 5..=4 is empty: need 1 <= min_tokens <= max_tokens");
    }
}
