//! A training batch, and its gradient computed by several threads at once.
//!
//! A small model's step is many small operations, each too short to share well. So a batch is cut into shards of whole
//! sequences; each shard goes through the model on one thread, with a tape of its own and activations that stay in that
//! core's cache, and the shards' gradients are added up in order. How a batch is cut depends on its shape alone, never
//! on the number of threads, so that sums have the same order everywhere. A batch of few long sequences is one shard
//! each; its operations then share the threads themselves.

use super::adamw::collect;
use crate::error::EngineError;
use crate::mask::PrefixMask;
use crate::model::ElasticTok;
use crate::ops::Scope;
use crate::perceptual::{self, FramePlace, PerceptualNetwork};
use crate::tensor::{Tape, tokens, value};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use rayon::prelude::*;
use std::sync::Arc;

/// A shard is at least this many tokens, so that its matrix products are large enough to be fast.
const SHARD_TOKENS: usize = 512;

/// At most this many shards: each holds the gradients of all weights.
const MOST_SHARDS: usize = 8;

/// Sequences with what was drawn for them.
pub(super) struct Batch {
    pub(super) sequences: usize,
    /// In [−1, 1], sequence after sequence.
    pub(super) patches: Vec<f32>,
    /// Kept tokens of each block.
    pub(super) kept: Vec<usize>,
    /// Standard normal values for a VAE.
    pub(super) noise: Option<Vec<f32>>,
    /// The segment of each block, if a sequence holds several: see [`Sequence`](super::Sequence).
    pub(super) segments: Option<Vec<i32>>,
    /// The frame that is compared by a perceptual network too.
    pub(super) frame: Option<DrawnFrame>,
}

/// A frame that stands for the whole batch in a perceptual loss.
#[derive(Clone)]
pub(super) struct DrawnFrame {
    pub(super) network: Arc<PerceptualNetwork>,
    pub(super) place: FramePlace,
    /// Pixels of the square it is scaled to.
    pub(super) side: usize,
    /// What its distance is multiplied by in the mean loss of these sequences.
    pub(super) weight: f32,
}

/// The loss of a batch and its gradient, in visiting order of the weights.
pub(super) struct Gradient {
    pub(super) loss: f32,
    pub(super) mse: f32,
    pub(super) kl: f32,
    pub(super) perceptual: f32,
    pub(super) of_weights: Vec<Vec<f32>>,
}

impl Gradient {
    /// Adds another's share; shares of a whole must be scaled to sum to one.
    pub(super) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.mse += other.mse;
        self.kl += other.kl;
        self.perceptual += other.perceptual;
        self.of_weights
            .par_iter_mut()
            .zip(&other.of_weights)
            .for_each(|(sum, part)| crate::kernel::rows::add(sum, part));
    }
}

impl Batch {
    /// Mean loss over the batch times `share`, and its gradient.
    pub(super) fn gradient(self, model: &ElasticTok, kl_weight: f32, share: f32) -> Result<Gradient, EngineError> {
        let tokens_per_sequence = self.kept.len() / self.sequences * model.config().block.tokens();
        let smallest = SHARD_TOKENS.div_ceil(tokens_per_sequence).max(self.sequences.div_ceil(MOST_SHARDS));
        let all = self.sequences as f32;
        let shards = (0..self.sequences).step_by(smallest).collect::<Vec<_>>().into_par_iter().map(|first| {
            let shard = self.shard(first, smallest.min(self.sequences - first));
            let share = share * shard.sequences as f32 / all;
            shard.gradient_on_one_tape(model, kl_weight, share)
        });
        let mut parts = shards.collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut sum = parts.next().expect("a batch holds at least one sequence");
        parts.for_each(|part| sum.add(&part));
        Ok(sum)
    }

    /// The part that starts at sequence `first`.
    fn shard(&self, first: usize, sequences: usize) -> Self {
        fn part<V: Clone>(all: &[V], of: usize, first: usize, count: usize) -> Vec<V> {
            let each = all.len() / of;
            all[first * each..(first + count) * each].to_vec()
        }
        let blocks = self.kept.len() / self.sequences;
        let frame = self.frame.as_ref().and_then(|frame| {
            let block = frame.place.block.checked_sub(first * blocks).filter(|block| *block < sequences * blocks)?;
            // It counts for all sequences, and this shard's mean loss for a share of them.
            let weight = frame.weight * self.sequences as f32 / sequences as f32;
            Some(DrawnFrame { place: FramePlace { block, ..frame.place }, weight, ..frame.clone() })
        });
        Self {
            sequences,
            frame,
            patches: part(&self.patches, self.sequences, first, sequences),
            kept: part(&self.kept, self.sequences, first, sequences),
            noise: self.noise.as_ref().map(|noise| part(noise, self.sequences, first, sequences)),
            segments: self.segments.as_ref().map(|segments| part(segments, self.sequences, first, sequences)),
        }
    }

    fn gradient_on_one_tape(self, model: &ElasticTok, kl_weight: f32, share: f32) -> Result<Gradient, EngineError> {
        let layout = model.layout(self.sequences, self.kept.len() / self.sequences);
        let patches = tokens(self.patches, layout.tokens(), model.config().block.patch_values());
        let mask = PrefixMask::new(layout.tokens_per_block, self.kept);
        let of_tokens = |of_blocks: Vec<i32>| {
            of_blocks.iter().flat_map(|segment| std::iter::repeat_n(*segment, layout.tokens_per_block)).collect()
        };
        let scope = Scope { segments: self.segments.map(of_tokens), ..Scope::block_causal(layout) };
        let loss = model.loss::<Tape>(patches.leaky_trace(), &patches, &mask, &scope, self.noise, kl_weight);
        let (mse, kl) = (loss.mse * share, loss.kl * share);
        let (total, perceptual) = match self.frame {
            None => (loss.total, 0.0),
            Some(DrawnFrame { network, place, side, weight }) => {
                let shape = model.config().block;
                let distance = perceptual::loss(&network, loss.reconstruction, &patches, shape, place, side);
                let distance_value = value(&distance) * weight * share;
                (loss.total + distance * weight, distance_value)
            }
        };
        let total_value = value(&total) * share;
        let mut grads = (total * share).backward();
        Ok(Gradient { loss: total_value, mse, kl, perceptual, of_weights: collect(model, &mut grads)? })
    }
}
