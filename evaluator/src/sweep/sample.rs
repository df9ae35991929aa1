//! Samples: crops of photographs, clips of videos.

use crate::store::{ContentHash, SampleId};
use engine::data::Picture;
use engine::patch::normalize;
use engine::{BlockShape, Budget, TokenRange, random};
use std::borrow::Cow;

/// One crop of one picture, or of the frames of a clip.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Sample {
    pub(super) id: SampleId,
    /// Which photograph or video: intervals are clustered by it.
    pub(super) source: usize,
    pub(super) key: ContentHash,
    /// One frame, or those of whole blocks.
    pub(super) pixels: Vec<u8>,
}

impl Sample {
    /// Its frames; a still image fills a block by repetition.
    pub(super) fn frames(&self, shape: BlockShape) -> Cow<'_, [u8]> {
        match self.pixels.len() < shape.values() {
            true => self.pixels.repeat(shape.frames).into(),
            false => self.pixels.as_slice().into(),
        }
    }

    /// The frames of one of its blocks.
    pub(super) fn frames_of(&self, block: usize, shape: BlockShape) -> Cow<'_, [u8]> {
        match self.frames(shape) {
            Cow::Borrowed(frames) => frames[block * shape.values()..][..shape.values()].into(),
            still => still,
        }
    }

    /// Its blocks as patches in [−1, 1].
    pub(super) fn blocks(&self, shape: BlockShape) -> Vec<Vec<f32>> {
        self.frames(shape).chunks(shape.values()).map(|frames| normalize(&shape.patchify(frames))).collect()
    }

    /// Counts drawn evenly from the range for its blocks but the last: what those behind them are measured behind. None for
    /// a picture.
    pub(super) fn drawn_history(&self, shape: BlockShape, range: TokenRange) -> Vec<usize> {
        let mut random = random::stream(0, &format!("history {}", self.key), 0);
        let behind = self.pixels.len().div_ceil(shape.values()) - 1;
        (0..behind).map(|_| Budget::ELASTIC.draw(range, &mut random)).collect()
    }
}

/// Frames side by side: a row for each block.
pub(super) fn sheet(shape: BlockShape, frames: &[u8]) -> Picture {
    let row = shape.width * engine::patch::CHANNELS;
    let blocks = frames.chunks(shape.values());
    let height = blocks.len() * shape.height;
    let mut pixels = Vec::with_capacity(frames.len());
    for block in blocks {
        for y in 0..shape.height {
            block.chunks(shape.height * row).for_each(|frame| pixels.extend_from_slice(&frame[y * row..][..row]));
        }
    }
    Picture { width: shape.frames * shape.width, height, pixels }
}
