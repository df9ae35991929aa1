//! Mean squared error in the model's own range: the distortion that thresholds are compared with.
//!
//! In [-1, 1] the largest difference is 2, so that a threshold τ corresponds to a PSNR of 10·log10(4/τ) before
//! rounding to bytes: 0.001 is 36 dB, 0.015 is 24 dB.
use super::{Direction, MetricDef};

/// [`mse`].
pub const MSE: MetricDef = MetricDef {
    name: "mse",
    version: 1,
    unit: "",
    direction: Direction::Lower,
    noisy: false,
    description: "Mean squared error in [-1, 1], the reconstruction clipped: what thresholds are compared with.",
};

/// Mean squared difference of `original` and `reconstruction` (clipped to [-1, 1]), summed in f64.
///
/// NaN if a reconstructed value is NaN.
///
/// # Panics
/// If the two differ in length or are empty.
pub fn mse(original: &[f32], reconstruction: &[f32]) -> f64 {
    assert_eq!(original.len(), reconstruction.len(), "a reconstruction has as many values as its original");
    assert!(!original.is_empty(), "the error of no values is undefined");
    let squares = original.iter().zip(reconstruction).map(|(&original, &reconstruction)| {
        let difference = f64::from(original) - f64::from(reconstruction.clamp(-1.0, 1.0));
        difference * difference
    });
    squares.sum::<f64>() / original.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_reconstruction_is_clipped_first() {
        // Differences 0, 1 − 1 (from 5), 0.5: (0 + 0 + 0.25) / 3.
        assert_eq!(mse(&[0.0, 1.0, 0.5], &[0.0, 5.0, 0.0]), 0.25 / 3.0);
    }

    #[test]
    fn four_million_equal_errors_average_to_one_error() {
        // Summed in f32 this is wrong in the third digit.
        let original = vec![0.1_f32; 1 << 22];
        let reconstruction = vec![0.2_f32; 1 << 22];
        let one = mse(&original[..1], &reconstruction[..1]);
        assert!((mse(&original, &reconstruction) / one - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_value_that_is_not_a_number_is_not_hidden() {
        assert!(mse(&[0.0, 0.0], &[0.0, f32::NAN]).is_nan());
    }

    proptest! {
        #[test]
        fn zero_exactly_for_equal_values(
            original in prop::collection::vec(-1.0_f32..=1.0, 1..50),
            index in any::<prop::sample::Index>(),
            change in 0.01_f32..0.5,
        ) {
            prop_assert_eq!(mse(&original, &original), 0.0);
            let mut reconstruction = original.clone();
            let value = index.get_mut(&mut reconstruction);
            *value += if *value > 0.0 { -change } else { change };
            prop_assert!(mse(&original, &reconstruction) > 0.0);
        }
    }
}
