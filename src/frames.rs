//! Pictures and videos from files and to files, for commands that encode and decode: the one place that chooses by what a
//! file is called.

use crate::console::write_file;
use anyhow::{Context as _, Result, bail};
use engine::BlockShape;
use engine::data::video::{VideoReader, VideoWriter};
use engine::data::{Fit, Picture, load_picture, to_png};
use engine::token_file::Source;
use std::path::{Path, PathBuf};

/// What is encoded: frames of the model's size, and what they were.
pub(crate) struct Frames {
    pub(crate) source: Source,
    pub(crate) fit: Fit,
    pub(crate) frames: Vec<Picture>,
}

/// Reads a picture or a video and makes it fit the model's frame. Of a video, so many frames a second are taken, or all.
pub(crate) fn read(path: &Path, block: BlockShape, frames_per_second: Option<f64>) -> Result<Frames> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fit = |width, height| Fit::new(width, height, block).with_context(|| path.display().to_string());
    if has_extension(path, &["jpg", "jpeg", "png", "webp"]) {
        let picture = load_picture(path)?;
        let (width, height) = (picture.width, picture.height);
        let fit = fit(width, height)?;
        let source = Source { name, width, height, frames: 1, frames_per_second: None };
        return Ok(Frames { source, fit, frames: vec![fit.apply(&picture, block)] });
    }
    let video = VideoReader::open(path)?;
    let info = video.info();
    let fit = fit(info.width, info.height)?;
    let apply = |frame: Result<engine::data::video::Frame, engine::EngineError>| Ok(fit.apply(&frame?.picture, block));
    let frames: Vec<Picture> = match frames_per_second {
        Some(rate) => video.at_frame_rate(rate).map(apply).collect::<Result<_>>()?,
        None => video.map(apply).collect::<Result<_>>()?,
    };
    if frames.is_empty() {
        bail!("{} gives no frame to encode; a higher --fps takes more of a short video", path.display());
    }
    let frames_per_second = Some(frames_per_second.unwrap_or(info.frames_per_second));
    let source = Source { name, width: info.width, height: info.height, frames: frames.len(), frames_per_second };
    Ok(Frames { source, fit, frames })
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
