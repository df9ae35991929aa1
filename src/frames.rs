//! Pictures and videos from files and to files, for commands that encode and decode: the one place that chooses by what a
//! file is called.

use crate::console::write_file;
use anyhow::{Context as _, Result, bail};
use engine::BlockShape;
use engine::data::video::{VideoReader, VideoWriter};
use engine::data::{Fit, Picture, load_picture, to_png};
use engine::token_file::Source;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What is encoded: frames of the model's size, read as they are asked for, and what they were.
pub(crate) struct Frames {
    name: String,
    hash: blake3::Hash,
    /// Width and height before they were made to fit.
    size: [usize; 2],
    frames_per_second: Option<f64>,
    pub(crate) fit: Fit,
    /// How many frames to expect; a damaged video gives fewer.
    pub(crate) expected: usize,
    frames: Box<dyn Iterator<Item = Result<Picture>>>,
}

impl Frames {
    /// Opens a picture or a video and makes it fit the model's frame. Of a video, so many frames a second are taken, or
    /// all.
    pub(crate) fn open(path: &Path, block: BlockShape, frames_per_second: Option<f64>) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unreadable = || format!("cannot read {}", path.display());
        let mut hasher = blake3::Hasher::new();
        File::open(path).and_then(|file| hasher.update_reader(file).map(drop)).with_context(unreadable)?;
        let hash = hasher.finalize();
        let fit =
            |[width, height]: [usize; 2]| Fit::new(width, height, block).with_context(|| path.display().to_string());
        if has_extension(path, &["jpg", "jpeg", "png"]) || is_still_webp(path) {
            let picture = load_picture(path)?;
            let size = [picture.width, picture.height];
            let fit = fit(size)?;
            let frames = Box::new(std::iter::once(Ok(fit.apply(&picture, block))));
            return Ok(Self { name, hash, size, frames_per_second: None, fit, expected: 1, frames });
        }
        let video = VideoReader::open(path)?;
        let info = video.info();
        let size = [info.width, info.height];
        let fit = fit(size)?;
        let apply =
            move |frame: Result<engine::data::video::Frame, engine::EngineError>| Ok(fit.apply(&frame?.picture, block));
        let (expected, frames): (_, Box<dyn Iterator<Item = Result<Picture>>>) = match frames_per_second {
            Some(rate) => {
                let picked = (info.frames as f64 * rate / info.frames_per_second).ceil() as usize;
                (picked, Box::new(video.at_frame_rate(rate).map(apply)))
            }
            None => (info.frames, Box::new(video.map(apply))),
        };
        let frames_per_second = Some(frames_per_second.unwrap_or(info.frames_per_second));
        Ok(Self { name, hash, size, frames_per_second, fit, expected, frames })
    }

    /// What the header of a token file says of it once `frames` frames were encoded.
    ///
    /// # Errors
    /// Without a frame.
    pub(crate) fn source(&self, frames: usize) -> Result<Source> {
        if frames == 0 {
            bail!("{} gives no frame to encode; a higher --fps takes more of a short video", self.name);
        }
        let [width, height] = self.size;
        let (name, hash, frames_per_second) = (self.name.clone(), self.hash, self.frames_per_second);
        Ok(Source { name, hash: Some(hash), width, height, frames, frames_per_second })
    }

    pub(crate) fn hash(&self) -> blake3::Hash {
        self.hash
    }

    /// The frames of the next block, fewer at the end, none behind it.
    pub(crate) fn next_block(&mut self, frames_per_block: usize) -> Result<Vec<Picture>> {
        self.frames.by_ref().take(frames_per_block).collect()
    }
}

fn is_still_webp(path: &Path) -> bool {
    has_extension(path, &["webp"]) && VideoReader::open(path).is_err()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|own| extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension)))
}

/// A picture or a video that is being written; its file is there once [`finish`](Self::finish) has returned.
pub(crate) enum FrameWriter {
    Picture { path: PathBuf, picture: Option<Picture> },
    Video(VideoWriter),
}

impl FrameWriter {
    /// Begins a file of `size` (width, height) for the frames of `source`: .png for one, a video for any number.
    pub(crate) fn create(path: &Path, [width, height]: [usize; 2], source: &Source) -> Result<Self> {
        match (source.frames, source.frames_per_second) {
            (1, _) if has_extension(path, &["png"]) => Ok(Self::Picture { path: path.to_owned(), picture: None }),
            (1, None) => bail!("cannot write {}: a picture is written as .png", path.display()),
            (frames, _) if has_extension(path, &["png"]) => {
                bail!("cannot write {}: {frames} frames are written as .mp4, .gif or .y4m", path.display())
            }
            (_, rate) => Ok(Self::Video(VideoWriter::create(path, width, height, rate.unwrap_or(1.0))?)),
        }
    }

    pub(crate) fn write(&mut self, frame: Picture) -> Result<()> {
        match self {
            Self::Picture { picture, .. } => *picture = Some(frame),
            Self::Video(writer) => writer.write(&frame)?,
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Self::Picture { path, picture } => {
                let picture = picture.context("a picture of no frames")?;
                write_file(&path, &to_png(&picture).with_context(|| format!("cannot write {}", path.display()))?)
            }
            Self::Video(writer) => Ok(writer.finish()?),
        }
    }
}

/// How a source was made to fit a model's frame, in a sentence.
pub(crate) fn describe(source: &Source, fit: Fit, block: BlockShape) -> String {
    let ([width, height], [x, y]) = (fit.resized, fit.crop);
    let frame = [block.width, block.height];
    let frames = match source.frames_per_second {
        None => String::new(),
        Some(rate) => format!(", {} frames at {rate} a second", source.frames),
    };
    let scaled = match fit.resized == [source.width, source.height] {
        true => "not scaled".to_owned(),
        false => format!("scaled to {width}×{height}"),
    };
    let cut = match fit.resized == frame {
        true => String::new(),
        false => format!(", {}×{} cut out at column {x}, row {y}", frame[0], frame[1]),
    };
    format!("{}×{} pixels{frames}, {scaled}{cut}", source.width, source.height)
}
