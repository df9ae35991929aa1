//! Structural similarity: do the small patches of two pictures have the same mean, contrast and pattern?
//!
//! Wang et al., «Image quality assessment: from error visibility to structural similarity», 2004. At every pixel a
//! Gaussian window weighs the neighbourhood; its means μ, variances σ² and covariance give
//!
//!   SSIM = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),  C1 = (0.01·255)², C2 = (0.03·255)²,
//!
//! averaged over the pixels whose window lies inside the picture, then over channels, then over frames. This is
//! scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
//! data_range=255`. Its default (a 7 × 7 box, which TokenBench uses) gives other numbers.
//!
//! The Gaussian is a product of a row and a column, so two passes of 11 taps replace one of 121.
use super::{Direction, MetricDef, MetricError, Pictures};

/// [`ssim`].
pub const SSIM: MetricDef = MetricDef {
    name: "ssim",
    version: 1,
    unit: "",
    direction: Direction::Higher,
    noisy: false,
    description: "Structural similarity of 8-bit pictures, 11 × 11 Gaussian window (σ 1.5), mean over pixels, \
                  channels and frames.",
};

/// Side of the window in pixels.
pub(super) const WINDOW: usize = 11;
/// Standard deviation of the window in pixels.
pub(super) const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Structural similarity of 8-bit pictures, in (-1, 1]; exactly 1 for identical ones.
///
/// # Errors
/// [`MetricError::ShapesDiffer`], or [`MetricError::SmallerThanWindow`] below 11 × 11 pixels.
pub fn ssim(original: Pictures<'_>, reconstruction: Pictures<'_>) -> Result<f64, MetricError> {
    original.same_shape(&reconstruction)?;
    let [_, height, width, _] = original.shape();
    if height < WINDOW || width < WINDOW {
        return Err(MetricError::SmallerThanWindow { height, width, window: WINDOW });
    }
    let window = gaussian();
    Ok(mean_over_planes(original, reconstruction, |x, y| similarity(&x, &y, width, &window).ssim))
}

/// Mean of `value` over the channels and frames of two sets of pictures of one shape.
pub(super) fn mean_over_planes(
    original: Pictures<'_>,
    reconstruction: Pictures<'_>,
    value: impl Fn(Vec<f64>, Vec<f64>) -> f64,
) -> f64 {
    let [frames, _, _, channels] = original.shape();
    let mut sum = 0.0;
    for (left, right) in original.frames().zip(reconstruction.frames()) {
        for channel in 0..channels {
            sum += value(plane(left, channels, channel), plane(right, channels, channel));
        }
    }
    sum / (frames * channels) as f64
}

/// The window's row (and column), summing to 1.
pub(super) fn gaussian() -> [f64; WINDOW] {
    let centre = (WINDOW / 2) as f64;
    let weights: [f64; WINDOW] =
        std::array::from_fn(|tap| (-(tap as f64 - centre).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// One channel of a frame, `(row, column)`.
fn plane(frame: &[u8], channels: usize, channel: usize) -> Vec<f64> {
    frame.iter().skip(channel).step_by(channels).map(|&sample| f64::from(sample)).collect()
}

/// How alike two planes are: means over the pixels whose window lies inside.
pub(super) struct Similarity {
    /// Luminance × contrast–structure: the first factor of the formula times the second.
    pub(super) ssim: f64,
    /// The second factor alone: variances and covariance, whatever the means.
    pub(super) contrast_structure: f64,
}

/// Compares two planes under every position of the window.
pub(super) fn similarity(x: &[f64], y: &[f64], width: usize, window: &[f64; WINDOW]) -> Similarity {
    let weighted = |value: fn(f64, f64) -> f64| {
        let plane: Vec<f64> = x.iter().zip(y).map(|(&x, &y)| value(x, y)).collect();
        filter(&plane, width, window)
    };
    let mean_x = weighted(|x, _| x);
    let mean_y = weighted(|_, y| y);
    // Only the sum of the two variances is needed: one filter for x² + y².
    let squares = weighted(|x, y| x * x + y * y);
    let products = weighted(|x, y| x * y);
    let mut sums = Similarity { ssim: 0.0, contrast_structure: 0.0 };
    for pixel in 0..mean_x.len() {
        let (x, y) = (mean_x[pixel], mean_y[pixel]);
        // So grouped that both factors of identical pictures round alike, and their quotient is exactly 1.
        let (mean_squares, mean_product) = (x * x + y * y, x * y);
        let variances = squares[pixel] - mean_squares;
        let covariance = products[pixel] - mean_product;
        let luminance = (2.0 * mean_product + C1, mean_squares + C1);
        let contrast_structure = (2.0 * covariance + C2, variances + C2);
        sums.ssim += luminance.0 * contrast_structure.0 / (luminance.1 * contrast_structure.1);
        sums.contrast_structure += contrast_structure.0 / contrast_structure.1;
    }
    let pixels = mean_x.len() as f64;
    Similarity { ssim: sums.ssim / pixels, contrast_structure: sums.contrast_structure / pixels }
}

/// The window's weighted means wherever it lies inside the plane: 10 rows and 10 columns fewer.
fn filter(plane: &[f64], width: usize, window: &[f64; WINDOW]) -> Vec<f64> {
    let inside = width + 1 - WINDOW;
    let mut rows = vec![0.0; plane.len() / width * inside];
    for (sums, row) in rows.chunks_exact_mut(inside).zip(plane.chunks_exact(width)) {
        add_weighted(sums, row, 1, window);
    }
    let mut filtered = vec![0.0; rows.len() - (WINDOW - 1) * inside];
    for (row, sums) in filtered.chunks_exact_mut(inside).enumerate() {
        add_weighted(sums, &rows[row * inside..], inside, window);
    }
    filtered
}

/// sums[i] += Σ window[tap] · values[i + tap · stride].
fn add_weighted(sums: &mut [f64], values: &[f64], stride: usize, window: &[f64; WINDOW]) {
    for (tap, weight) in window.iter().enumerate() {
        for (sum, value) in sums.iter_mut().zip(&values[tap * stride..]) {
            *sum += weight * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pictures(shape: [usize; 4], samples: &[u8]) -> Pictures<'_> {
        Pictures::new(shape, samples).unwrap()
    }

    #[test]
    fn of_flat_pictures_only_the_means_count() {
        // Variances and covariance are 0: (2·100·110 + C1) / (100² + 110² + C1) with C1 = 6.5025.
        let shape = [1, 12, 13, 1];
        let value = ssim(pictures(shape, &[100; 156]), pictures(shape, &[110; 156])).unwrap();
        assert!((value - 22_006.502_5 / 22_106.502_5).abs() < 1e-9, "{value}");
    }

    #[test]
    fn a_picture_of_one_window_is_the_formula_itself() {
        // Written out with the 121 weights of Wang et al. and no filter.
        let x: Vec<u8> = (0..121).map(|index| (index * 37 % 256) as u8).collect();
        let y: Vec<u8> = (0..121).map(|index| (index * 91 % 256) as u8).collect();
        let weight = |index: usize| {
            let (row, column) = ((index / 11) as f64 - 5.0, (index % 11) as f64 - 5.0);
            (-(row * row + column * column) / 4.5).exp()
        };
        let total: f64 = (0..121).map(weight).sum();
        let mean = |value: &dyn Fn(usize) -> f64| (0..121).map(|i| weight(i) * value(i)).sum::<f64>() / total;
        let (x_at, y_at) = (|i: usize| f64::from(x[i]), |i: usize| f64::from(y[i]));
        let (mean_x, mean_y) = (mean(&x_at), mean(&y_at));
        let variance_x = mean(&|i| (x_at(i) - mean_x).powi(2));
        let variance_y = mean(&|i| (y_at(i) - mean_y).powi(2));
        let covariance = mean(&|i| (x_at(i) - mean_x) * (y_at(i) - mean_y));
        let expected = (2.0 * mean_x * mean_y + C1) * (2.0 * covariance + C2)
            / ((mean_x * mean_x + mean_y * mean_y + C1) * (variance_x + variance_y + C2));
        let value = ssim(pictures([1, 11, 11, 1], &x), pictures([1, 11, 11, 1], &y)).unwrap();
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
    }

    #[test]
    fn channels_and_frames_are_averaged() {
        let shape = [1, 11, 11, 1];
        let (bright, dark) = ([200; 121], [40; 121]);
        let one = ssim(pictures(shape, &bright), pictures(shape, &dark)).unwrap();
        let clip = [bright, bright].concat();
        let half_right = [bright, dark].concat();
        let expected = f64::midpoint(1.0, one);
        assert_eq!(ssim(pictures([2, 11, 11, 1], &clip), pictures([2, 11, 11, 1], &half_right)), Ok(expected));
        let interleaved: Vec<u8> = (0..242).map(|index| if index % 2 == 0 { 200 } else { 40 }).collect();
        assert_eq!(ssim(pictures([1, 11, 11, 2], &clip), pictures([1, 11, 11, 2], &interleaved)), Ok(expected));
    }

    #[test]
    fn pictures_smaller_than_the_window_are_refused() {
        let small = pictures([1, 10, 12, 1], &[0; 120]);
        assert_eq!(
            ssim(small, small).unwrap_err().to_string(),
            "pictures of 10 × 12 are smaller than SSIM's window of 11 × 11"
        );
    }

    proptest! {
        #[test]
        fn exactly_one_for_identical_pictures_symmetric_and_at_most_one(
            x in prop::collection::vec(any::<u8>(), 13 * 14 * 3), y in prop::collection::vec(any::<u8>(), 13 * 14 * 3),
        ) {
            let (x, y) = (pictures([1, 13, 14, 3], &x), pictures([1, 13, 14, 3], &y));
            prop_assert_eq!(ssim(x, x), Ok(1.0));
            let value = ssim(x, y).unwrap();
            prop_assert_eq!(ssim(y, x), Ok(value));
            prop_assert!(value > -1.0 && value < 1.0);
        }
    }
}
