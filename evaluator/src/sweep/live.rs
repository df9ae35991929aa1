//! A model that answers a search, and what is measured of its reconstructions.

use crate::error::Result;
use crate::experiment::Criterion;
use crate::metric::{self, MetricError, Pictures};
use crate::search::{DistortionSource, Encoding, Evaluations, FlopsPerEvaluation, SearchError};
use crate::statistics::mean;
use engine::patch::to_pixels;
use engine::{BlockShape, ModelConfig, NextBlock};
use rayon::prelude::*;
use std::time::Instant;

/// One block, asked of the model behind its earlier blocks, and timed.
pub(crate) struct Live<'a> {
    pub(crate) next: &'a NextBlock<'a>,
    pub(crate) block: &'a [f32],
    pub(crate) shape: BlockShape,
    pub(crate) criterion: Criterion,
    pub(crate) encoding: Encoding,
    pub(crate) flops: FlopsPerEvaluation,
    pub(crate) seconds: f64,
}

impl DistortionSource for Live<'_> {
    fn distortions(&mut self, kept_tokens: &[usize]) -> std::result::Result<Vec<f64>, SearchError> {
        let began = Instant::now();
        let reconstructions = self.next.reconstruct(kept_tokens);
        let distortions = reconstructions.par_iter().map(|reconstruction| match self.criterion {
            Criterion::Mse => Ok(metric::mse(self.block, reconstruction)),
            Criterion::Ssim => {
                let quality = quality(self.shape, &[self.block], &[reconstruction])?;
                Ok(self.criterion.distortion(quality.mse, quality.ssim))
            }
        });
        let distortions = distortions.collect::<crate::error::Result<_>>();
        self.seconds += began.elapsed().as_secs_f64();
        distortions.map_err(|error| SearchError::Reconstruction { candidates: kept_tokens.len(), source: error.into() })
    }

    fn flops(&self, evaluations: &Evaluations) -> f64 {
        self.flops.total(evaluations)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.seconds)
    }

    fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// What one evaluation of a block that sees `earlier` fixed ones costs: theirs are remembered, a candidate runs one block.
pub(crate) fn flops(model: &ModelConfig, earlier: usize) -> FlopsPerEvaluation {
    let encoder = model.encoder_flops(earlier + 1) - model.encoder_flops(earlier);
    let decoder = model.decoder_flops(earlier + 1) - model.decoder_flops(earlier);
    FlopsPerEvaluation { encoder, decoder, commit: encoder + decoder, final_reconstruction: encoder + decoder }
}

/// How good a reconstruction of one or several blocks is.
pub(super) struct Quality {
    /// Mean squared error in [−1, 1] after clipping.
    pub(super) mse: f64,
    pub(super) psnr: f64,
    pub(super) ssim: f64,
    /// Not available for small pictures.
    pub(super) ms_ssim: Option<f64>,
    /// The reconstruction as frames of bytes.
    pub(super) pixels: Vec<u8>,
}

/// Measures blocks against what was made of them, both as patches.
pub(super) fn quality(shape: BlockShape, blocks: &[&[f32]], reconstructions: &[&[f32]]) -> Result<Quality> {
    let bytes = |blocks: &[&[f32]]| -> Vec<u8> {
        blocks.iter().flat_map(|patches| to_pixels(&shape.unpatchify(patches))).collect()
    };
    let (original, pixels) = (bytes(blocks), bytes(reconstructions));
    let size = [blocks.len() * shape.frames, shape.height, shape.width, engine::patch::CHANNELS];
    let (a, b) = (Pictures::new(size, &original)?, Pictures::new(size, &pixels)?);
    let (psnr, ssim) = (metric::psnr(a, b)?, metric::ssim(a, b)?);
    let ms_ssim = match metric::ms_ssim(a, b) {
        Ok(ms_ssim) => Some(ms_ssim),
        Err(MetricError::SmallerThanScales { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let errors = blocks.iter().zip(reconstructions).map(|(block, made)| metric::mse(block, made));
    Ok(Quality { mse: mean(&errors.collect::<Vec<_>>()), psnr, ssim, ms_ssim, pixels })
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
