//! Do a few runs differ, when how much runs differ anyway was measured before, on more of them?
//!
//! Three seeds cannot tell their own spread. So it is measured once, on more seeds, and the mean of a few differences is
//! judged by it with Student's t, whose degrees of freedom are those of the spread.
use super::{Comparison, Interval, mean};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The mean of differences b − a of independent runs in pairs, against the standard deviation `spread` of a run, which was
/// estimated with so many degrees of `freedom` (runs − 1).
///
/// A difference of two runs deviates by √2 · spread, and so the mean of k of them by spread · √(2 / k). Where the runs of a
/// pair have something in common (a seed) it is less, and what is said here errs on the side of no difference. `None`
/// without a difference or without a degree of freedom.
///
/// # Panics
/// If a number is not finite, or the spread is negative.
pub fn against_spread(differences: &[f64], spread: f64, freedom: usize) -> Option<Comparison> {
    assert!(differences.iter().all(|difference| difference.is_finite()), "{differences:?} are no differences");
    assert!(spread.is_finite() && spread >= 0.0, "{spread} is no spread");
    if differences.is_empty() || freedom == 0 {
        return None;
    }
    let student = StudentsT::new(0.0, 1.0, freedom as f64).expect("freedom is positive");
    let difference = mean(differences);
    let error = spread * (2.0 / differences.len() as f64).sqrt();
    let p_value = match (difference == 0.0, error == 0.0) {
        (true, _) => 1.0,
        // Runs that never differ: any difference is one.
        (false, true) => 0.0,
        (false, false) => 2.0 * student.cdf(-(difference / error).abs()),
    };
    let half = error * student.inverse_cdf(0.975);
    let interval = Interval { low: difference - half, high: difference + half };
    Some(Comparison { difference, interval, p_value, sources: differences.len(), samples: differences.len() })
}

#[cfg(test)]
mod tests {
    use super::super::random::{SplitMix64, normal};
    use super::super::sample_deviation;
    use super::*;

    #[test]
    fn three_seeds_by_hand() {
        // Mean 2, error 1.5 · √(2/3) = 1.224745, t = 1.632993; with 11 degrees t₀.₉₇₅ = 2.200985 and p = 0.130731.
        let comparison = against_spread(&[1.0, 2.0, 3.0], 1.5, 11).unwrap();
        assert_eq!((comparison.difference, comparison.sources), (2.0, 3));
        assert!((comparison.interval.low - (2.0 - 2.200_985 * 1.224_745)).abs() < 1e-5, "{comparison:?}");
        assert!((comparison.p_value - 0.130_731).abs() < 1e-5, "{comparison:?}");
    }

    #[test]
    fn without_a_spread_any_difference_is_one() {
        assert_eq!(against_spread(&[0.0, 0.0], 0.0, 3).unwrap().p_value, 1.0);
        let comparison = against_spread(&[0.5, 0.5], 0.0, 3).unwrap();
        assert_eq!((comparison.p_value, comparison.interval), (0.0, Interval { low: 0.5, high: 0.5 }));
        assert_eq!((against_spread(&[], 1.0, 3), against_spread(&[1.0], 1.0, 0)), (None, None));
    }

    #[test]
    fn without_a_difference_one_experiment_in_twenty_raises_a_false_alarm() {
        let mut random = SplitMix64(7);
        let mut alarm = || {
            let measured: Vec<f64> = (0..12).map(|_| normal(&mut random)).collect();
            let differences: Vec<f64> = (0..3).map(|_| normal(&mut random) - normal(&mut random)).collect();
            against_spread(&differences, sample_deviation(&measured), 11).unwrap().p_value < 0.05
        };
        let share = (0..2000).filter(|_| alarm()).count() as f64 / 2000.0;
        assert!((0.035..=0.065).contains(&share), "{share}");
    }
}
