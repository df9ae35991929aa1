//! A folder of videos, looked at but not decoded.

use super::{VideoInfo, VideoReader};
use crate::data::folder::{self, Contents, Skipped};
use crate::error::EngineError;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Videos of one folder, in the order of their names.
#[derive(Clone, Debug)]
pub struct VideoSet {
    /// The folder as it was named.
    pub folder: PathBuf,
    /// Every usable video.
    pub videos: Vec<Video>,
    /// Files with a video's extension that could not be used, and why.
    pub skipped: Vec<Skipped>,
}

/// One video.
#[derive(Clone, Debug)]
pub struct Video {
    /// Path below the folder, with `/` between its parts.
    pub name: String,
    /// blake3 of the file's bytes.
    pub hash: blake3::Hash,
    /// Size, rate and number of pictures, as the file states them.
    pub info: VideoInfo,
}

const VIDEOS: Contents = Contents {
    noun: "video",
    extensions: &["mp4", "mov", "m4v", "y4m", "gif", "webp", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "wmv", "flv"],
    listed: ".mp4, .mov, .m4v, .y4m, .gif or .webp, or what ffmpeg reads: .mkv, .webm, .avi, .mpg, .mpeg, .ts, .wmv or .flv",
};

impl VideoSet {
    /// Looks at every video below `folder`. Those whose first picture does not decode, or whose shortest side is below
    /// `smallest` pixels, are skipped and named. Pictures behind the first are not decoded: a file that is damaged
    /// further on is found when it is read.
    ///
    /// # Errors
    /// [`EngineError::Folder`] where the folder cannot be read, [`EngineError::NothingUsable`] where no video is left.
    pub fn load(folder: &Path, smallest: usize) -> Result<Self, EngineError> {
        let (videos, skipped) = VIDEOS.load(folder, |name| look(folder, name, smallest))?;
        Ok(Self { folder: folder.to_owned(), videos, skipped })
    }

    /// Opens one of them.
    ///
    /// # Errors
    /// As [`VideoReader::open`].
    pub fn open(&self, video: &Video) -> Result<VideoReader, EngineError> {
        VideoReader::open(&self.folder.join(&video.name))
    }

    /// Names the set by the content of its videos, in order: a blake3 hash.
    pub fn key(&self) -> blake3::Hash {
        folder::key(self.videos.iter().map(|video| video.hash))
    }
}

fn look(folder: &Path, name: &str, smallest: usize) -> Result<Video, String> {
    let path = folder.join(name);
    let mut reader = VideoReader::open(&path).map_err(|error| error.to_string())?;
    let info = reader.info();
    if info.width.min(info.height) < smallest {
        let VideoInfo { width, height, .. } = info;
        return Err(format!("{width}×{height} pixels: smaller than the crop of {smallest}×{smallest}"));
    }
    match reader.next() {
        Some(Ok(_)) => {}
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("it holds no picture".to_owned()),
    }
    let mut hasher = blake3::Hasher::new();
    File::open(&path).and_then(|file| hasher.update_reader(file).map(|_| ())).map_err(|error| error.to_string())?;
    Ok(Video { name: name.to_owned(), hash: hasher.finalize(), info })
}
