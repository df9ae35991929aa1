//! Encoding a sequence block by block: how many tokens the next block should keep is asked before it is fixed.

use crate::mask::PrefixMask;
use crate::model::ElasticTok;
use crate::ops::Scope;
use crate::tensor::{tokens, values};

/// Candidates reconstructed in one forward pass; more are done in several.
const LARGEST_BATCH: usize = 64;

/// A sequence whose first blocks are fixed, each with the tokens it keeps.
pub struct BlockSequence<'m> {
    model: &'m ElasticTok,
    /// Patches of the fixed blocks.
    fixed: Vec<f32>,
    kept: Vec<usize>,
}

impl<'m> BlockSequence<'m> {
    /// Nothing fixed yet.
    pub fn new(model: &'m ElasticTok) -> Self {
        Self { model, fixed: Vec::new(), kept: Vec::new() }
    }

    /// Kept tokens of the fixed blocks: the history that the next block is reconstructed behind.
    pub fn history(&self) -> &[usize] {
        &self.kept
    }

    /// The next block, given as patches, reconstructed once for each candidate count, behind the fixed blocks.
    /// Candidates are a batch; none of them changes the sequence. Values are in (−1, 1).
    pub fn reconstruct(&self, block: &[f32], candidates: &[usize]) -> Vec<Vec<f32>> {
        let shape = self.model.config().block;
        assert_eq!(block.len(), shape.values(), "one block of patches");
        let blocks = self.kept.len() + 1;
        let batches = candidates.chunks(LARGEST_BATCH).flat_map(|candidates| {
            let layout = self.model.layout(candidates.len(), blocks);
            let patches = [self.fixed.as_slice(), block].concat().repeat(candidates.len());
            let kept = candidates.iter().flat_map(|count| self.kept.iter().chain([count])).copied().collect();
            let mask = PrefixMask::new(layout.tokens_per_block, kept);
            let patches = tokens(patches, layout.tokens(), shape.patch_values());
            let result = self.model.reconstruct(patches, &mask, &Scope::block_causal(layout));
            let sequences = values(&result).chunks(blocks * shape.values());
            sequences.map(|sequence| sequence[sequence.len() - shape.values()..].to_vec()).collect::<Vec<_>>()
        });
        batches.collect()
    }

    /// Fixes the next block with the tokens it keeps.
    pub fn commit(&mut self, block: &[f32], kept_tokens: usize) {
        self.fixed.extend_from_slice(block);
        self.kept.push(kept_tokens);
    }
}
