//! Do two treatments differ, measured on the same samples?
//!
//! Each sample gives a difference b − a, so that what makes a photograph hard for both cancels. If neither treatment
//! is better, a photograph's differences could as well have had the other sign: the *sign-flip test* (Fisher, «The
//! design of experiments», 1935) flips them in all ways and asks how often the mean is then as far from zero as the
//! one observed. All differences of a source are flipped together, for they resemble each other.
//!
//! The test needs no distribution, but it needs sources: n of them cannot give a p-value below 2 / 2ⁿ, so that fewer
//! than six never reach 5 %.
use super::Interval;
use super::bootstrap::interval_of_mean;
use super::cluster::{clusters, mean_of};
use super::random::SplitMix64;

/// Up to this many sources, all flips are enumerated (4096 at most) and the p-value is exact.
const ENUMERATED_SOURCES: usize = 12;

/// Random flips otherwise: a p-value of 5 % then has a standard error of 0.2 %.
const FLIPS: u32 = 10_000;

/// How treatment b differs from treatment a.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean of b − a over all samples, in their unit.
    pub difference: f64,
    /// 95 % bootstrap interval of the difference, clustered by source. Another method than the p-value's: near 5 %,
    /// and with few sources, one may exclude «no difference» where the other does not. Decide by the p-value.
    pub interval: Interval,
    /// Two-sided p-value of the sign-flip test.
    pub p_value: f64,
    /// Sources: photographs, videos.
    pub sources: usize,
    /// Samples: crops, blocks.
    pub samples: usize,
}

/// Compares two treatments by their values `(source, a, b)` on the same samples.
///
/// The same observations and seed give the same comparison, on any machine. `None` with fewer than two sources.
///
/// # Panics
/// If a difference is not finite.
pub fn paired<S: Ord>(observations: impl IntoIterator<Item = (S, f64, f64)>, seed: u64) -> Option<Comparison> {
    let sources = clusters(observations.into_iter().map(|(source, a, b)| (source, b - a)));
    let sums: Vec<f64> = sources.iter().map(|source| source.sum).collect();
    Some(Comparison {
        interval: interval_of_mean(&sources, seed)?,
        difference: mean_of(&sources),
        p_value: sign_flip_p_value(&sums, seed),
        sources: sources.len(),
        samples: sources.iter().map(|source| source.samples).sum(),
    })
}

/// Share of flips whose sum is as far from zero as the observed one. Flips keep the number of samples, so comparing
/// sums compares means.
fn sign_flip_p_value(sums: &[f64], seed: u64) -> f64 {
    // Sums that are equal on paper may differ in their last bits, and must count as ties.
    let rounding = 1e-12 * sums.iter().map(|sum| sum.abs()).sum::<f64>();
    let observed = flipped(sums, || 0) - rounding;
    if sums.len() <= ENUMERATED_SOURCES {
        let all = 1_u64 << sums.len();
        let as_far = (0..all).filter(|&signs| flipped(sums, || signs) >= observed).count();
        return as_far as f64 / all as f64;
    }
    let mut random = SplitMix64(seed);
    let as_far = (0..FLIPS).filter(|_| flipped(sums, || random.next()) >= observed).count();
    // The observed signs are one of the possible flips: without it p could be 0, and false alarms too many.
    (as_far + 1) as f64 / f64::from(FLIPS + 1)
}

/// Distance of the sum from zero with some signs flipped: those whose bit is set, one word for each 64.
fn flipped(sums: &[f64], mut signs: impl FnMut() -> u64) -> f64 {
    let mut total = 0.0;
    for sums in sums.chunks(64) {
        let signs = signs();
        for (bit, sum) in sums.iter().enumerate() {
            total += if signs >> bit & 1 == 1 { -sum } else { *sum };
        }
    }
    total.abs()
}

#[cfg(test)]
mod tests {
    use super::super::random::simulated;
    use super::*;

    /// A treatment a of zeros against a treatment b of these differences.
    fn compared<S: Ord>(differences: impl IntoIterator<Item = (S, f64)>, seed: u64) -> Comparison {
        paired(differences.into_iter().map(|(source, difference)| (source, 0.0, difference)), seed).unwrap()
    }

    /// Share of simulated experiments in which p < 5 %.
    fn alarms(experiments: u64, sources: usize, effect: f64) -> f64 {
        let alarm = |seed| compared(simulated(sources, effect, &mut SplitMix64(seed)), seed).p_value < 0.05;
        (0..experiments).filter(|&seed| alarm(seed)).count() as f64 / experiments as f64
    }

    #[test]
    fn three_sources_by_hand() {
        // Sums 3 (two samples), 1 and −1. ±3 ±1 ±1 is 5, 3, 3 or 1 from zero, each twice; as far as 3: 6 of 8.
        let comparison = paired([("a", 1.0, 2.0), ("a", 1.0, 3.0), ("b", 0.0, 1.0), ("c", 5.0, 4.0)], 1).unwrap();
        assert_eq!((comparison.difference, comparison.p_value), (0.75, 0.75));
        assert_eq!((comparison.sources, comparison.samples), (3, 4));
        // All of one sign: only they and their mirror are as far.
        assert_eq!(compared([("a", 3.0), ("b", 2.0), ("c", 1.0)], 1).p_value, 2.0 / 8.0);
    }

    #[test]
    fn no_difference_anywhere_is_no_evidence() {
        for sources in [2, 12, 13, 100] {
            let comparison = compared((0..sources).map(|source| (source, 0.0)), 1);
            assert_eq!((comparison.difference, comparison.p_value), (0.0, 1.0));
            assert_eq!(comparison.interval, Interval { low: 0.0, high: 0.0 });
        }
    }

    #[test]
    fn ties_count_even_where_rounding_hides_them() {
        // 0.1 + 0.2 − 0.3 and its flips that are 0 on paper: every flip is as far, although 0.1 + 0.2 > 0.3 in binary.
        assert_eq!(compared([(0, 0.1), (1, 0.2), (2, -0.3)], 1).p_value, 1.0);
    }

    #[test]
    fn one_source_cannot_be_compared() {
        assert_eq!(paired([("a", 0.0, 1.0), ("a", 0.0, 2.0)], 1), None);
        assert_eq!(paired(std::iter::empty::<(u8, f64, f64)>(), 1), None);
    }

    #[test]
    fn swapping_the_treatments_mirrors_the_comparison() {
        for sources in [9, 40] {
            let differences = simulated(sources, 0.3, &mut SplitMix64(5));
            let forth = compared(differences.iter().copied(), 2);
            let back = compared(differences.iter().map(|&(source, difference)| (source, -difference)), 2);
            assert_eq!((back.difference, back.p_value), (-forth.difference, forth.p_value));
            assert!((back.interval.low + forth.interval.high).abs() < 1e-12, "{back:?} {forth:?}");
        }
    }

    #[test]
    fn repeating_every_sample_adds_no_evidence() {
        let differences = simulated(10, 0.5, &mut SplitMix64(3));
        let twice = differences.iter().chain(&differences).copied();
        assert_eq!(compared(twice, 1).p_value, compared(differences.iter().copied(), 1).p_value);
    }

    #[test]
    fn random_flips_estimate_what_enumeration_finds() {
        // The 13th source has no difference: it doubles the flips and changes no share.
        let sums = [1.0, -0.4, 0.8, 0.3, -0.2, 1.1, 0.6, -0.7, 0.2, 0.5, -0.1, 0.4];
        let exact = sign_flip_p_value(&sums, 0);
        let sampled = sign_flip_p_value(&[&sums[..], &[0.0]].concat(), 0);
        assert!((exact - sampled).abs() < 0.015, "{exact} {sampled}");
        assert!(exact > 0.01 && sampled != exact);
    }

    #[test]
    fn without_a_difference_one_experiment_in_twenty_raises_a_false_alarm() {
        // The standard error of a share of 5 % in 1000 experiments is 0.7 %.
        for sources in [10, 20] {
            let share = alarms(1000, sources, 0.0);
            println!("false alarms with {sources} sources: {share}");
            assert!((0.03..=0.07).contains(&share), "{sources} sources: {share}");
        }
    }

    #[test]
    fn taking_samples_for_sources_would_raise_many() {
        let alarm = |seed| {
            let differences = simulated(20, 0.0, &mut SplitMix64(seed));
            compared(differences.iter().enumerate().map(|(sample, &(_, difference))| (sample, difference)), seed)
                .p_value
                < 0.05
        };
        let share = (0..200).filter(|&seed| alarm(seed)).count() as f64 / 200.0;
        assert!(share > 0.25, "{share}");
    }

    #[test]
    fn power_grows_with_the_effect_and_with_the_sources() {
        let by_effect = [0.0, 0.4, 0.8].map(|effect| alarms(200, 20, effect));
        assert!(by_effect.is_sorted_by(|less, more| less + 0.1 < *more), "{by_effect:?}");
        let by_sources = [8, 16, 32].map(|sources| alarms(200, sources, 0.6));
        assert!(by_sources.is_sorted_by(|less, more| less + 0.1 < *more), "{by_sources:?}");
    }
}
