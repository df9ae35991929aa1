//! Frames of any size ↔ blocks of a model: scaled until they cover the model's frame, its centre cut out, as evaluation
//! does; the last block of a clip is filled up with its last frame.

use super::resize::{Picture, resize};
use crate::error::EngineError;
use crate::patch::{BlockShape, normalize, to_pixels};
use serde::{Deserialize, Serialize};

/// How a frame was scaled, and the model's frame cut out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// (width, height) after scaling, in pixels.
    pub resized: [usize; 2],
    /// The first column and row of the part that was cut out, in pixels.
    pub crop: [usize; 2],
}

/// A frame this many times as long as the model's is refused: what is cut out says nothing about it, and scaled it may
/// not fit the memory.
const LONGEST: usize = 64;

impl Fit {
    /// How a frame of `width` × `height` pixels is made to fit the model's. Square frames, the usual case: the shortest
    /// side becomes the model's side.
    ///
    /// # Errors
    /// [`EngineError::Frame`] for one that has no pixels or is more than 64 times as long as the model's.
    pub fn new(width: usize, height: usize, block: BlockShape) -> Result<Self, EngineError> {
        let refused = EngineError::Frame { width, height, frame_width: block.width, frame_height: block.height };
        if width == 0 || height == 0 {
            return Err(refused);
        }
        // The side that is relatively shorter gets the model's length, the other is rounded down and still covers it.
        let resized = if width * block.height <= height * block.width {
            [block.width, height * block.width / width]
        } else {
            [width * block.height / height, block.height]
        };
        if resized[0] > LONGEST * block.width || resized[1] > LONGEST * block.height {
            return Err(refused);
        }
        Ok(Self { resized, crop: [(resized[0] - block.width) / 2, (resized[1] - block.height) / 2] })
    }

    /// The model's frame, cut out of the scaled `picture`.
    ///
    /// # Panics
    /// If it was made for another model's, larger than what is left behind [`crop`](Self::crop).
    pub fn apply(&self, picture: &Picture, block: BlockShape) -> Picture {
        let [width, height] = self.resized;
        let [x, y] = self.crop;
        resize(picture, width, height).crop(x, y, block.width, block.height)
    }
}

/// Frames of the model's size, at least one and at most a block's → the block's patches (tokens, patch) in [−1, 1].
///
/// # Panics
/// Without a frame.
pub fn to_block(frames: &[Picture], shape: BlockShape) -> Vec<f32> {
    let last = frames.last().expect("a block has a frame");
    let filled = frames.iter().chain(std::iter::repeat(last)).take(shape.frames);
    let pixels: Vec<u8> = filled.flat_map(|frame| &frame.pixels).copied().collect();
    shape.patchify(&normalize(&pixels))
}

/// A block's patches (tokens, patch) in [−1, 1] → its frames as people see them, clipped and rounded to 8 bits.
pub fn to_frames(block: &[f32], shape: BlockShape) -> Vec<Picture> {
    let (width, height) = (shape.width, shape.height);
    let pixels = to_pixels(&shape.unpatchify(block));
    let frames = pixels.chunks(pixels.len() / shape.frames);
    frames.map(|pixels| Picture { width, height, pixels: pixels.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Crop, fixed_crops, resize_shortest_side};
    use proptest::prelude::*;

    fn block(frames: usize, height: usize, width: usize) -> BlockShape {
        BlockShape::new(frames, height, width, [1, 4, 4]).unwrap()
    }

    fn picture(width: usize, height: usize) -> Picture {
        let pixels = (0..width * height * 3).map(|i| (i * i % 251) as u8).collect();
        Picture { width, height, pixels }
    }

    proptest! {
        #[test]
        fn a_fitted_frame_covers_the_models(width in 1_usize..300, height in 1_usize..300, w in 1_usize..10, h in 1_usize..10) {
            let block = block(1, 4 * h, 4 * w);
            if let Ok(fit) = Fit::new(width, height, block) {
                prop_assert!((0..2).all(|side| fit.resized[side] >= [block.width, block.height][side]));
                prop_assert!(fit.resized[0] == block.width || fit.resized[1] == block.height);
            }
        }
    }

    #[test]
    fn a_square_frame_is_the_centre_crop_that_evaluation_takes() {
        for (width, height) in [(50, 37), (37, 50), (16, 16), (10, 9)] {
            let picture = picture(width, height);
            let fit = Fit::new(width, height, block(1, 16, 16)).unwrap();
            let resized = resize_shortest_side(&picture, 16);
            let Crop { x, y } = fixed_crops(&resized, 16, 1)[0];
            assert_eq!(fit, Fit { resized: [resized.width, resized.height], crop: [x, y] });
            assert_eq!(fit.apply(&picture, block(1, 16, 16)), resized.crop(x, y, 16, 16));
        }
    }

    #[test]
    fn a_thread_of_pixels_is_refused() {
        let error = Fit::new(1, 1000, block(1, 16, 16)).unwrap_err().to_string();
        assert!(error.starts_with("a frame of 1×1000 pixels"), "{error}");
        assert!(Fit::new(0, 5, block(1, 16, 16)).is_err());
    }

    #[test]
    fn blocks_are_filled_with_the_last_frame_and_frames_come_back() {
        let shape = block(2, 4, 8);
        let frames: Vec<Picture> = (0..3).map(|i| Picture { pixels: vec![i * 90; 96], ..picture(8, 4) }).collect();
        assert_eq!(to_frames(&to_block(&frames[..2], shape), shape), frames[..2]);
        assert_eq!(to_frames(&to_block(&frames[2..], shape), shape), [frames[2].clone(), frames[2].clone()]);
    }
}
