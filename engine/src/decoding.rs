//! Decoding a sequence from its tokens alone: what a token file's reader does, who has no pixels.

use crate::inference::{Memory, positions};
use crate::model::ElasticTok;
use crate::tensor::{tokens, values};
use crate::tokens::{BlockTokens, InvalidTokens};

/// A block that is not the model's: which one, counted from 0, and why.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("block {block} cannot be decoded: {reason}")]
pub struct UndecodableBlock {
    /// Counted from 0.
    pub block: usize,
    /// Why.
    pub reason: InvalidTokens,
}

/// Decodes the blocks of one sequence, one after another, with the arithmetic of
/// [`BlockSequence`](crate::BlockSequence): on the same machine every reconstruction is, bit for bit, the one that
/// [`commit`](crate::BlockSequence::commit) gave.
pub struct TokenDecoder<'m> {
    model: &'m ElasticTok,
    window: usize,
    memory: Memory,
    decoded: usize,
}

impl<'m> TokenDecoder<'m> {
    /// Nothing decoded yet. `window` is what the encoder had: how many earlier blocks a block sees, all with
    /// `usize::MAX`.
    pub fn new(model: &'m ElasticTok, window: usize) -> Self {
        Self { model, window, memory: Memory::default(), decoded: 0 }
    }

    /// The next block's patches (tokens, patch), values in (−1, 1).
    ///
    /// # Errors
    /// Tokens that the model cannot have made; they leave the sequence as it was.
    pub fn decode(&mut self, block: &BlockTokens) -> Result<Vec<f32>, UndecodableBlock> {
        let config = self.model.config();
        block.check(config).map_err(|reason| UndecodableBlock { block: self.decoded, reason })?;
        let z = tokens(block.latents(config), config.block.tokens(), config.bottleneck.output_width());
        let rope = positions(self.model, self.window, self.decoded);
        let (patches, keys) = self.memory.decode(self.model, z, &rope);
        self.memory.append(keys, self.model, self.window);
        self.decoded += 1;
        Ok(values(&patches).to_vec())
    }
}

/// All blocks of one sequence at once: the patches (tokens, patch) of each, values in (−1, 1). See [`TokenDecoder`].
///
/// # Errors
/// The first block whose tokens the model cannot have made.
pub fn reconstruct_from_tokens(
    model: &ElasticTok,
    window: usize,
    blocks: &[BlockTokens],
) -> Result<Vec<Vec<f32>>, UndecodableBlock> {
    let mut decoder = TokenDecoder::new(model, window);
    blocks.iter().map(|block| decoder.decode(block)).collect()
}
