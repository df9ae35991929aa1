//! Noise to train on, for tests and examples.

use engine::train::{Sequence, TrainingData};
use engine::{EngineError, random};
use rand::RngCore as _;

/// Noise as frames: a pure function of the number, like every training source.
pub struct Noise {
    /// Values of a block.
    pub values: usize,
    /// Blocks of a sequence, all of one segment, where a run has no stages.
    pub blocks: usize,
}

impl TrainingData for Noise {
    fn blocks_per_sequence(&self) -> usize {
        self.blocks
    }

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        let mut frames = vec![0; self.values * blocks];
        random::stream(1, "test", number).fill_bytes(&mut frames);
        Ok(Sequence { frames, segments: vec![0; blocks] })
    }
}
