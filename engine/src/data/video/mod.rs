//! Video: files into streams of RGB pictures with their times, and back.
//!
//! [`VideoReader`] looks at what a file holds, not at its name. H.264 in mp4 is decoded here (`rust_h264`), as are `.y4m`
//! and animated GIF and WebP; everything else goes through the `ffmpeg` program, with the same conversion to RGB. The
//! decoded planes and the RGB of both ways are equal to ffmpeg's, sample by sample: tests compare them.

mod animation;
mod ffmpeg;
mod mp4;
mod resample;
mod set;
#[cfg(test)]
mod tests;
mod writer;
mod y4m;
mod yuv;

use super::resize::{Picture, resize_shortest_side};
use crate::error::EngineError;
use animation::{Animated, Animation};
use ffmpeg::Ffmpeg;
use mp4::{Mp4, Unfit};
pub use resample::{Picked, evenly_spread};
pub use set::{Video, VideoSet};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
pub use writer::VideoWriter;
use y4m::Y4m;

/// One picture of a video.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// When it is shown, in seconds from the video's first picture.
    pub seconds: f64,
    /// What is shown.
    pub picture: Picture,
}

impl Frame {
    /// The same moment with the shortest side scaled to `side` pixels, as photographs are.
    pub fn resized(&self, side: usize) -> Self {
        Self { seconds: self.seconds, picture: resize_shortest_side(&self.picture, side) }
    }

    /// The same moment with `side`² pixels of it, of which the first is at `crop`.
    ///
    /// # Panics
    /// If they reach past the picture.
    pub fn cropped(&self, crop: super::Crop, side: usize) -> Self {
        Self { seconds: self.seconds, picture: self.picture.crop(crop.x, crop.y, side, side) }
    }
}

/// What is known of a video before its pictures are decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoInfo {
    /// Pixels from left to right, as shown: cropped and turned. Pixels are taken to be square.
    pub width: usize,
    /// Pixels from top to bottom, as shown.
    pub height: usize,
    /// Pictures a second, on average.
    pub frames_per_second: f64,
    /// How many pictures the file says it shows; a damaged one holds fewer.
    pub frames: usize,
    /// Who decodes it: H.264, Y4M, GIF, WebP or ffmpeg.
    pub decoder: &'static str,
}

/// The pictures of a video in the order in which they are shown, each decoded when it is asked for.
///
/// A damaged file gives the pictures before the damage, then one error, then nothing more.
pub struct VideoReader {
    path: PathBuf,
    info: VideoInfo,
    frames: Box<dyn Iterator<Item = Result<Frame, String>>>,
}

impl VideoReader {
    /// Opens a video of any kind.
    ///
    /// # Errors
    /// [`EngineError::File`] where the file cannot be read, [`EngineError::Video`] where it is damaged at its start,
    /// holds no video, or needs the `ffmpeg` program, which cannot be run.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let broken = |reason| EngineError::Video { path: path.to_owned(), reason };
        let file = || File::open(path).map_err(EngineError::file("cannot read the video", path));
        let kind = Kind::of(&mut file()?).map_err(EngineError::file("cannot read the video", path))?;
        let why = match kind {
            Kind::Y4m => {
                let y4m = Y4m::open(file()?).map_err(broken)?;
                return Ok(Self { path: path.to_owned(), info: y4m.info(), frames: Box::new(y4m) });
            }
            Kind::Animation(kind) => {
                let animated = Animated::open(file()?, kind).map_err(broken)?;
                return Ok(Self { path: path.to_owned(), info: animated.info(), frames: Box::new(animated) });
            }
            Kind::Mp4 => match Mp4::open(file()?) {
                Ok(mp4) => return Ok(Self { path: path.to_owned(), info: mp4.info(), frames: Box::new(mp4) }),
                Err(Unfit::Broken(reason)) => return Err(broken(reason)),
                Err(Unfit::Other(reason)) => reason,
            },
            Kind::Other => "it is none of .mp4, .mov, .m4v, .y4m, .gif and .webp by its content".to_owned(),
        };
        let ffmpeg = Ffmpeg::open(Path::new("ffmpeg"), Path::new("ffprobe"), path, &why).map_err(broken)?;
        Ok(Self { path: path.to_owned(), info: ffmpeg.info(), frames: Box::new(ffmpeg) })
    }

    /// What is known up front.
    pub fn info(&self) -> VideoInfo {
        self.info
    }

    /// The pictures that the reference picks for `frames_per_second`: [`evenly_spread`].
    ///
    /// # Panics
    /// If that is not above 0.
    pub fn at_frame_rate(self, frames_per_second: f64) -> impl Iterator<Item = Result<Frame, EngineError>> {
        let indices = evenly_spread(self.info.frames, self.info.frames_per_second, frames_per_second);
        Picked::new(self, indices)
    }
}

impl Iterator for VideoReader {
    type Item = Result<Frame, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        Some(frame.map_err(|reason| EngineError::Video { path: self.path.clone(), reason }))
    }
}

/// What a file holds, by its first bytes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Mp4,
    Y4m,
    Animation(Animation),
    Other,
}

impl Kind {
    fn of(file: &mut File) -> std::io::Result<Self> {
        let mut start = Vec::new();
        file.take(12).read_to_end(&mut start)?;
        file.rewind()?;
        let boxed = start.get(4..8).unwrap_or_default();
        Ok(match start.as_slice() {
            [b'Y', b'U', b'V', b'4', b'M', b'P', b'E', b'G', b'2', ..] => Self::Y4m,
            [b'G', b'I', b'F', b'8', ..] => Self::Animation(Animation::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Self::Animation(Animation::WebP),
            _ if [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"].iter().any(|kind| boxed == *kind) => Self::Mp4,
            _ => Self::Other,
        })
    }
}
