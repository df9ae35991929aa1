//! The interval of a mean whose samples come in clusters.
//!
//! The percentile bootstrap: draw as many sources as there are, with replacement, each with all its samples; take the
//! mean; repeat; the middle 95 % of these means is the interval. Drawing sources rather than samples keeps what the
//! samples of a source have in common, and so does not mistake many crops of few photographs for much evidence.
//!
//! With few sources (below about 20) every bootstrap is somewhat too narrow: the number of sources belongs beside it.
use std::collections::BTreeMap;

use super::Interval;

/// Resamples drawn: each end of the interval then has a standard error of about 1.5 % of its width between seeds.
pub const RESAMPLES: usize = 2000;

/// The seed of every interval that is stored or shown: the same numbers have the same interval wherever they appear.
pub const BOOTSTRAP_SEED: u64 = 0;

/// The 95 % percentile-bootstrap interval of the mean of all values, clustered by source.
///
/// Each observation is its source with its value. The same observations and seed give the same interval, on any
/// machine. `None` with fewer than two sources: one source says nothing about others.
///
/// # Panics
/// If a value is not finite.
pub fn clustered_interval<S: Ord>(observations: impl IntoIterator<Item = (S, f64)>, seed: u64) -> Option<Interval> {
    let mut sources: BTreeMap<S, (f64, usize)> = BTreeMap::new();
    for (source, value) in observations {
        assert!(value.is_finite(), "an interval of values that hold {value} is undefined");
        let (sum, samples) = sources.entry(source).or_default();
        *sum += value;
        *samples += 1;
    }
    if sources.len() < 2 {
        return None;
    }
    let sources: Vec<(f64, usize)> = sources.into_values().collect();
    let mut random = SplitMix64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean(&sources, &mut random)).collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&means, 0.025), high: quantile(&means, 0.975) })
}

/// Mean of the samples of as many sources as there are, drawn with replacement.
fn resampled_mean(sources: &[(f64, usize)], random: &mut SplitMix64) -> f64 {
    let (mut sum, mut samples) = (0.0, 0);
    for _ in sources {
        let (source_sum, source_samples) = sources[random.below(sources.len())];
        sum += source_sum;
        samples += source_samples;
    }
    sum / samples as f64
}

/// Quantile of sorted values, interpolated linearly between the two nearest (as numpy does).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Steele, Lea & Flood's SplitMix64 (2014): small, and fixed for ever, so that stored intervals can be made again.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; its bias, `end` in 2⁶⁴, is far below what 2000 resamples could show.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::mean;
    use super::*;

    /// Roughly normal, deviation 1: twelve uniform numbers less their mean (the classic sum of twelve).
    fn normal(random: &mut SplitMix64) -> f64 {
        (0..12).map(|_| (random.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567 in the reference implementation's own test vector.
        let mut random = SplitMix64(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn quantiles_by_hand() {
        // Position 0.25 · 3 = 0.75 between 1 and 2.
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0], 0.25), 1.75);
        assert_eq!((quantile(&[1.0, 2.0], 0.0), quantile(&[1.0, 2.0], 1.0)), (1.0, 2.0));
    }

    #[test]
    fn two_sources_by_hand() {
        // Resampled means are 0 (¼), 1 (½) and 2 (¼): the middle 95 % reaches both ends.
        let interval = clustered_interval([("a", 0.0), ("b", 2.0)], 1);
        assert_eq!(interval, Some(Interval { low: 0.0, high: 2.0 }));
    }

    #[test]
    fn sources_of_different_size_weigh_as_their_samples() {
        // Drawing a twice: 0; b twice: 3; one of each: (0 + 3 · 3) / 4 = 2.25, the mean of all values.
        let interval = clustered_interval([("a", 0.0), ("b", 3.0), ("b", 3.0), ("b", 3.0)], 1).unwrap();
        assert_eq!(interval, Interval { low: 0.0, high: 3.0 });
    }

    #[test]
    fn one_source_has_no_interval() {
        assert_eq!(clustered_interval([(7, 1.0), (7, 2.0)], 1), None);
        assert_eq!(clustered_interval(std::iter::empty::<(i64, f64)>(), 1), None);
    }

    #[test]
    fn neither_the_order_of_rows_nor_another_run_changes_it() {
        let observations: Vec<(u32, f64)> = (0..40).map(|index| (index % 8, f64::from(index * index % 17))).collect();
        let interval = clustered_interval(observations.iter().copied(), 3);
        assert_eq!(clustered_interval(observations.iter().rev().copied(), 3), interval);
        assert_ne!(clustered_interval(observations, 4), interval);
    }

    #[test]
    fn it_covers_the_true_mean_where_one_that_ignores_sources_does_not() {
        // 30 photographs whose means deviate by 1, with 1 to 9 crops each that deviate by 0.3; the true mean is 0.
        const EXPERIMENTS: u64 = 400;
        let (mut by_source, mut by_sample) = (0, 0);
        for seed in 0..EXPERIMENTS {
            let mut random = SplitMix64(seed);
            let mut observations = Vec::new();
            for source in 0..30 {
                let effect = normal(&mut random);
                for _ in 0..=random.below(9) {
                    observations.push((source, effect + 0.3 * normal(&mut random)));
                }
            }
            let covers = |interval: Option<Interval>| interval.is_some_and(|it| it.low <= 0.0 && 0.0 <= it.high);
            by_source += u64::from(covers(clustered_interval(observations.iter().copied(), seed)));
            let samples = observations.iter().enumerate().map(|(sample, &(_, value))| (sample, value));
            by_sample += u64::from(covers(clustered_interval(samples, seed)));
        }
        println!("covered: {by_source} by source, {by_sample} by sample, of {EXPERIMENTS}");
        assert!((EXPERIMENTS * 90 / 100..=EXPERIMENTS * 98 / 100).contains(&by_source), "{by_source}");
        assert!(by_sample < EXPERIMENTS * 75 / 100, "{by_sample}");
    }

    #[test]
    fn the_mean_lies_inside() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let interval = clustered_interval(values.into_iter().enumerate(), 0).unwrap();
        assert!(interval.low < mean(&values) && mean(&values) < interval.high);
    }
}
