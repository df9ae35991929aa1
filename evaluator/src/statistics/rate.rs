//! How sure is a rate, such as the share of blocks that meet a threshold?
//!
//! The textbook interval p ± 1.96·√(p(1−p)/n) has no width at p = 0 or 1, where thresholds often put us. Wilson's
//! («Probable inference», 1927) inverts the test instead and stays inside [0, 1]. A bootstrap has the same flaw: no
//! violation among 500 blocks resamples to none, always.
//!
//! Blocks of one photograph repeat each other's evidence, so [`clustered_rate_interval`] counts what they are worth: the
//! number of independent blocks whose rate would vary as much (Kish's effective sample size).
use super::Interval;
use super::cluster::{Cluster, clusters, mean_of};

/// Two-sided 95 % quantile of the normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval for the probability behind `successes` out of `trials`; [0, 1] without a trial.
///
/// The trials are taken as independent; for blocks of few long videos it is too narrow.
///
/// # Panics
/// If there are more successes than trials.
pub fn wilson_interval(successes: usize, trials: usize) -> Interval {
    assert!(successes <= trials, "{successes} of {trials} trials cannot have succeeded");
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    wilson(successes as f64 / trials as f64, trials as f64)
}

/// The 95 % interval of the probability behind observations `(source, happened)`: Wilson's, at the effective number of
/// observations.
///
/// That number follows from how far the sources' rates scatter. Where they do not scatter at all, as when it never
/// happened, nothing is known about it, and each source counts once. `None` with fewer than two sources.
pub fn clustered_rate_interval<S: Ord>(observations: impl IntoIterator<Item = (S, bool)>) -> Option<Interval> {
    let sources = clusters(observations.into_iter().map(|(source, happened)| (source, f64::from(u8::from(happened)))));
    (sources.len() >= 2).then(|| wilson(mean_of(&sources), effective_trials(&sources)))
}

/// rate·(1 − rate) over the variance of the rate, a ratio of sums over sources; at most all samples.
fn effective_trials(sources: &[Cluster]) -> f64 {
    let count = sources.len() as f64;
    let samples: f64 = sources.iter().map(|source| source.samples as f64).sum();
    let rate = mean_of(sources);
    let scatter: f64 = sources.iter().map(|source| (source.sum - rate * source.samples as f64).powi(2)).sum();
    let variance = scatter * count / (count - 1.0) / (samples * samples);
    if variance > 0.0 { (rate * (1.0 - rate) / variance).min(samples) } else { count }
}

/// Wilson's interval for a rate seen in `n` independent trials.
fn wilson(rate: f64, n: f64) -> Interval {
    let centre = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_ten_by_hand() {
        // z² = 3.8415: centre (0.8 + 0.19207) / 1.38415 = 0.71674; half 1.41602 · √(0.016 + 0.0096037) = 0.22658.
        let Interval { low, high } = wilson_interval(8, 10);
        assert!((low - 0.490_16).abs() < 1e-5 && (high - 0.943_32).abs() < 1e-5, "{low} {high}");
    }

    #[test]
    fn crops_that_agree_within_their_photograph_count_once() {
        // 20 photographs of 5 equal crops each: as much as 20 crops, but for the factor C/(C − 1) of their variance.
        let grouped = (0..100).map(|crop| (crop / 5, crop / 5 < 8));
        let interval = clustered_rate_interval(grouped).unwrap();
        assert_eq!(interval, wilson(0.4, 19.0));
        // Each its own photograph: 99 of 100.
        let alone = clustered_rate_interval((0..100).map(|crop| (crop, crop < 40))).unwrap();
        assert!((alone.low - wilson(0.4, 99.0).low).abs() < 1e-12);
    }

    #[test]
    fn what_never_happened_in_few_photographs_may_still_happen() {
        let never = clustered_rate_interval((0..140).map(|crop| (crop / 7, false))).unwrap();
        assert_eq!(never, wilson_interval(0, 20));
        assert_eq!(clustered_rate_interval([(1, true), (1, false)]), None);
    }

    #[test]
    fn crops_that_scatter_within_their_photographs_count_at_most_as_all() {
        // Every photograph has the very rate of the whole: no scatter between them is still no proof.
        let same = clustered_rate_interval((0..40).map(|crop| (crop / 4, crop % 4 == 0))).unwrap();
        assert_eq!(same, wilson(0.25, 10.0));
    }

    #[test]
    fn no_success_or_no_failure_still_leaves_doubt() {
        // At 0 of 20 the upper end is z² / (20 + z²) = 0.16113.
        let none = wilson_interval(0, 20);
        assert!(none.low == 0.0 && (none.high - 0.161_13).abs() < 1e-5);
        let all = wilson_interval(20, 20);
        assert!(all.high == 1.0 && (all.low - 0.838_87).abs() < 1e-5);
        assert_eq!(wilson_interval(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn it_covers_the_true_rate_about_as_often_as_it_says() {
        // Exact coverage, from the binomial probabilities rather than from a simulation.
        for rate in [0.05_f64, 0.3, 0.5, 0.9] {
            let trials = 60;
            let mut probability = (1.0 - rate).powi(trials as i32);
            let mut covered = 0.0;
            for successes in 0..=trials {
                let Interval { low, high } = wilson_interval(successes, trials);
                if low <= rate && rate <= high {
                    covered += probability;
                }
                probability *= (trials - successes) as f64 / (successes + 1) as f64 * rate / (1.0 - rate);
            }
            assert!((0.92..=0.98).contains(&covered), "rate {rate} covered with probability {covered}");
        }
    }
}
