//! The perceptual distance of one reconstructed frame as a loss on the tape.

use super::PerceptualNetwork;
use super::map::FeatureMap;
use super::separable::{self, Axis};
use crate::ops::MaybeTape;
use crate::patch::{BlockShape, CHANNELS};
use crate::tensor::{Scalar, Tokens, scalar, take, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// One frame of one block of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// Which block, counted from 0 through all sequences.
    pub block: usize,
    /// Which of its frames, counted from 0.
    pub frame: usize,
}

/// The distance of one frame of `reconstruction` from that of `target`, both scaled to `side` × `side` pixels first
/// (bilinear, antialiased). The reference adds 0.1 of it, of a random frame of a random block, at 224 pixels.
///
/// Patches (n, patch) of whole blocks of `shape`; `target` is data and gets no gradient.
///
/// # Panics
/// If `place` is not in the batch, or `side` is below the network's
/// [`smallest_side`](PerceptualNetwork::smallest_side).
pub fn loss<T: MaybeTape>(
    network: &PerceptualNetwork,
    reconstruction: Tokens<T>,
    target: &Tokens,
    shape: BlockShape,
    place: FramePlace,
    side: usize,
) -> Scalar<T> {
    let (y, mut tape) = reconstruction.split_tape();
    let scaled =
        Scaled { shape, place, rows: Axis::bilinear(shape.height, side), columns: Axis::bilinear(shape.width, side) };
    let (a, b) = (scaled.picture(values(&y)), scaled.picture(values(target)));
    if !T::OWNS_TAPE {
        return scalar(network.distance(&a.values, &b.values, side, side) as f32).put_tape(tape);
    }
    let (distance, gradient) = network.distance_and_gradient(&a.values, &b.values, side, side);
    let loss = scalar(distance as f32);
    let (result, y) = (loss.ghost(), y.ghost());
    tape.add_backward_op(move |grads| {
        let factor = take(grads.get_or_alloc_mut(&result)?)[0];
        let gradient = FeatureMap::new(side, side, CHANNELS, gradient);
        scaled.add_gradient(grads.get_or_alloc_mut(&y)?, &gradient, factor);
        Ok(())
    });
    loss.put_tape(tape)
}

/// How a frame of a batch becomes the picture that the network sees.
struct Scaled {
    shape: BlockShape,
    place: FramePlace,
    rows: Axis,
    columns: Axis,
}

impl Scaled {
    /// Values of one frame.
    fn frame_values(&self) -> usize {
        self.shape.height * self.shape.width * CHANNELS
    }

    fn picture(&self, patches: &[f32]) -> FeatureMap {
        let block = &patches[self.place.block * self.shape.values()..][..self.shape.values()];
        let frames = self.shape.unpatchify(block);
        let frame = frames[self.place.frame * self.frame_values()..][..self.frame_values()].to_vec();
        let frame = FeatureMap::new(self.shape.height, self.shape.width, CHANNELS, frame);
        separable::apply(&frame, &self.rows, &self.columns)
    }

    /// patches += factor · the gradient of the frame behind that of the scaled picture.
    fn add_gradient(&self, patches: &mut [f32], gradient: &FeatureMap, factor: f32) {
        let frame = separable::apply(gradient, &self.rows.transposed(), &self.columns.transposed());
        let mut frames = vec![0.0; self.shape.values()];
        frames[self.place.frame * self.frame_values()..][..self.frame_values()].copy_from_slice(&frame.values);
        let block = &mut patches[self.place.block * self.shape.values()..][..self.shape.values()];
        crate::kernel::rows::add_scaled(block, &self.shape.patchify(&frames), factor);
    }
}
