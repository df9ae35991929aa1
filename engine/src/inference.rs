//! Encoding a sequence block by block: how many tokens the next block should keep is asked before it is fixed.

use crate::bottleneck::{Bottleneck, Fsq};
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Untaped};
use crate::ops::Scope;
use crate::tensor::{shape, tokens, values};

/// Candidates reconstructed in one forward pass; more are done in several.
const LARGEST_BATCH: usize = 64;

/// When the encoder has to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// For every candidate: the encoder is told how many tokens will be kept.
    #[default]
    PerCount,
    /// Once a block, as if all tokens were kept; the tail is dropped behind it (nested, or Matryoshka, codes). Exact for a
    /// model without mask conditioning; for one with it, a saving that costs quality.
    Once,
}

/// A sequence whose first blocks are fixed, each with the tokens it keeps.
pub struct BlockSequence<'m> {
    model: &'m ElasticTok,
    encoding: Encoding,
    /// Patches of the fixed blocks.
    fixed: Vec<f32>,
    kept: Vec<usize>,
}

impl<'m> BlockSequence<'m> {
    /// Nothing fixed yet.
    pub fn new(model: &'m ElasticTok, encoding: Encoding) -> Self {
        Self { model, encoding, fixed: Vec::new(), kept: Vec::new() }
    }

    /// Kept tokens of the fixed blocks: the history that the next block is reconstructed behind.
    pub fn history(&self) -> &[usize] {
        &self.kept
    }

    /// The next block, given as patches, reconstructed once for each candidate count, behind the fixed blocks.
    /// Candidates are a batch; none of them changes the sequence. Values are in (−1, 1).
    pub fn reconstruct(&self, block: &[f32], candidates: &[usize]) -> Vec<Vec<f32>> {
        let values_of_block = self.model.config().block.values();
        assert_eq!(block.len(), values_of_block, "one block of patches");
        let blocks = self.kept.len() + 1;
        let batches = candidates.chunks(LARGEST_BATCH).flat_map(|candidates| {
            let layout = self.model.layout(candidates.len(), blocks);
            let mask = self.mask(candidates);
            let h = self.encode(block, candidates);
            let result = self.model.decode(self.model.bottleneck(h, None, &mask), &Scope::block_causal(layout));
            let sequences = values(&result).chunks(blocks * values_of_block);
            sequences.map(|sequence| sequence[sequence.len() - values_of_block..].to_vec()).collect::<Vec<_>>()
        });
        batches.collect()
    }

    /// Code numbers of the next block's kept tokens; none for a VAE.
    pub fn codes(&self, block: &[f32], kept_tokens: usize) -> Option<Vec<u32>> {
        let Bottleneck::Fsq { levels } = &self.model.config().bottleneck else { return None };
        let fsq = Fsq::new(levels);
        let mask = self.mask(&[kept_tokens]);
        let z = self.model.bottleneck(self.encode(block, &[kept_tokens]), None, &mask);
        let of_block = &values(&z)[self.kept.len() * mask.tokens_per_block() * fsq.dims()..];
        Some(of_block.chunks(fsq.dims()).take(kept_tokens).map(|code| fsq.index(code)).collect())
    }

    /// The fixed blocks' counts and one candidate for the next, once for each candidate.
    fn mask(&self, candidates: &[usize]) -> PrefixMask {
        let kept = candidates.iter().flat_map(|count| self.kept.iter().chain([count])).copied().collect();
        PrefixMask::new(self.model.config().block.tokens(), kept)
    }

    /// What the bottleneck reads, one sequence for each candidate.
    fn encode(&self, block: &[f32], candidates: &[usize]) -> Untaped {
        let sequence = [self.fixed.as_slice(), block].concat();
        let run = |sequences: usize, mask: &PrefixMask| {
            let layout = self.model.layout(sequences, self.kept.len() + 1);
            let patch = self.model.config().block.patch_values();
            let patches = tokens(sequence.repeat(sequences), layout.tokens(), patch);
            self.model.encode(patches, mask, &Scope::block_causal(layout))
        };
        match self.encoding {
            Encoding::PerCount => run(candidates.len(), &self.mask(candidates)),
            Encoding::Once => {
                let once = run(1, &self.mask(&[self.model.config().block.tokens()]));
                let (rows, width) = shape(&once);
                tokens(values(&once).repeat(candidates.len()), rows * candidates.len(), width)
            }
        }
    }

    /// Fixes the next block with the tokens it keeps.
    pub fn commit(&mut self, block: &[f32], kept_tokens: usize) {
        self.fixed.extend_from_slice(block);
        self.kept.push(kept_tokens);
    }
}
