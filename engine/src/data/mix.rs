//! Training's sequences: photographs and clips, packed into blocks.

use super::{RandomClips, RandomCrops};
use crate::error::EngineError;
use crate::random;
use crate::train::{Sequence, TrainingData};
use rand::Rng as _;

/// Sequences of photographs, of clips, or of either by chance.
///
/// A still image fills a block by repetition (as the reference's) and is a segment of its own: blocks see only blocks
/// of their segment. One of neither photographs nor clips panics when it is asked for a sequence.
pub struct Mix {
    /// Blocks a sequence, where a run has no stages that say it.
    pub blocks: usize,
    /// Frames a block.
    pub frames_per_block: usize,
    /// Photographs.
    pub crops: Option<RandomCrops>,
    /// Videos, and how many of a hundred sequences are of them, 0 to 100; all of them where there are no photographs.
    pub clips: Option<(RandomClips, u8)>,
    /// What decides which sequence is of which.
    pub seed: u64,
}

impl TrainingData for Mix {
    fn blocks_per_sequence(&self) -> usize {
        self.blocks
    }

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        match (&self.crops, &self.clips) {
            (Some(crops), None) => Ok(self.of_photographs(crops, number, blocks)),
            (None, Some((clips, _))) => self.of_clips(clips, number, blocks),
            (Some(crops), Some((clips, percent))) => {
                match random::stream(self.seed, "mix", number).random_range(0..100) < *percent {
                    true => self.of_clips(clips, number, blocks),
                    false => Ok(self.of_photographs(crops, number, blocks)),
                }
            }
            (None, None) => panic!("a mix of neither photographs nor clips"),
        }
    }
}

impl Mix {
    fn of_photographs(&self, crops: &RandomCrops, number: u64, blocks: usize) -> Sequence {
        let first = number * blocks as u64;
        let stills = (first..).take(blocks).map(|number| crops.crop(number).pixels.repeat(self.frames_per_block));
        Sequence { frames: stills.flatten().collect(), segments: (0..blocks as i32).collect() }
    }

    fn of_clips(&self, clips: &RandomClips, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        let (frames, lengths) = clips.run(number, blocks)?;
        let segments = (0..).zip(lengths).flat_map(|(segment, length)| std::iter::repeat_n(segment, length)).collect();
        Ok(Sequence { frames, segments })
    }
}
