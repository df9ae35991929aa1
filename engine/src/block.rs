//! Blocks: the unit that gets its own token budget, and how blocks make the sequences a model sees (paper, figure 2).

/// The shape of a batch: (sequences, blocks, tokens_per_block), n tokens in this order in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sequences in the batch; they never see one another.
    pub sequences: usize,
    /// Blocks in each sequence.
    pub blocks: usize,
    /// Tokens in each block, one a patch: [`BlockShape::tokens`](crate::BlockShape::tokens).
    pub tokens_per_block: usize,
}

impl Layout {
    /// Tokens of one sequence: blocks · tokens_per_block.
    pub fn tokens_per_sequence(&self) -> usize {
        self.blocks * self.tokens_per_block
    }

    /// Tokens of the whole batch: n.
    pub fn tokens(&self) -> usize {
        self.sequences * self.tokens_per_sequence()
    }

    /// How many tokens from the sequence's start the one at `position` may see: up to the end of its own block.
    #[inline(always)]
    pub fn reach(&self, position: usize) -> usize {
        (position / self.tokens_per_block + 1) * self.tokens_per_block
    }
}
