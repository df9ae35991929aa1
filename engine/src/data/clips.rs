//! Clips: runs of a video's frames, a few a second, at one size.

use super::Picture;
use super::crop::{Crop, draw_crop, draw_place};
use super::video::VideoSet;
use crate::error::EngineError;
use crate::random;
use rand::Rng as _;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of decoded frames that are kept for the next who asks.
const KEPT_BYTES: usize = 1 << 30;

/// The videos of a folder, each decoded when it is first asked for and kept while there is room.
pub struct Clips {
    set: VideoSet,
    side: usize,
    frames_per_second: f64,
    decoded: Vec<Mutex<Option<Frames>>>,
    /// Decoded videos and their bytes, the oldest first.
    kept: Mutex<VecDeque<(usize, usize)>>,
}

type Frames = Arc<Vec<Picture>>;

impl Clips {
    /// Frames picked for `frames_per_second`, above 0, as the reference picks them
    /// ([`evenly_spread`](super::video::evenly_spread)), the shortest side resized to `side` pixels.
    pub fn new(set: VideoSet, side: usize, frames_per_second: f64) -> Self {
        let decoded = set.videos.iter().map(|_| Mutex::default()).collect();
        Self { set, side, frames_per_second, decoded, kept: Mutex::default() }
    }

    /// The videos.
    pub fn set(&self) -> &VideoSet {
        &self.set
    }

    /// All frames of a video, counted from 0 in the set, up to where it is damaged. Who asks while another thread
    /// decodes it waits for that.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no frame.
    ///
    /// # Panics
    /// If the set has no such video.
    pub fn frames(&self, video: usize) -> Result<Frames, EngineError> {
        let frames = {
            let mut place = lock(&self.decoded[video]);
            if let Some(frames) = &*place {
                return Ok(frames.clone());
            }
            let frames = Arc::new(self.decode(video)?);
            *place = Some(frames.clone());
            frames
        };
        let mut kept = lock(&self.kept);
        kept.push_back((video, frames.iter().map(|frame| frame.pixels.len()).sum()));
        while kept.len() > 1 && kept.iter().map(|(_, bytes)| bytes).sum::<usize>() > KEPT_BYTES {
            let (oldest, _) = kept.pop_front().expect("more than one is kept");
            *lock(&self.decoded[oldest]) = None;
        }
        Ok(frames)
    }

    fn decode(&self, video: usize) -> Result<Vec<Picture>, EngineError> {
        let mut frames = Vec::new();
        for frame in self.set.open(&self.set.videos[video])?.at_frame_rate(self.frames_per_second) {
            match frame {
                Ok(frame) => frames.push(frame.resized(self.side).picture),
                // What comes before the damage is as good as any video.
                Err(_) if !frames.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        match frames.is_empty() {
            false => Ok(frames),
            true => Err(EngineError::Video {
                path: self.set.folder.join(&self.set.videos[video].name),
                reason: format!("it is too short for a frame at {} a second", self.frames_per_second),
            }),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `count` runs of `length` frames out of `frames`, spread evenly from the first to the last, as (start, length); fewer
/// where they would be the same, and one of all whole blocks of `block` frames (at least one, which may reach past the
/// last frame) where there are not as many frames.
pub fn spread_clips(frames: usize, length: usize, block: usize, count: usize) -> Vec<(usize, usize)> {
    if frames <= length {
        return vec![(0, (frames / block).max(1) * block)];
    }
    let room = frames - length;
    let start = |i: usize| if count == 1 { room / 2 } else { i * room / (count - 1) };
    let mut starts: Vec<usize> = (0..count).map(start).collect();
    starts.dedup();
    starts.into_iter().map(|start| (start, length)).collect()
}

/// A run of a video's frames, cut to a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clip {
    /// Which video of the set.
    pub video: usize,
    /// Its first frame. Where the video ends before the clip does, its last frame is repeated.
    pub start: usize,
    /// How many frames.
    pub frames: usize,
    /// Where in the frames.
    pub crop: Crop,
}

impl Clips {
    /// The pixels of a clip of `side`² pixels: frames · side · side · RGB.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn cut(&self, clip: &Clip, side: usize) -> Result<Vec<u8>, EngineError> {
        let frames = self.frames(clip.video)?;
        let shown = (clip.start..clip.start + clip.frames).map(|i| &frames[i.min(frames.len() - 1)]);
        Ok(shown.flat_map(|frame| frame.crop(clip.crop.x, clip.crop.y, side, side).pixels).collect())
    }
}

/// `count` drawn clips of `side`² pixels, the videos in turn, of `blocks` blocks of `frames_per_block` frames, or of as
/// many as a video has.
///
/// # Errors
/// A file that cannot be read.
pub fn drawn_clips(
    clips: &Clips,
    side: usize,
    frames_per_block: usize,
    blocks: usize,
    count: usize,
    seed: u64,
) -> Result<Vec<Clip>, EngineError> {
    let draw = |number: usize| {
        let video = number % clips.set.videos.len();
        let pictures = clips.frames(video)?;
        let frames = (pictures.len() / frames_per_block).clamp(1, blocks) * frames_per_block;
        let mut random = random::stream(seed, "drawn clip", number as u64);
        let start = random.random_range(0..=pictures.len().saturating_sub(frames));
        Ok(Clip { video, start, frames, crop: draw_place(&pictures[0], side, &mut random) })
    };
    (0..count).map(draw).collect()
}

/// Training's clips: a drawn video, a drawn place and time, mirrored half of the time.
pub struct RandomClips {
    clips: Arc<Clips>,
    side: usize,
    frames_per_block: usize,
    seed: u64,
}

impl RandomClips {
    /// Clips of `side`² pixels, at most the side that `clips` were resized to, in blocks of `frames_per_block` frames.
    pub fn new(clips: Arc<Clips>, side: usize, frames_per_block: usize, seed: u64) -> Self {
        Self { clips, side, frames_per_block, seed }
    }

    /// The frames of the `number`-th run of `blocks` blocks, and how many blocks each clip has: where a video is too
    /// short, another follows. The last frame of a video shorter than a block is repeated.
    pub(super) fn run(&self, number: u64, blocks: usize) -> Result<(Vec<u8>, Vec<usize>), EngineError> {
        let mut random = random::stream(self.seed, "clip", number);
        let (mut pixels, mut lengths) = (Vec::new(), Vec::new());
        let mut missing = blocks;
        while missing > 0 {
            let video = random.random_range(0..self.clips.set.videos.len());
            let frames = self.clips.frames(video)?;
            let length = (frames.len() / self.frames_per_block).clamp(1, missing);
            let count = length * self.frames_per_block;
            let start = random.random_range(0..=frames.len().saturating_sub(count));
            let crop = draw_crop(&frames[0], self.side, &mut random);
            for i in start..start + count {
                pixels.extend_from_slice(&crop(&frames[i.min(frames.len() - 1)]).pixels);
            }
            lengths.push(length);
            missing -= length;
        }
        Ok((pixels, lengths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_spread_from_the_first_frame_to_the_last() {
        assert_eq!(spread_clips(100, 20, 4, 3), [(0, 20), (40, 20), (80, 20)]);
        assert_eq!(spread_clips(100, 20, 4, 1), [(40, 20)]);
        assert_eq!(spread_clips(21, 20, 4, 4), [(0, 20), (1, 20)]);
        assert_eq!(spread_clips(15, 20, 4, 3), [(0, 12)]);
        assert_eq!(spread_clips(3, 20, 4, 3), [(0, 4)]);
    }
}
