//! What a block's pixels say, before any model, of how many tokens it will need.
//!
//! ElasticTok's Figure 9 shows its token counts rising with the high-frequency energy of the content, and its reviewers
//! asked for a motion heuristic beside the learned regressor. These three are such baselines: a predictor of token counts
//! that does not beat them has learnt nothing they do not know. They describe the original alone, and cost a pass or two
//! over its pixels.
use crate::metric::{Direction, MetricDef, Pictures};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// [`high_frequency_energy`].
pub const HIGH_FREQUENCY_ENERGY: MetricDef = MetricDef {
    name: "high_frequency_energy",
    version: 1,
    unit: "",
    direction: Direction::Neither,
    noisy: false,
    description: "Mean square of luma minus its mean over the surrounding 9 × 9 pixels, in [-1, 1], over all frames.",
};

/// [`jpeg_bytes`] at [`JPEG_QUALITY`].
pub const JPEG_BYTES: MetricDef = MetricDef {
    name: "jpeg_bytes",
    version: 1,
    unit: "byte",
    direction: Direction::Neither,
    noisy: false,
    description: "Bytes of a JPEG of each frame at quality 75, without headers, chroma not subsampled, sum over frames.",
};

/// [`frame_difference`].
pub const FRAME_DIFFERENCE: MetricDef = MetricDef {
    name: "frame_difference",
    version: 1,
    unit: "",
    direction: Direction::Neither,
    noisy: false,
    description: "Mean square difference of successive frames in [-1, 1]; 0 for a single frame.",
};

/// The quality at which [`JPEG_BYTES`] is measured: libjpeg's default.
pub const JPEG_QUALITY: u8 = 75;

/// Neighbours on either side that the low-pass averages: 9 pixels, the least odd number that covers a patch of 8.
const NEIGHBOURS: usize = 4;

/// Mean square of what a low-pass at the scale of a patch removes from luma, in [-1, 1]: 0 for a flat picture, 1 at most.
///
/// The low-pass is the mean over 9 × 9 pixels (at an edge, of those there are); luma is that of JPEG
/// (0.299 R + 0.587 G + 0.114 B), or the sample itself in grey pictures. Energies span decades: correlate their logarithm.
/// The paper does not state its own definition of high-frequency energy.
///
/// # Panics
/// If the pictures have neither 1 nor 3 channels.
pub fn high_frequency_energy(pictures: Pictures<'_>) -> f64 {
    let [_, height, width, channels] = pictures.shape();
    let mut squares = 0.0;
    let mut pixels = 0;
    for frame in pictures.frames() {
        let luma = luma(frame, channels);
        let low = transposed_row_means(&transposed_row_means(&luma, width), height);
        squares += luma.iter().zip(&low).map(|(luma, low)| (luma - low).powi(2)).sum::<f64>();
        pixels += luma.len();
    }
    squares / pixels as f64 / (1000.0 * 127.5_f64).powi(2)
}

/// Luma in thousandths of a byte's level: whole numbers, so that flat pictures have an energy of exactly 0.
fn luma(frame: &[u8], channels: usize) -> Vec<f64> {
    match channels {
        1 => frame.iter().map(|&sample| 1000.0 * f64::from(sample)).collect(),
        3 => {
            let weigh = |rgb: &[u8]| 299.0 * f64::from(rgb[0]) + 587.0 * f64::from(rgb[1]) + 114.0 * f64::from(rgb[2]);
            frame.chunks_exact(3).map(weigh).collect()
        }
        _ => panic!("luma is defined for 1 or 3 channels, not {channels}"),
    }
}

/// Every pixel's mean over its row's neighbours, `(column, row)`: twice is the mean over rows and columns.
fn transposed_row_means(plane: &[f64], width: usize) -> Vec<f64> {
    let columns = (0..width).flat_map(|column| {
        let window = column.saturating_sub(NEIGHBOURS)..(column + NEIGHBOURS + 1).min(width);
        plane.chunks_exact(width).map(move |row| {
            let values = &row[window.clone()];
            values.iter().sum::<f64>() / values.len() as f64
        })
    });
    columns.collect()
}

/// Bytes of the frames as baseline JPEGs of `quality` (1 to 100), one by one, chroma not subsampled.
///
/// Only the coded pixels count: headers and tables, some 600 bytes a frame whatever it shows, would drown small blocks.
///
/// # Panics
/// If the pictures have neither 1 nor 3 channels, or a side above 65 535 pixels.
pub fn jpeg_bytes(pictures: Pictures<'_>, quality: u8) -> usize {
    let [_, height, width, channels] = pictures.shape();
    let colour = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => panic!("a JPEG has 1 or 3 channels, not {channels}"),
    };
    let frame_bytes = |frame| {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, quality)
            .encode(frame, width as u32, height as u32, colour)
            .expect("memory takes a JPEG of at most 65 535 pixels a side");
        coded_pixels(&jpeg).len()
    };
    pictures.frames().map(frame_bytes).sum()
}

/// What stands between the header of the (only) scan and the end-of-image marker.
fn coded_pixels(jpeg: &[u8]) -> &[u8] {
    const START_OF_SCAN: u8 = 0xda;
    let mut rest = &jpeg[2..];
    loop {
        // A segment: 0xff, its kind, and the length of what follows the kind.
        let (kind, length) = (rest[1], u16::from_be_bytes([rest[2], rest[3]]));
        rest = &rest[2 + usize::from(length)..];
        if kind == START_OF_SCAN {
            return &rest[..rest.len() - 2];
        }
    }
}

/// Mean square difference of each frame from the one before, in [-1, 1], so at most 4; 0 for a single frame.
pub fn frame_difference(pictures: Pictures<'_>) -> f64 {
    let frames: Vec<&[u8]> = pictures.frames().collect();
    let steps = frames.windows(2).flat_map(|pair| pair[0].iter().zip(pair[1]));
    let squares: u64 = steps.map(|(&before, &after)| u64::from(before.abs_diff(after)).pow(2)).sum();
    let values = (frames.len() - 1).max(1) * frames[0].len();
    squares as f64 / values as f64 / (127.5 * 127.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    fn grey(samples: &[u8]) -> Pictures<'_> {
        Pictures::new([1, SIDE, SIDE, 1], samples).unwrap()
    }

    /// 128 with noise of ±`amplitude` levels.
    fn noise(amplitude: usize) -> Vec<u8> {
        let step = |i: usize| (i * 7919 % 1009) % (2 * amplitude + 1);
        (0..SIDE * SIDE).map(|i| (128 + step(i) - amplitude) as u8).collect()
    }

    /// Means of each pixel and its right neighbour.
    fn blurred(samples: &[u8]) -> Vec<u8> {
        let row = |row: &[u8]| {
            let right = row[1..].iter().chain(row.last());
            row.iter().zip(right).map(|(&left, &right)| left.midpoint(right)).collect::<Vec<u8>>()
        };
        samples.chunks(SIDE).flat_map(row).collect()
    }

    fn rises(values: &[f64]) -> bool {
        values.windows(2).all(|pair| pair[0] < pair[1])
    }

    #[test]
    fn a_flat_picture_has_no_energy_whatever_its_colour() {
        for level in [0, 1, 77, 255] {
            assert_eq!(high_frequency_energy(grey(&[level; SIDE * SIDE])), 0.0);
        }
        let orange = [255, 153, 51].repeat(13 * 11);
        assert_eq!(high_frequency_energy(Pictures::new([1, 13, 11, 3], &orange).unwrap()), 0.0);
    }

    #[test]
    fn a_checkerboard_by_hand() {
        // 4 × 4 squares of ±1, all under every window: their mean is 0 and nothing is removed.
        let samples: Vec<u8> = (0..16).map(|i| if (i / 4 + i % 4) % 2 == 0 { 0 } else { 255 }).collect();
        assert_eq!(high_frequency_energy(Pictures::new([1, 4, 4, 1], &samples).unwrap()), 1.0);
        // Halfway in amplitude is a quarter of the energy: ±85 levels of 127.5 is ±2/3.
        let paler: Vec<u8> = samples.iter().map(|&sample| if sample == 0 { 40 } else { 210 }).collect();
        let energy = high_frequency_energy(Pictures::new([1, 4, 4, 1], &paler).unwrap());
        assert!((energy - 4.0 / 9.0).abs() < 1e-12, "{energy}");
    }

    #[test]
    fn a_colour_counts_by_its_luma() {
        // Black beside green: luma −1 and −1 + 2·0.587, mean between them, ±0.587 left.
        let energy = high_frequency_energy(Pictures::new([1, 1, 2, 3], &[0, 0, 0, 0, 255, 0]).unwrap());
        assert!((energy - 0.587 * 0.587).abs() < 1e-12, "{energy}");
    }

    #[test]
    fn a_slope_keeps_its_energy_out_of_the_interior() {
        // The mean around a pixel of a slope is the pixel itself; only the clipped windows at the edge differ.
        let width = 9;
        let slope: Vec<f64> = (0..width).map(f64::from).collect();
        let means = transposed_row_means(&slope, width as usize);
        assert_eq!(means[4], 4.0);
        // Columns 0..=4 of the first pixel: mean 2.
        assert_eq!(means[0], 2.0);
    }

    #[test]
    fn noise_has_more_energy_than_its_blur_and_more_noise_has_more() {
        let noisy = noise(60);
        assert!(high_frequency_energy(grey(&noisy)) > 1.5 * high_frequency_energy(grey(&blurred(&noisy))));
        assert!(rises(&[0, 5, 20, 60].map(|amplitude| high_frequency_energy(grey(&noise(amplitude))))));
    }

    #[test]
    fn a_mid_grey_jpeg_by_hand() {
        // A block of 8 × 8 at 128 is a DC difference of 0 (2 bits) and an end of block (4): 6 bits, 1 byte; 16 are 12.
        let flat = [128; SIDE * SIDE];
        assert_eq!(jpeg_bytes(Pictures::new([1, 8, 8, 1], &flat[..64]).unwrap(), JPEG_QUALITY), 1);
        assert_eq!(jpeg_bytes(grey(&flat), JPEG_QUALITY), 12);
        // In colour the two chroma blocks add 2 + 2 bits each: 14 bits, 2 bytes.
        assert_eq!(jpeg_bytes(Pictures::new([1, 8, 8, 3], &flat[..192]).unwrap(), JPEG_QUALITY), 2);
    }

    #[test]
    fn jpeg_bytes_grow_with_noise_and_quality_and_add_up_over_frames() {
        assert!(rises(&[0, 10, 40, 100].map(|amplitude| jpeg_bytes(grey(&noise(amplitude)), JPEG_QUALITY) as f64)));
        let noisy = noise(40);
        assert!(rises(&[10, 50, 75, 95].map(|quality| jpeg_bytes(grey(&noisy), quality) as f64)));
        let clip = [&noisy[..], &noise(10)].concat();
        let clip = Pictures::new([2, SIDE, SIDE, 1], &clip).unwrap();
        let frames = jpeg_bytes(grey(&noisy), 75) + jpeg_bytes(grey(&noise(10)), 75);
        assert_eq!(jpeg_bytes(clip, 75), frames);
    }

    #[test]
    fn a_still_repeated_does_not_move_and_neither_does_one_frame() {
        let still = noise(60).repeat(3);
        assert_eq!(frame_difference(Pictures::new([3, SIDE, SIDE, 1], &still).unwrap()), 0.0);
        assert_eq!(frame_difference(grey(&noise(60))), 0.0);
    }

    #[test]
    fn frame_difference_by_hand_and_backwards() {
        // Three frames of two samples. Steps 0 → 255 and 10 → 10, then 255 → 0 and 10 → 10: 2, 0, 2, 0 in [-1, 1].
        let clip = [0, 10, 255, 10, 0, 10];
        assert_eq!(frame_difference(Pictures::new([3, 1, 2, 1], &clip).unwrap()), 2.0);
        let clip = [[7, 9], [30, 8], [200, 77]];
        let backwards = [clip[2], clip[1], clip[0]];
        let of = |clip: &[[u8; 2]; 3]| frame_difference(Pictures::new([3, 1, 2, 1], clip.as_flattened()).unwrap());
        assert_eq!(of(&clip), of(&backwards));
    }
}
