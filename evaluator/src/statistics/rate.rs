//! How sure is a rate, such as the share of blocks that meet a threshold?
//!
//! The textbook interval p ± 1.96·√(p(1−p)/n) has no width at p = 0 or 1, where thresholds often put us. Wilson's
//! («Probable inference», 1927) inverts the test instead and stays inside [0, 1].
use super::Interval;

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
    let n = trials as f64;
    let rate = successes as f64 / n;
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
