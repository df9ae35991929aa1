//! The interval of a statistic whose samples come in clusters.
//!
//! The percentile bootstrap: draw as many sources as there are, with replacement, each with all its samples; take the
//! statistic; repeat; the middle 95 % of these values is the interval. Drawing sources rather than samples keeps what
//! the samples of a source have in common, and so does not mistake many crops of few photographs for much evidence.
//!
//! With few sources (below about 20) every bootstrap is somewhat too narrow: the number of sources belongs beside it.
use super::Interval;
use super::cluster::{Cluster, clusters, mean_of};
use super::random::SplitMix64;

/// Resamples drawn: each end of the interval then has a standard error of about 1.5 % of its width between seeds.
pub const RESAMPLES: usize = 2000;

/// The seed of every interval that is stored or shown: the same numbers have the same interval wherever they appear.
pub const BOOTSTRAP_SEED: u64 = 0;

/// Resamples in which a statistic must exist, in per cent: fewer, and what is missing could hold an end of the interval.
const NEEDED_PERCENT: usize = 95;

/// The 95 % percentile-bootstrap interval of the mean of all values, clustered by source.
///
/// Each observation is its source with its value. The same observations and seed give the same interval, on any
/// machine. `None` with fewer than two sources: one source says nothing about others.
///
/// # Panics
/// If a value is not finite.
pub fn clustered_interval<S: Ord>(observations: impl IntoIterator<Item = (S, f64)>, seed: u64) -> Option<Interval> {
    interval_of_mean(&clusters(observations), seed)
}

/// [`clustered_interval`] of samples already summed by source.
pub(super) fn interval_of_mean(clusters: &[Cluster], seed: u64) -> Option<Interval> {
    resampled_interval(clusters, |drawn| Some(mean_of(drawn.iter().copied())), seed)
}

/// The 95 % percentile-bootstrap interval of any statistic of whole sources, each a `T` that holds all its samples.
///
/// The statistic sees as many sources as there are, some of them several times. Where it does not exist it answers
/// `None`, as a correlation does when a resample happens to be constant; such resamples are left out, which is honest
/// only while they are rare. `None` therefore if it exists in fewer than 95 % of resamples, or with fewer than two
/// sources. The same sources in the same order with the same seed give the same interval, on any machine.
///
/// # Panics
/// If a statistic is not finite.
pub fn resampled_interval<T>(sources: &[T], statistic: impl Fn(&[&T]) -> Option<f64>, seed: u64) -> Option<Interval> {
    if sources.len() < 2 {
        return None;
    }
    let mut random = SplitMix64(seed);
    let mut drawn = Vec::with_capacity(sources.len());
    let mut values = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.clear();
        drawn.extend((0..sources.len()).map(|_| &sources[random.below(sources.len())]));
        values.extend(statistic(&drawn));
    }
    if values.len() * 100 < RESAMPLES * NEEDED_PERCENT {
        return None;
    }
    assert!(values.iter().all(|value| value.is_finite()), "a resampled statistic must be finite, or None");
    values.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
}

/// Quantile of sorted values, interpolated linearly between the two nearest (as numpy does).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::super::mean;
    use super::super::random::normal;
    use super::*;

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

    #[test]
    fn stored_intervals_can_be_made_again() {
        // Made by the first version of this file; reports hold such intervals.
        let observations: Vec<(u32, f64)> = (0..40).map(|i| (i % 9, f64::from(i * i % 17) * 0.1)).collect();
        for (seed, low, high) in [
            (0, 0.638_437_5, 0.934_886_627_906_976_9),
            (3, 0.635, 0.945_269_933_554_817_1),
            (11, 0.641_463_414_634_146_4, 0.937_231_450_719_822_8),
        ] {
            assert_eq!(clustered_interval(observations.iter().copied(), seed), Some(Interval { low, high }));
        }
    }

    #[test]
    fn any_statistic_of_whole_sources_has_an_interval() {
        // The largest of 0 and 2: 0 with probability ¼, else 2. The middle 95 % reaches both.
        let largest = |drawn: &[&f64]| drawn.iter().copied().copied().reduce(f64::max);
        assert_eq!(resampled_interval(&[0.0, 2.0], largest, 1), Some(Interval { low: 0.0, high: 2.0 }));
        assert_eq!(resampled_interval(&[2.0], largest, 1), None);
    }

    #[test]
    fn a_statistic_missing_from_too_many_resamples_has_no_interval() {
        // It needs two different sources: half the resamples of two lack them, and 4 / 4⁴ = 1.6 % of those of four.
        let range = |drawn: &[&i32]| {
            let (least, most) = (drawn.iter().min()?, drawn.iter().max()?);
            (least != most).then(|| f64::from(*most - *least))
        };
        assert_eq!(resampled_interval(&[1, 2], range, 1), None);
        assert_eq!(resampled_interval(&[1, 2, 3, 4], range, 1), Some(Interval { low: 1.0, high: 3.0 }));
    }
}
