//! How large must a difference be for an experiment of this size to find it?
//!
//! «No significant difference» means little without it: an experiment that could not have found a difference of 1 dB
//! says nothing about one of 0.5 dB.
use super::cluster::{Cluster, clusters, mean_of};
use super::rate::Z;

/// Power asked for, 80 %, as a one-sided quantile of the normal distribution.
const Z_OF_POWER: f64 = 0.841_621_233_572_914_3;

/// The smallest true mean difference that a two-sided test at 5 % finds in 80 % of experiments like this one: with as
/// many sources and samples, that vary as much.
///
/// It is (z₀.₉₇₅ + z₀.₈₀) × SE = 2.80 × SE (Bloom, «Minimum detectable effects», 1995), SE being the standard error of
/// the mean over samples that allows for what the samples of a source have in common. In the unit of the differences.
/// The normal quantiles make it somewhat too small below about 20 sources. `None` with fewer than two sources; 0 where
/// no source differs from the mean.
///
/// # Panics
/// If a difference is not finite.
pub fn minimum_detectable_effect<S: Ord>(observations: impl IntoIterator<Item = (S, f64)>) -> Option<f64> {
    Some((Z + Z_OF_POWER) * cluster_robust_error(&clusters(observations))?)
}

/// Liang & Zeger's standard error (1986) of the mean over N samples of G sources:
///
///   SE = √( G/(G − 1) · Σ over sources (Σ over its samples (x − mean))² ) / N.
///
/// With one sample a source it is the textbook's s / √N.
fn cluster_robust_error(sources: &[Cluster]) -> Option<f64> {
    if sources.len() < 2 {
        return None;
    }
    let mean = mean_of(sources);
    let squares: f64 = sources.iter().map(|source| (source.sum - source.samples as f64 * mean).powi(2)).sum();
    let samples: usize = sources.iter().map(|source| source.samples).sum();
    let count = sources.len() as f64;
    Some((count / (count - 1.0) * squares).sqrt() / samples as f64)
}

#[cfg(test)]
mod tests {
    use super::super::random::{SplitMix64, simulated};
    use super::super::{mean, paired, sample_deviation};
    use super::*;

    #[test]
    fn sources_of_one_sample_have_the_error_of_the_textbook() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let error = cluster_robust_error(&clusters(values.into_iter().enumerate())).unwrap();
        assert!((error - sample_deviation(&values) / 8.0_f64.sqrt()).abs() < 1e-15, "{error}");
    }

    #[test]
    fn sources_of_different_size_by_hand() {
        // Mean 2; sums about it: (1 − 2) + (1 − 2) = −2 and 4 − 2 = 2. SE = √(2/1 · (4 + 4)) / 3 = 4/3.
        let effect = minimum_detectable_effect([("a", 1.0), ("a", 1.0), ("b", 4.0)]).unwrap();
        assert!((effect - 2.801_585 * 4.0 / 3.0).abs() < 1e-6, "{effect}");
    }

    #[test]
    fn samples_that_repeat_their_source_add_nothing() {
        let once = minimum_detectable_effect([(0, 1.0), (1, 3.0), (2, 8.0)]);
        let thrice = (0..3).flat_map(|_| [(0, 1.0), (1, 3.0), (2, 8.0)]);
        assert!((minimum_detectable_effect(thrice).unwrap() - once.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn one_source_tells_nothing_and_equal_sources_leave_no_doubt() {
        assert_eq!(minimum_detectable_effect([("a", 1.0), ("a", 2.0)]), None);
        assert_eq!(minimum_detectable_effect([("a", 1.0), ("b", 1.0)]), Some(0.0));
    }

    #[test]
    fn an_effect_of_that_size_is_found_in_four_experiments_of_five() {
        const SOURCES: usize = 40;
        const EXPERIMENTS: u64 = 500;
        let pilot = |seed| minimum_detectable_effect(simulated(SOURCES, 0.0, &mut SplitMix64(seed))).unwrap();
        let effect = mean(&(0..EXPERIMENTS).map(pilot).collect::<Vec<_>>());
        let is_found = |seed| {
            let differences = simulated(SOURCES, effect, &mut SplitMix64(EXPERIMENTS + seed));
            let observations = differences.into_iter().map(|(source, difference)| (source, 0.0, difference));
            paired(observations, seed).unwrap().p_value < 0.05
        };
        let power = (0..EXPERIMENTS).filter(|&seed| is_found(seed)).count() as f64 / EXPERIMENTS as f64;
        println!("an effect of {effect:.3} was found in {power} of {EXPERIMENTS} experiments");
        assert!((0.75..=0.85).contains(&power), "{power}");
    }
}
