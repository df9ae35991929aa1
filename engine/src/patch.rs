//! Frames ↔ tokens: the one home of how a block's pixels are cut into patches.
//!
//! Patches follow one another by time, row, column; inside a patch values follow by time, row, column, channel (the
//! reference's `patchify`).

use crate::error::EngineError;
use serde::{Deserialize, Serialize};

/// Channels of a pixel: red, green, blue.
pub const CHANNELS: usize = 3;

/// Pixels of the largest block.
const MOST_PIXELS: usize = 1 << 32;

/// How a block of frames is cut: `frames` frames of `height` × `width` pixels into patches of `patch`. Released were 4
/// frames of 256 × 256 in patches of (1, 8, 8) and (2, 8, 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockShape {
    /// Frames in a block; a still image fills them by repetition.
    pub frames: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// A patch's (time, height, width): frames, pixels, pixels. They divide the block's.
    pub patch: [usize; 3],
}

impl BlockShape {
    /// A shape whose patches tile the block.
    ///
    /// # Errors
    /// [`EngineError::Config`] where they do not, or for a block of no pixels or more than 2³².
    pub fn new(frames: usize, height: usize, width: usize, patch: [usize; 3]) -> Result<Self, EngineError> {
        let shape = Self { frames, height, width, patch };
        let tiles = [frames, height, width].iter().zip(patch).all(|(size, patch)| patch > 0 && size % patch == 0);
        // Above that, counting weights and operations would overflow; a second of 8K video has 8e8.
        let pixels = frames.checked_mul(height).and_then(|pixels| pixels.checked_mul(width)).unwrap_or(usize::MAX);
        if pixels > MOST_PIXELS {
            let size = format!("{frames} frames of {width}×{height}");
            Err(EngineError::config("model.block", size, format!("a block has at most {MOST_PIXELS} pixels")))
        } else if tiles && pixels > 0 {
            Ok(shape)
        } else {
            let rule = format!("patches must tile a block of {frames} frames of {width}×{height} pixels");
            Err(EngineError::config("model.patch", format!("{patch:?}"), rule))
        }
    }

    /// Patches along time, rows and columns.
    fn grid(&self) -> [usize; 3] {
        [self.frames / self.patch[0], self.height / self.patch[1], self.width / self.patch[2]]
    }

    /// Tokens of a block: one a patch.
    pub fn tokens(&self) -> usize {
        self.grid().iter().product()
    }

    /// Values in a patch: its pixels · 3.
    pub fn patch_values(&self) -> usize {
        self.patch.iter().product::<usize>() * CHANNELS
    }

    /// Values in a block: its pixels · 3.
    pub fn values(&self) -> usize {
        self.tokens() * self.patch_values()
    }

    /// Pixels of a block: what bits per pixel are counted by.
    pub fn pixels(&self) -> usize {
        self.frames * self.height * self.width
    }

    /// One block's frames (time, row, column, channel) → its patches (tokens, patch).
    pub fn patchify<V: Copy + Default>(&self, frames: &[V]) -> Vec<V> {
        let mut patches = vec![V::default(); self.values()];
        self.pair_rows(|frame, patch| patches[patch..][..self.row()].copy_from_slice(&frames[frame..][..self.row()]));
        patches
    }

    /// One block's patches (tokens, patch) → its frames (time, row, column, channel).
    pub fn unpatchify<V: Copy + Default>(&self, patches: &[V]) -> Vec<V> {
        let mut frames = vec![V::default(); self.values()];
        self.pair_rows(|frame, patch| frames[frame..][..self.row()].copy_from_slice(&patches[patch..][..self.row()]));
        frames
    }

    /// Values in one row of a patch: what is contiguous in both orders.
    fn row(&self) -> usize {
        self.patch[2] * CHANNELS
    }

    /// Calls `visit` with where each row of each patch starts among the frames and among the patches.
    fn pair_rows(&self, mut visit: impl FnMut(usize, usize)) {
        let ([_, rows, columns], [pt, ph, pw]) = (self.grid(), self.patch);
        for token in 0..self.tokens() {
            let (t, row, column) = (token / (rows * columns), token / columns % rows, token % columns);
            for dt in 0..pt {
                for dy in 0..ph {
                    let pixel = ((t * pt + dt) * self.height + row * ph + dy) * self.width + column * pw;
                    visit(pixel * CHANNELS, token * self.patch_values() + (dt * ph + dy) * self.row());
                }
            }
        }
    }
}

/// 8-bit pixels → values in [−1, 1]: x / 127.5 − 1, as the reference.
pub fn normalize(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|pixel| f32::from(*pixel) / 127.5 - 1.0).collect()
}

/// Values in [−1, 1] → 8-bit pixels, clipped and rounded (the reference truncates).
pub fn to_pixels(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn patches_round_trip(t in 1_usize..4, h in 1_usize..4, w in 1_usize..4, pt in 1_usize..3, ph in 1_usize..5, pw in 1_usize..5) {
            let shape = BlockShape::new(t * pt, h * ph, w * pw, [pt, ph, pw]).unwrap();
            let frames: Vec<u32> = (0..shape.values() as u32).collect();
            let patches = shape.patchify(&frames);
            prop_assert_eq!(shape.unpatchify(&patches), frames);
        }
    }

    #[test]
    fn every_pixel_value_survives_normalization() {
        let pixels: Vec<u8> = (0..=255).collect();
        assert_eq!(to_pixels(&normalize(&pixels)), pixels);
    }

    #[test]
    fn patches_that_do_not_tile_are_refused() {
        let error = BlockShape::new(1, 64, 60, [1, 8, 8]).unwrap_err().to_string();
        assert_eq!(error, "model.patch = [1, 8, 8]: patches must tile a block of 1 frames of 60×64 pixels");
    }
}
