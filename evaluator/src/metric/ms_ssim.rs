//! Multi-scale structural similarity: SSIM's contrast and pattern at five sizes of the picture, its brightness at one.
//!
//! How far away a viewer sits decides which details count. Wang, Simoncelli and Bovik, «Multiscale structural similarity
//! for image quality assessment», 2003, therefore halve the picture four times and weigh each size by what people see:
//!
//!   MS-SSIM = SSIM₅^w₅ · Π cs_j^w_j (j = 1..4),  w = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333,
//!
//! with cs SSIM's contrast–structure factor, both means over the pixels whose window lies inside. The window is that of
//! [`ssim`](super::ssim()), the same on every scale, so that the two share a [`Protocol`](super::Protocol). A negative
//! mean counts as 0: a fractional power of it does not exist.
//!
//! The product is taken in each channel, then averaged over channels and frames. This is `pytorch_msssim`'s `ms_ssim`.
//! torchmetrics averages channels before the product, and at the coarsest scale over mirrored edges too: numbers of small
//! pictures then differ in the third digit.
use super::ssim::{WINDOW, gaussian, mean_over_planes, similarity};
use super::{Direction, MetricDef, MetricError, Pictures};

/// [`ms_ssim`].
pub const MS_SSIM: MetricDef = MetricDef {
    name: "ms_ssim",
    version: 1,
    unit: "",
    direction: Direction::Higher,
    noisy: false,
    description: "Multi-scale structural similarity of 8-bit pictures: 5 scales with the weights of Wang et al. 2003, \
                  2 × 2 means between them, 11 × 11 Gaussian window (σ 1.5) on each, mean over channels and frames; \
                  not available below 161 × 161 pixels.",
};

/// The exponent of each scale, the picture's own size first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Pixels of the shortest side that are still a whole window after four halvings: more than (11 − 1)·2⁴.
pub const MS_SSIM_SMALLEST_SIDE: usize = ((WINDOW - 1) << (WEIGHTS.len() - 1)) + 1;

/// Multi-scale structural similarity of 8-bit pictures, in [0, 1]; exactly 1 for identical ones.
///
/// # Errors
/// [`MetricError::ShapesDiffer`], or [`MetricError::SmallerThanScales`] below [`MS_SSIM_SMALLEST_SIDE`]: there the metric
/// is not available.
pub fn ms_ssim(original: Pictures<'_>, reconstruction: Pictures<'_>) -> Result<f64, MetricError> {
    original.same_shape(&reconstruction)?;
    let [_, height, width, _] = original.shape();
    if height.min(width) < MS_SSIM_SMALLEST_SIDE {
        return Err(MetricError::SmallerThanScales { height, width, smallest: MS_SSIM_SMALLEST_SIDE });
    }
    Ok(mean_over_planes(original, reconstruction, |x, y| plane_ms_ssim(x, y, width)))
}

fn plane_ms_ssim(mut x: Vec<f64>, mut y: Vec<f64>, mut width: usize) -> f64 {
    let window = gaussian();
    let [finer @ .., coarsest] = WEIGHTS;
    let mut product = 1.0;
    for weight in finer {
        product *= similarity(&x, &y, width, &window).contrast_structure.max(0.0).powf(weight);
        (x, y) = (halve(&x, width), halve(&y, width));
        width = width.div_ceil(2);
    }
    product * similarity(&x, &y, width, &window).ssim.max(0.0).powf(coarsest)
}

/// Means of 2 × 2 pixels. At an odd edge, of those there are: what Wang's own code, which mirrors the edge, does.
fn halve(plane: &[f64], width: usize) -> Vec<f64> {
    let mut halved = Vec::with_capacity(plane.len() / 4 + width);
    for rows in plane.chunks(2 * width) {
        let (upper, lower) = rows.split_at(width);
        let lower = if lower.is_empty() { upper } else { lower };
        for (upper, lower) in upper.chunks(2).zip(lower.chunks(2)) {
            halved.push(upper.iter().chain(lower).sum::<f64>() / (2 * upper.len()) as f64);
        }
    }
    halved
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 4] = [1, 161, 164, 1];

    fn pictures(samples: &[u8]) -> Pictures<'_> {
        Pictures::new(SHAPE, samples).unwrap()
    }

    /// A slope with noise of ±`noise` levels.
    fn slope(noise: usize) -> Vec<u8> {
        let [_, height, width, _] = SHAPE;
        let pixel = |i: usize| 50 + i % width / 2 + i / width / 3 + noise - i * 7919 % 1009 % (2 * noise + 1);
        (0..height * width).map(|i| pixel(i) as u8).collect()
    }

    #[test]
    fn of_flat_pictures_only_the_means_count_and_only_at_the_coarsest_scale() {
        // Each cs is C2/C2 = 1; SSIM₅ is (2·100·110 + C1) / (100² + 110² + C1) with C1 = 6.5025, to the power 0.1333.
        let [_, height, width, _] = SHAPE;
        let (x, y) = (vec![100; height * width], vec![110; height * width]);
        let value = ms_ssim(pictures(&x), pictures(&y)).unwrap();
        assert!((value - (22_006.502_5_f64 / 22_106.502_5).powf(0.1333)).abs() < 1e-9, "{value}");
    }

    #[test]
    fn identical_pictures_have_exactly_one_and_noise_only_lowers_it() {
        let clean = slope(0);
        assert_eq!(ms_ssim(pictures(&clean), pictures(&clean)), Ok(1.0));
        let values = [0, 4, 16, 40].map(|noise| ms_ssim(pictures(&clean), pictures(&slope(noise))).unwrap());
        assert!(values.windows(2).all(|pair| pair[1] < pair[0]), "{values:?}");
    }

    #[test]
    fn it_is_symmetric_and_channels_and_frames_are_averaged() {
        let (clean, noisy) = (slope(0), slope(20));
        let one = ms_ssim(pictures(&clean), pictures(&noisy)).unwrap();
        assert_eq!(ms_ssim(pictures(&noisy), pictures(&clean)), Ok(one));
        let [_, height, width, _] = SHAPE;
        let (still, changed) = ([&clean[..], &clean].concat(), [&clean[..], &noisy].concat());
        let expected = Ok(f64::midpoint(1.0, one));
        let clip = |samples| Pictures::new([2, height, width, 1], samples).unwrap();
        assert_eq!(ms_ssim(clip(&still), clip(&changed)), expected);
        let interleave = |second: &[u8]| clean.iter().zip(second).flat_map(|(&a, &b)| [a, b]).collect::<Vec<u8>>();
        let (still, changed) = (interleave(&clean), interleave(&noisy));
        let colour = |samples| Pictures::new([1, height, width, 2], samples).unwrap();
        assert_eq!(ms_ssim(colour(&still), colour(&changed)), expected);
    }

    #[test]
    fn a_negative_is_as_unlike_as_can_be() {
        // Every covariance is minus the variance, so that each cs is about −1 and counts as 0.
        let noise = slope(40);
        let negative: Vec<u8> = noise.iter().map(|sample| 255 - sample).collect();
        assert_eq!(ms_ssim(pictures(&noise), pictures(&negative)), Ok(0.0));
    }

    #[test]
    fn halving_averages_the_pixels_there_are() {
        // 1 2 3      (1+2+4+5)/4  (3+6)/2
        // 4 5 6  →
        // 7 8 9      (7+8)/2      9
        assert_eq!(halve(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 3), [3.0, 4.5, 7.5, 9.0]);
        assert_eq!(halve(&[1.0, 2.0, 3.0, 6.0], 2), [3.0]);
    }

    #[test]
    fn pictures_too_small_for_five_scales_are_refused_with_the_smallest_side() {
        let small = Pictures::new([1, 160, 164, 1], &[0; 160 * 164]).unwrap();
        assert_eq!(
            ms_ssim(small, small).unwrap_err().to_string(),
            "multi-scale SSIM needs pictures of at least 161 × 161, not 160 × 164"
        );
    }
}
