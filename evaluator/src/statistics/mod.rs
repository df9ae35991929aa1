//! Summaries of measurements, and how far to trust them.
//!
//! Crops of one photograph, or blocks of one video, resemble each other: a hundred of them are not a hundred
//! observations. Intervals and tests therefore resample *sources* (files), not samples.

mod bootstrap;
mod cluster;
mod comparison;
mod correlation;
mod detectable;
mod holm;
mod random;
mod rate;
mod spread;

pub use bootstrap::{BOOTSTRAP_SEED, RESAMPLES, clustered_interval, resampled_interval};
pub use comparison::{Comparison, paired};
pub use correlation::{Correlation, clustered_correlation, pearson, spearman};
pub use detectable::minimum_detectable_effect;
pub use holm::holm;
#[cfg(test)]
pub(crate) use random::{SplitMix64, normal};
pub use rate::{clustered_rate_interval, wilson_interval};
pub use spread::against_spread;

/// Where a quantity lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end, in the quantity's unit.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Arithmetic mean.
///
/// # Panics
/// If there is no value.
pub fn mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "the mean of no values is undefined");
    values.iter().sum::<f64>() / values.len() as f64
}

/// Median; of an even number of values the mean of the two in the middle.
///
/// # Panics
/// If there is no value.
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "the median of no values is undefined");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    0.5 * (below + above)
}

/// Sample standard deviation (divided by n − 1), in the values' unit; 0 for a single value.
///
/// # Panics
/// If there is no value.
pub fn sample_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    if values.len() == 1 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_by_hand() {
        // Deviations from 5: −3 −1 −1 −1 0 0 2 4; squares sum to 32; 32 / 7 = 4.571…
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), 5.0);
        assert!((sample_deviation(&values) - 2.138_089_935).abs() < 1e-9);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!((median(&[9.0, 1.0, 2.0]), median(&[8.0, 1.0, 2.0, 4.0]), median(&[7.0])), (2.0, 3.0, 7.0));
    }

    #[test]
    fn a_single_value_does_not_deviate() {
        assert_eq!((mean(&[3.5]), sample_deviation(&[3.5])), (3.5, 0.0));
    }

    #[test]
    fn a_large_offset_does_not_drown_the_deviation() {
        assert_eq!(sample_deviation(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), 1.0);
    }
}
