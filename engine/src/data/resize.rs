//! Resizing exactly as Pillow's bilinear filter does, so that our inputs are the reference's inputs.
//!
//! The triangle filter is widened by the scale when shrinking (antialiasing); weights are 22-bit fixed point; the
//! horizontal pass comes first and is rounded to 8 bits before the vertical one.

use crate::patch::CHANNELS;

/// An 8-bit RGB picture, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// (row, column, channel): height · width · 3 values.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// The part of `width` × `height` pixels that starts at column `x` and row `y`.
    ///
    /// # Panics
    /// If it reaches past the picture.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        assert!(x + width <= self.width && y + height <= self.height, "the crop reaches past the picture");
        let row = |row: usize| &self.pixels[((y + row) * self.width + x) * CHANNELS..][..width * CHANNELS];
        Self { width, height, pixels: (0..height).flat_map(row).copied().collect() }
    }

    /// Left and right swapped.
    pub fn mirrored(&self) -> Self {
        let rows = self.pixels.chunks(self.width * CHANNELS);
        let pixels = rows.flat_map(|row| row.rchunks(CHANNELS).flatten()).copied().collect();
        Self { pixels, ..*self }
    }
}

/// Scales as [`resize`] so that the shortest side has `side` pixels; the longer one is rounded down (as the reference).
pub fn resize_shortest_side(picture: &Picture, side: usize) -> Picture {
    let shortest = picture.width.min(picture.height);
    resize(picture, picture.width * side / shortest, picture.height * side / shortest)
}

/// Scales to `width` × `height` pixels, bit for bit as Pillow's bilinear filter, which the reference uses: widened when
/// it shrinks (antialiasing), 22-bit weights, the horizontal pass first and rounded to 8 bits.
pub fn resize(picture: &Picture, width: usize, height: usize) -> Picture {
    let mut result = picture.clone();
    if width != picture.width {
        let filter = Filter::new(picture.width, width);
        let rows = result.pixels.chunks(result.width * CHANNELS);
        result.pixels = rows.flat_map(|row| filter.apply(|column, channel| row[column * CHANNELS + channel])).collect();
        result.width = width;
    }
    if height != picture.height {
        let filter = Filter::new(picture.height, height);
        let mut pixels = vec![0; width * height * CHANNELS];
        for column in 0..width {
            let values = filter.apply(|row, channel| result.pixels[(row * width + column) * CHANNELS + channel]);
            for (row, pixel) in values.chunks(CHANNELS).enumerate() {
                pixels[(row * width + column) * CHANNELS..][..CHANNELS].copy_from_slice(pixel);
            }
        }
        result = Picture { width, height, pixels };
    }
    result
}

/// Which source pixels, with which weights, make each pixel along one axis.
struct Filter {
    taps: Vec<(usize, Vec<i32>)>,
}

const PRECISION: u32 = 22;

impl Filter {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let taps = (0..to).map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - widening + 0.5).max(0.0) as usize;
            let last = ((centre + widening + 0.5) as usize).min(from);
            let triangle = |j: usize| (1.0 - ((j as f64 - centre + 0.5) / widening).abs()).max(0.0);
            let total: f64 = (first..last).map(triangle).sum();
            let fixed = |j: usize| (0.5 + triangle(j) / total * f64::from(1 << PRECISION)) as i32;
            (first, (first..last).map(fixed).collect())
        });
        Self { taps: taps.collect() }
    }

    /// All result pixels of one line; `source(position, channel)` reads it.
    fn apply(&self, source: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.taps.len() * CHANNELS);
        for (first, weights) in &self.taps {
            for channel in 0..CHANNELS {
                let half = 1 << (PRECISION - 1);
                let weighted = weights.iter().enumerate().map(|(j, w)| w * i32::from(source(first + j, channel)));
                line.push(((half + weighted.sum::<i32>()) >> PRECISION).clamp(0, 255) as u8);
            }
        }
        line
    }
}
