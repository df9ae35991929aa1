//! Blocks: the unit that gets its own token budget, and how blocks make the sequences a model sees.

/// The shape of a batch: `sequences` × `blocks` × `tokens_per_block`, in this order in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sequences in the batch; they never see one another.
    pub sequences: usize,
    /// Blocks in each sequence.
    pub blocks: usize,
    /// Tokens in each block: patches of `frames_per_block` frames.
    pub tokens_per_block: usize,
}

impl Layout {
    /// Tokens of one sequence.
    pub fn tokens_per_sequence(&self) -> usize {
        self.blocks * self.tokens_per_block
    }

    /// Tokens of the whole batch.
    pub fn tokens(&self) -> usize {
        self.sequences * self.tokens_per_sequence()
    }
}
