//! A model that answers a search, and what is measured of its reconstructions.

use crate::error::Result;
use crate::metric::{self, Pictures};
use crate::search::{DistortionSource, Evaluations, FlopsPerEvaluation, SearchError};
use engine::patch::to_pixels;
use engine::{BlockSequence, BlockShape, ModelConfig};
use std::time::Instant;

/// One block, asked of the model behind its earlier blocks, and timed.
pub(super) struct Live<'a> {
    pub(super) sequence: &'a BlockSequence<'a>,
    pub(super) block: &'a [f32],
    pub(super) flops: FlopsPerEvaluation,
    pub(super) seconds: f64,
}

impl DistortionSource for Live<'_> {
    fn distortions(&mut self, kept_tokens: &[usize]) -> std::result::Result<Vec<f64>, SearchError> {
        let began = Instant::now();
        let reconstructions = self.sequence.reconstruct(self.block, kept_tokens);
        let distortions = reconstructions.iter().map(|r| metric::mse(self.block, r)).collect();
        self.seconds += began.elapsed().as_secs_f64();
        Ok(distortions)
    }

    fn flops(&self, evaluations: &Evaluations) -> f64 {
        self.flops.total(evaluations)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.seconds)
    }
}

/// What one evaluation of the block after `earlier` fixed ones costs: each candidate runs the sequence up to it.
pub(super) fn flops(model: &ModelConfig, earlier: usize) -> FlopsPerEvaluation {
    let (encoder, decoder) = (model.encoder_flops(earlier + 1), model.decoder_flops(earlier + 1));
    FlopsPerEvaluation { encoder, decoder, commit: 0.0, final_reconstruction: encoder + decoder }
}

/// How good a reconstruction of one block is.
pub(super) struct Quality {
    pub(super) distortion: f64,
    pub(super) psnr: f64,
    pub(super) ssim: f64,
    /// The reconstruction as frames of bytes.
    pub(super) pixels: Vec<u8>,
}

/// Measures `reconstruction` against `block`, both as patches.
pub(super) fn quality(shape: BlockShape, block: &[f32], reconstruction: &[f32]) -> Result<Quality> {
    let bytes = |patches: &[f32]| to_pixels(&shape.unpatchify(patches));
    let (original, pixels) = (bytes(block), bytes(reconstruction));
    let size = [shape.frames, shape.height, shape.width, engine::patch::CHANNELS];
    let (a, b) = (Pictures::new(size, &original)?, Pictures::new(size, &pixels)?);
    let (psnr, ssim) = (metric::psnr(a, b)?, metric::ssim(a, b)?);
    Ok(Quality { distortion: metric::mse(block, reconstruction), psnr, ssim, pixels })
}

/// Every patch painted in its mean colour: what a model of this patch size must beat.
pub(super) fn mean_colour(block: &[f32], patch_values: usize) -> Vec<f32> {
    let channels = engine::patch::CHANNELS;
    let mut painted = block.to_vec();
    for patch in painted.chunks_mut(patch_values) {
        for channel in 0..channels {
            let values = patch.iter().skip(channel).step_by(channels);
            let mean = values.sum::<f32>() * channels as f32 / patch_values as f32;
            patch.iter_mut().skip(channel).step_by(channels).for_each(|value| *value = mean);
        }
    }
    painted
}
