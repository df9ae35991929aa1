//! Encoding a sequence block by block: how many tokens the next block should keep is asked before it is fixed (paper,
//! inference: block i is searched with the blocks before it fixed).
//!
//! Block-causal attention never looks ahead, so what earlier blocks say to later ones, their keys and values, is computed
//! once, when a block is fixed: a candidate costs one block, not the sequence up to it.

use crate::bottleneck::{Bottleneck, Fsq};
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Layer, Untaped};
use crate::ops::{BlockKeys, Past, RopeTable, SHARD};
use crate::tensor::{shape, tokens, values};
use rayon::prelude::*;
use std::sync::OnceLock;

/// When the encoder has to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// For every candidate: the encoder is told how many tokens will be kept (the paper's).
    #[default]
    PerCount,
    /// Once a block, as if all tokens were kept; the tail is dropped behind it (nested codes: Rippel et al. 2014,
    /// Kusupati et al. 2022). Exact for a model without mask conditioning; for one with it, a saving that costs
    /// quality.
    Once,
}

/// A sequence whose first blocks are fixed, each with the tokens it keeps.
pub struct BlockSequence<'m> {
    model: &'m ElasticTok,
    encoding: Encoding,
    /// Earlier blocks that a block sees.
    window: usize,
    encoder: Memory,
    decoder: Memory,
    kept: Vec<usize>,
}

/// A block that is not fixed yet, behind those that are.
pub struct NextBlock<'s> {
    sequence: &'s BlockSequence<'s>,
    patches: &'s [f32],
    rope: RopeTable,
    /// What the bottleneck reads, if the encoder runs once.
    encoded: OnceLock<Untaped>,
}

/// What a fixed block became.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its reconstruction: patches (tokens, patch), values in (−1, 1).
    pub reconstruction: Vec<f32>,
    /// z of its kept tokens, (kept tokens, dims): what is transmitted of it. FSQ's codes in [−1, 1], or a VAE's means.
    pub latents: Vec<f32>,
    /// Code numbers of its kept tokens, one each, below the codebook's size; none for a VAE.
    pub codes: Option<Vec<u32>>,
}

/// What the layers of an encoder or a decoder remember of the fixed blocks.
#[derive(Default)]
pub(crate) struct Memory {
    layers: Vec<Past>,
}

impl Memory {
    /// Through all layers, behind the remembered blocks; with the keys and values of every layer.
    fn through(&self, layers: &[Layer], h: Untaped, rope: &RopeTable) -> (Untaped, Vec<BlockKeys>) {
        let nothing = Past::default();
        let mut own = Vec::with_capacity(layers.len());
        let h = layers.iter().enumerate().fold(h, |h, (i, layer)| {
            let (h, keys) = layer.forward_behind(&h, rope, self.layers.get(i).unwrap_or(&nothing));
            own.push(keys);
            h
        });
        (h, own)
    }

    fn bytes(&self) -> usize {
        self.layers.iter().map(Past::bytes).sum()
    }

    /// z of one block, or of several candidates for it, → patches, by a decoder that remembers the blocks before.
    pub(crate) fn decode(&self, model: &ElasticTok, z: Untaped, rope: &RopeTable) -> (Untaped, Vec<BlockKeys>) {
        let mut own = Vec::new();
        let patches = model.decode_through(z, |layers, h| {
            let (h, keys) = self.through(layers, h, rope);
            own = keys;
            h
        });
        (patches, own)
    }

    /// Remembers one more block of those that the next ones see: at most `window` before each.
    pub(crate) fn append(&mut self, block: Vec<BlockKeys>, model: &ElasticTok, window: usize) {
        let most_tokens = window.saturating_mul(model.config().block.tokens());
        if most_tokens == 0 {
            return;
        }
        self.layers.resize_with(block.len(), Past::default);
        self.layers.iter_mut().zip(block).for_each(|(past, keys)| past.append(keys, most_tokens));
    }
}

/// Code numbers of z (tokens, dims), one a token; none for a VAE.
pub(crate) fn codes(bottleneck: &Bottleneck, z: &[f32]) -> Option<Vec<u32>> {
    match bottleneck {
        Bottleneck::Vae { .. } => None,
        Bottleneck::Fsq { levels } => {
            let fsq = Fsq::new(levels);
            Some(z.chunks(fsq.dims()).map(|code| fsq.index(code)).collect())
        }
    }
}

/// Where the tokens of the block after `fixed` others stand.
pub(crate) fn positions(model: &ElasticTok, window: usize, fixed: usize) -> RopeTable {
    let tokens = model.config().block.tokens();
    // A block that sees nothing stands where training put such blocks.
    let first = if window == 0 { 0 } else { fixed * tokens };
    model.rope(first..first + tokens)
}

impl<'m> BlockSequence<'m> {
    /// Nothing fixed yet; every block will see all before it.
    pub fn new(model: &'m ElasticTok, encoding: Encoding) -> Self {
        Self::with_window(model, encoding, usize::MAX)
    }

    /// Every block will see at most `window` blocks before it, which bounds the memory of a long video: none with 0.
    ///
    /// What lies before the window still reaches a block through those inside it.
    pub fn with_window(model: &'m ElasticTok, encoding: Encoding, window: usize) -> Self {
        let (encoder, decoder) = Default::default();
        Self { model, encoding, window, encoder, decoder, kept: Vec::new() }
    }

    /// Kept tokens of each fixed block, in order: the history that the next block is reconstructed behind.
    pub fn history(&self) -> &[usize] {
        &self.kept
    }

    /// Bytes of the keys and values that are remembered of the fixed blocks.
    pub fn memory_bytes(&self) -> usize {
        self.encoder.bytes() + self.decoder.bytes()
    }

    /// The next block, given as patches (tokens, patch) with values in [−1, 1].
    ///
    /// # Panics
    /// If `patches` are not one block.
    pub fn next<'s>(&'s self, patches: &'s [f32]) -> NextBlock<'s> {
        let config = self.model.config();
        assert_eq!(patches.len(), config.block.values(), "one block of patches");
        let rope = positions(self.model, self.window, self.kept.len());
        NextBlock { sequence: self, patches, rope, encoded: OnceLock::new() }
    }

    /// Fixes the next block, patches (tokens, patch) with values in [−1, 1], with the tokens it keeps.
    ///
    /// # Panics
    /// If `patches` are not one block, or `kept_tokens` are more than it has.
    pub fn commit(&mut self, patches: &[f32], kept_tokens: usize) -> Committed {
        let next = self.next(patches);
        let (h, encoder) = match self.encoding {
            Encoding::PerCount => next.encode(&[kept_tokens]),
            Encoding::Once => next.encode(&[next.tokens()]),
        };
        let z = self.model.bottleneck(h, None, &next.mask(&[kept_tokens]));
        let bottleneck = &self.model.config().bottleneck;
        let latents = values(&z)[..kept_tokens * bottleneck.output_width()].to_vec();
        let codes = codes(bottleneck, &latents);
        let (reconstruction, decoder) = next.decode(z);
        let reconstruction = values(&reconstruction).to_vec();
        self.encoder.append(encoder, self.model, self.window);
        self.decoder.append(decoder, self.model, self.window);
        self.kept.push(kept_tokens);
        Committed { reconstruction, latents, codes }
    }
}

impl NextBlock<'_> {
    /// Its reconstruction for each candidate count: patches (tokens, patch), values in (−1, 1). Threads share the candidates;
    /// none of them changes the sequence.
    ///
    /// # Panics
    /// If a candidate is more than all tokens of the block.
    pub fn reconstruct(&self, candidates: &[usize]) -> Vec<Vec<f32>> {
        if self.sequence.encoding == Encoding::Once {
            // By all threads, before one of them could wait for it in the middle of a candidate.
            self.encode_once();
        }
        let shards = candidates.par_chunks(SHARD.div_ceil(self.tokens())).flat_map_iter(|candidates| {
            let (reconstructions, _) = self.decode(self.latents(candidates));
            values(&reconstructions).chunks(self.patches.len()).map(<[f32]>::to_vec).collect::<Vec<_>>()
        });
        shards.collect()
    }

    /// What the bottleneck reads, as if the block kept all its tokens.
    fn encode_once(&self) -> &Untaped {
        self.encoded.get_or_init(|| self.encode(&[self.tokens()]).0)
    }

    fn tokens(&self) -> usize {
        self.sequence.model.config().block.tokens()
    }

    /// One block for each candidate.
    fn mask(&self, candidates: &[usize]) -> PrefixMask {
        PrefixMask::new(self.tokens(), candidates.to_vec())
    }

    /// z of the block, once for each candidate.
    fn latents(&self, candidates: &[usize]) -> Untaped {
        let h = match self.sequence.encoding {
            Encoding::PerCount => self.encode(candidates).0,
            Encoding::Once => {
                let once = self.encode_once();
                let (rows, width) = shape(once);
                tokens(values(once).repeat(candidates.len()), rows * candidates.len(), width)
            }
        };
        self.sequence.model.bottleneck(h, None, &self.mask(candidates))
    }

    /// What the bottleneck reads, once for each count that the encoder is told.
    fn encode(&self, told: &[usize]) -> (Untaped, Vec<BlockKeys>) {
        let (model, mut own) = (self.sequence.model, Vec::new());
        let patch = model.config().block.patch_values();
        let patches = tokens(self.patches.repeat(told.len()), self.tokens() * told.len(), patch);
        let h = model.encode_through(patches, &self.mask(told), |layers, h| {
            let (h, keys) = self.sequence.encoder.through(layers, h, &self.rope);
            own = keys;
            h
        });
        (h, own)
    }

    fn decode(&self, z: Untaped) -> (Untaped, Vec<BlockKeys>) {
        self.sequence.decoder.decode(self.sequence.model, z, &self.rope)
    }
}
