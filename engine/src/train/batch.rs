//! A training batch, and its gradient computed by several threads at once.
//!
//! A small model's step is many small operations, each too short to share well. So a batch is cut into shards of whole
//! sequences; each shard goes through the model by itself, with a tape of its own and activations that stay in a core's
//! cache. A few sums of gradients are made at once, each of some shards one after the other, and are added up in order. How a
//! batch is cut depends on its shape alone, never on the number of threads, so that sums have the same order
//! everywhere. A batch of few long sequences is one shard each; its operations then share the threads themselves.

use super::adamw::collect;
use crate::block::Layout;
use crate::error::EngineError;
use crate::kernel::rows;
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Loss};
use crate::ops::{SHARD, Scope};
use crate::patch::BlockShape;
use crate::perceptual::{self, FramePlace, PerceptualNetwork};
use crate::tensor::{Grads, Scalar, Tape, Tokens, tokens, value};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// At most this many shards.
const MOST_SHARDS: usize = 8;

/// Sums of gradients that are made at once, at most: each is as large as all weights. As many threads have a shard each;
/// further ones take parts of its operations.
const MOST_SUMS: usize = 4;

/// Numbers of a gradient that one thread adds up at a time.
const PIECE: usize = 1 << 12;

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

/// What was minimized, and its parts: see [`StepReport`](super::StepReport).
#[derive(Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Losses {
    pub(super) loss: f32,
    pub(super) mse: f32,
    pub(super) kl: f32,
    pub(super) perceptual: f32,
}

impl Losses {
    /// Adds another's share; shares of a whole must be scaled to sum to one.
    pub(super) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.mse += other.mse;
        self.kl += other.kl;
        self.perceptual += other.perceptual;
    }
}

/// The loss of a batch and its gradient, in visiting order of the weights.
pub(super) struct Gradient {
    pub(super) losses: Losses,
    pub(super) of_weights: Vec<Vec<f32>>,
}

impl Gradient {
    /// As [`Losses::add`], of several in their order.
    pub(super) fn add(&mut self, others: &[Self]) {
        others.iter().for_each(|other| self.losses.add(&other.losses));
        let each = self.of_weights.par_iter_mut().enumerate();
        // Piece by piece, so that a sum stays in the cache until all are added.
        each.flat_map(|(weight, sum)| sum.par_chunks_mut(PIECE).enumerate().map(move |(at, sum)| (weight, at, sum)))
            .for_each(|(weight, at, sum)| {
                let parts = others.iter().map(|other| &other.of_weights[weight][at * PIECE..]);
                parts.for_each(|part| rows::add(sum, part));
            });
    }
}

/// Sequences that go through the model on one tape, of a batch that one worker computes.
pub(crate) fn sequences_of_shard(sequences: usize, tokens_per_sequence: usize) -> usize {
    SHARD.div_ceil(tokens_per_sequence).max(sequences.div_ceil(MOST_SHARDS)).min(sequences)
}

/// Sums of gradients that are made of such a batch.
pub(crate) fn sums_of_batch(sequences: usize, tokens_per_sequence: usize) -> usize {
    let shards = sequences.div_ceil(sequences_of_shard(sequences, tokens_per_sequence));
    shards.div_ceil(shards_of_sum(shards))
}

/// Of so many, how many add to one sum.
fn shards_of_sum(shards: usize) -> usize {
    shards.div_ceil(MOST_SUMS)
}

impl Batch {
    /// Mean loss over the batch times `share`, and its gradient.
    pub(super) fn gradient(self, model: &ElasticTok, kl_weight: f32, share: f32) -> Result<Gradient, EngineError> {
        let tokens_per_sequence = self.kept.len() / self.sequences * model.config().block.tokens();
        let each = sequences_of_shard(self.sequences, tokens_per_sequence);
        // One shard is the batch: nothing need be copied.
        if each == self.sequences {
            let mut sum = Sum::nothing();
            sum.add(self, model, kl_weight, share);
            return sum.finish(model);
        }
        let all = self.sequences as f32;
        let firsts: Vec<usize> = (0..self.sequences).step_by(each).collect();
        let sums = firsts.par_chunks(shards_of_sum(firsts.len())).map(|firsts| {
            let mut sum = Sum::nothing();
            for first in firsts {
                let shard = self.shard(*first, each.min(self.sequences - first));
                let share = share * shard.sequences as f32 / all;
                sum.add(shard, model, kl_weight, share);
            }
            sum.finish(model)
        });
        let mut sums = sums.collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut gradient: Gradient = sums.next().expect("a batch holds at least one sequence");
        gradient.add(sums.as_slice());
        Ok(gradient)
    }

    /// The part that starts at sequence `first`.
    fn shard(&self, first: usize, sequences: usize) -> Self {
        fn part<V: Clone>(all: &[V], of: usize, first: usize, count: usize) -> Vec<V> {
            let each = all.len() / of;
            all[first * each..(first + count) * each].to_vec()
        }
        Self {
            sequences,
            frame: self.frame_of(first..first + sequences),
            patches: part(&self.patches, self.sequences, first, sequences),
            kept: part(&self.kept, self.sequences, first, sequences),
            noise: self.noise.as_ref().map(|noise| part(noise, self.sequences, first, sequences)),
            segments: self.segments.as_ref().map(|segments| part(segments, self.sequences, first, sequences)),
        }
    }

    /// The drawn frame, if it belongs to one of these sequences, as one of theirs.
    pub(super) fn frame_of(&self, sequences: Range<usize>) -> Option<DrawnFrame> {
        let frame = self.frame.as_ref()?;
        let each = self.kept.len() / self.sequences;
        let blocks = sequences.start * each..sequences.end * each;
        let block = blocks.contains(&frame.place.block).then(|| frame.place.block - blocks.start)?;
        // It counts for all sequences, and the mean loss of these for a share of them.
        let weight = frame.weight * self.sequences as f32 / sequences.len() as f32;
        Some(DrawnFrame { place: FramePlace { block, ..frame.place }, weight, ..frame.clone() })
    }
}

/// The gradient of some shards.
struct Sum {
    losses: Losses,
    grads: Grads,
}

impl Sum {
    fn nothing() -> Self {
        Self { losses: Losses::default(), grads: Grads::leaky() }
    }

    /// Adds a shard's mean loss times `share`, and the gradient of that to what is there.
    fn add(&mut self, shard: Batch, model: &ElasticTok, kl_weight: f32, share: f32) {
        let layout = model.layout(shard.sequences, shard.kept.len() / shard.sequences);
        let patches = tokens(shard.patches, layout.tokens(), model.config().block.patch_values());
        let mask = PrefixMask::new(layout.tokens_per_block, shard.kept);
        let scope = scope(layout, shard.segments.as_deref());
        let traced = patches.trace(std::mem::replace(&mut self.grads, Grads::leaky()));
        let loss = model.loss::<Tape>(traced, &patches, &mask, &scope, shard.noise, kl_weight);
        let (losses, total) = weigh(loss, shard.frame, &patches, model.config().block, share);
        self.losses.add(&losses);
        self.grads = total.backward();
    }

    fn finish(mut self, model: &ElasticTok) -> Result<Gradient, EngineError> {
        Ok(Gradient { losses: self.losses, of_weights: collect(model, &mut self.grads)? })
    }
}

/// Who may see whom, where blocks belong to these segments.
pub(super) fn scope(layout: Layout, segments_of_blocks: Option<&[i32]>) -> Scope {
    let of_tokens = |of_blocks: &[i32]| {
        of_blocks.iter().flat_map(|segment| std::iter::repeat_n(*segment, layout.tokens_per_block)).collect()
    };
    Scope { segments: segments_of_blocks.map(of_tokens), ..Scope::block_causal(layout) }
}

/// Adds the perceptual part, if a frame was drawn, and takes `share` of the sum: what it is, and where its gradient
/// starts.
pub(super) fn weigh(
    loss: Loss<Tape>,
    frame: Option<DrawnFrame>,
    patches: &Tokens,
    shape: BlockShape,
    share: f32,
) -> (Losses, Scalar<Tape>) {
    let (mse, kl) = (loss.mse * share, loss.kl * share);
    let (total, perceptual) = match frame {
        None => (loss.total, 0.0),
        Some(DrawnFrame { network, place, side, weight }) => {
            let distance = perceptual::loss(&network, loss.reconstruction, patches, shape, place, side);
            let distance_value = value(&distance) * weight * share;
            (loss.total + distance * weight, distance_value)
        }
    };
    (Losses { loss: value(&total) * share, mse, kl, perceptual }, total * share)
}
