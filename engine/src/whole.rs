//! A whole sequence at once, cut among the workers of a ring: encoding where every block's count is known beforehand, and
//! decoding, where it always is.
//!
//! [`BlockSequence`](crate::BlockSequence) goes block by block, since a search fixes one before it looks at the next, and
//! remembers keys and values of every layer for all blocks so far: 8 · width · layers bytes a token (4 in bf16), in one
//! place. Where nothing is searched all blocks can go through a layer together, and only that layer's keys and values are
//! held: each worker has an N-th of them, and of all else that grows with the sequence.

use crate::block::Layout;
use crate::decoding::UndecodableBlock;
use crate::error::EngineError;
use crate::inference::codes;
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Layer, Untaped, through};
use crate::ops::{RopeTable, Scope};
use crate::ring::{Mesh, Place, Ring, Rows, SequenceRing, Workers};
use crate::tensor::{tokens, values};
use crate::tokens::{BlockTokens, TokenValues};
use std::rc::Rc;

/// A model whose sequences are cut among workers that are threads of this process. Every block sees all before it.
pub struct SharedSequences<'m> {
    model: &'m ElasticTok,
    workers: Workers,
}

impl<'m> SharedSequences<'m> {
    /// Workers that share the cores of rayon's current pool.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a mesh that has groups, of which a single sequence uses one;
    /// [`EngineError::Threads`] if the system gives no more threads.
    pub fn new(model: &'m ElasticTok, mesh: Mesh) -> Result<Self, EngineError> {
        if mesh.data != 1 {
            let rule = "a single sequence has no groups to be dealt to: use sequence=N alone";
            return Err(EngineError::config("mesh", mesh, rule));
        }
        Ok(Self { model, workers: Workers::new(mesh, rayon::current_num_threads())? })
    }

    /// The tokens of each block of a sequence, given as patches (tokens, patch) in [−1, 1], block after block, and how many
    /// each keeps.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a sequence too short for the mesh, [`EngineError::Ring`] if a worker was lost.
    ///
    /// # Panics
    /// If `patches` are not one block for each count, or a count is more than a block has.
    pub fn encode(&self, patches: &[f32], kept_tokens: &[usize]) -> Result<Vec<BlockTokens>, EngineError> {
        let (layout, config) = (self.layout(kept_tokens.len())?, self.model.config());
        assert_eq!(patches.len(), kept_tokens.len() * config.block.values(), "one block of patches for each count");
        let mask = PrefixMask::new(layout.tokens_per_block, kept_tokens.to_vec());
        let width = config.bottleneck.output_width();
        let z = self.all_rows(layout, width, |worker| worker.latents(patches, &mask))?;
        let blocks = z.chunks(layout.tokens_per_block * width).zip(kept_tokens).map(|(z, kept)| {
            let latents = &z[..kept * width];
            let values = match codes(&config.bottleneck, latents) {
                Some(codes) => TokenValues::Codes(codes),
                None => TokenValues::Means(latents.to_vec()),
            };
            BlockTokens { kept_tokens: *kept, values }
        });
        Ok(blocks.collect())
    }

    /// The patches (tokens, patch) of each block, values in (−1, 1).
    ///
    /// # Errors
    /// [`EngineError::Tokens`] with the first block that the model cannot have made; as [`encode`](Self::encode).
    pub fn decode(&self, blocks: &[BlockTokens]) -> Result<Vec<Vec<f32>>, EngineError> {
        let (layout, config) = (self.layout(blocks.len())?, self.model.config());
        for (block, tokens) in blocks.iter().enumerate() {
            tokens.check(config).map_err(|reason| UndecodableBlock { block, reason })?;
        }
        let z: Vec<f32> = blocks.iter().flat_map(|block| block.latents(config)).collect();
        let patches = self.all_rows(layout, config.block.patch_values(), |worker| worker.patches(&z))?;
        Ok(patches.chunks(config.block.values()).map(<[f32]>::to_vec).collect())
    }

    fn layout(&self, blocks: usize) -> Result<Layout, EngineError> {
        let layout = self.model.layout(1, blocks);
        self.workers.mesh().check(1, layout.tokens_per_sequence())?;
        Ok(layout)
    }

    /// What all workers make of their rows, `width` values each, in the order of the sequence.
    fn all_rows(
        &self,
        layout: Layout,
        width: usize,
        work: impl Fn(&Worker<'_>) -> Untaped + Sync,
    ) -> Result<Vec<f32>, EngineError> {
        let parts = self.workers.run(|place, ring| {
            let own = work(&Worker::new(self.model, layout, place, ring));
            Ok((place, values(&own).to_vec()))
        })?;
        let mut all = vec![0.0; layout.tokens() * width];
        for (place, own) in parts {
            place.slices(layout.tokens_per_sequence()).rows(place.rank, 1).scatter(&own, &mut all, width);
        }
        Ok(all)
    }
}

/// One worker, with what its layers need of its place.
struct Worker<'m> {
    model: &'m ElasticTok,
    party: SequenceRing,
    rank: usize,
    rope: RopeTable,
    scope: Scope,
}

impl<'m> Worker<'m> {
    fn new(model: &'m ElasticTok, layout: Layout, place: Place, ring: Rc<dyn Ring>) -> Self {
        let slices = place.slices(layout.tokens_per_sequence());
        let rope = model.rope(slices.rows(place.rank, 1).positions());
        let party = SequenceRing { ring, slices, trace: None };
        Self { model, party, rank: place.rank, rope, scope: Scope::block_causal(layout) }
    }

    fn rows(&self) -> Rows {
        self.party.slices.rows(self.rank, 1)
    }

    /// Its rows of values of the whole sequence.
    fn own(&self, all: &[f32], width: usize) -> Untaped {
        tokens(self.rows().gather(all, width), self.rows().count(), width)
    }

    fn through(&self, layers: &[Layer], h: Untaped) -> Untaped {
        through(layers, h, &self.rope, &self.scope, &self.party, |_, _| Ok(()))
    }

    /// z of its rows.
    fn latents(&self, patches: &[f32], mask: &PrefixMask) -> Untaped {
        let mask = mask.of_rows(&self.rows());
        let patches = self.own(patches, self.model.config().block.patch_values());
        let h = self.model.encode_through(patches, &mask, |layers, h| self.through(layers, h));
        self.model.bottleneck(h, None, &mask)
    }

    /// The patches of its rows.
    fn patches(&self, z: &[f32]) -> Untaped {
        let z = self.own(z, self.model.config().bottleneck.output_width());
        self.model.decode_through(z, |layers, h| self.through(layers, h))
    }
}
