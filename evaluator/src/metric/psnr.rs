//! Peak signal-to-noise ratio: the mean squared error of bytes, on a logarithmic scale.
//!
//! Of a video, the error is averaged over all frames *before* the logarithm (as `skimage` and TokenBench do). The mean
//! of the frames' own PSNRs would be larger, and one perfectly still frame could carry a whole clip.
use super::{Direction, MetricDef, MetricError, Pictures};

/// [`psnr`].
pub const PSNR: MetricDef = MetricDef {
    name: "psnr",
    version: 1,
    unit: "dB",
    direction: Direction::Higher,
    noisy: false,
    description: "10·log10(255²/MSE) of 8-bit pictures, MSE over all frames and channels, at most 100 dB.",
};

/// [`psnr`] of the sample with every patch painted in its mean colour: what a model of this patch size must beat.
pub const MEAN_COLOUR_PSNR: MetricDef = MetricDef {
    name: "mean_colour_psnr",
    version: 1,
    unit: "dB",
    direction: Direction::Neither,
    noisy: false,
    description: "PSNR of painting each patch in its mean colour: a property of the sample, the floor for any model.",
};

/// The largest value [`psnr`] gives, in dB: that of identical pictures, finite so that means stay finite.
pub const PSNR_CAP: f64 = 100.0;

/// Peak signal-to-noise ratio of 8-bit pictures in dB, at most [`PSNR_CAP`].
///
/// # Errors
/// [`MetricError::ShapesDiffer`].
pub fn psnr(original: Pictures<'_>, reconstruction: Pictures<'_>) -> Result<f64, MetricError> {
    original.same_shape(&reconstruction)?;
    let squares = original.samples().iter().zip(reconstruction.samples()).map(|(&left, &right)| {
        let difference = u64::from(left.abs_diff(right));
        difference * difference
    });
    let mse = squares.sum::<u64>() as f64 / original.samples().len() as f64;
    Ok((10.0 * (255.0 * 255.0 / mse).log10()).min(PSNR_CAP))
}

/// The same in dB of a mean squared error in [−1, 1], where the peak is 2; infinite for 0.
pub fn psnr_of(distortion: f64) -> f64 {
    10.0 * (4.0 / distortion).log10()
}

#[cfg(test)]
mod tests {
    use super::super::mse;
    use super::*;
    use engine::patch::to_pixels;
    use proptest::prelude::*;

    fn picture(samples: &[u8]) -> Pictures<'_> {
        Pictures::new([1, 1, samples.len(), 1], samples).unwrap()
    }

    #[test]
    fn one_level_off_everywhere_is_48_decibel() {
        // MSE 1: 20·log10(255) = 48.1308.
        let value = psnr(picture(&[10, 20, 30]), picture(&[11, 19, 31])).unwrap();
        assert!((value - 48.130_803_608_679_1).abs() < 1e-12);
    }

    #[test]
    fn identical_pictures_have_the_cap_and_so_have_nearly_identical_ones() {
        assert_eq!(psnr(picture(&[1, 2, 3]), picture(&[1, 2, 3])), Ok(PSNR_CAP));
        // One sample of 2²⁰ off by one: 48.13 + 60.2 = 108 dB.
        let (original, mut other) = (vec![7; 1 << 20], vec![7; 1 << 20]);
        other[5] = 8;
        assert_eq!(psnr(picture(&original), picture(&other)), Ok(PSNR_CAP));
    }

    #[test]
    fn a_still_frame_does_not_lift_a_clip_above_its_pooled_error() {
        // Frames with MSE 0 and 4 pool to 2: 48.13 − 3.01 dB, not the mean of 100 and 42.1.
        let original = Pictures::new([2, 1, 2, 1], &[5, 5, 5, 5]).unwrap();
        let reconstruction = Pictures::new([2, 1, 2, 1], &[5, 5, 7, 3]).unwrap();
        assert!((psnr(original, reconstruction).unwrap() - 45.120_503_6).abs() < 1e-6);
    }

    #[test]
    fn pictures_of_different_shape_are_refused() {
        let tall = Pictures::new([1, 3, 1, 1], &[1, 2, 3]).unwrap();
        assert!(matches!(psnr(picture(&[1, 2, 3]), tall), Err(MetricError::ShapesDiffer(..))));
    }

    #[test]
    fn it_is_close_to_what_the_mean_squared_error_predicts() {
        // 10·log10(4/τ), but for the rounding to bytes, which adds about 1/12 level².
        let original: Vec<f32> = (0..4096).map(|index| (index as f32 * 0.37).sin() * 0.8).collect();
        let reconstruction: Vec<f32> =
            original.iter().enumerate().map(|(i, x)| x + 0.1 * (i as f32 * 1.3).cos()).collect();
        let predicted = 10.0 * (4.0 / mse(&original, &reconstruction)).log10();
        let (left, right) = (to_pixels(&original), to_pixels(&reconstruction));
        assert!((psnr(picture(&left), picture(&right)).unwrap() - predicted).abs() < 0.05);
    }

    proptest! {
        #[test]
        fn falls_when_noise_grows_and_is_symmetric(
            noise in prop::collection::vec(-20_i16..=20, 16..64),
        ) {
            prop_assume!(noise.iter().any(|&step| step != 0));
            let original = vec![128; noise.len()];
            let noisy = |factor: i16| noise.iter().map(|step| (128 + factor * step) as u8).collect::<Vec<u8>>();
            let values: Vec<f64> =
                (1..=4).map(|factor| psnr(picture(&original), picture(&noisy(factor))).unwrap()).collect();
            prop_assert!(values.windows(2).all(|pair| pair[1] < pair[0]), "{:?}", values);
            prop_assert_eq!(psnr(picture(&noisy(1)), picture(&original)).unwrap(), values[0]);
        }
    }
}
