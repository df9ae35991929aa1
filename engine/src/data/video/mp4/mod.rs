//! H.264 in `.mp4`, `.mov` and `.m4v`.

mod boxes;
mod h264;
mod orientation;
mod track;

use super::yuv::{Colour, Planes};
use super::{Frame, VideoInfo};
use boxes::Reason;
use h264::H264;
pub(super) use orientation::Orientation;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use track::Track;

/// Why a file is not read here.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It is damaged.
    Broken(Reason),
    /// It is something that ffmpeg may know.
    Other(Reason),
}

impl From<Reason> for Unfit {
    fn from(reason: Reason) -> Self {
        Self::Broken(reason)
    }
}

/// The pictures of one track, in the order in which they are shown.
pub(super) struct Mp4 {
    pictures: H264,
    shown: Range<i64>,
    first: Option<i64>,
    timescale: f64,
    colour: Colour,
    orientation: Orientation,
    info: VideoInfo,
}

impl Mp4 {
    pub(super) fn open(mut file: File) -> Result<Self, Unfit> {
        let moov = read_moov(&mut file)?;
        let track = Track::parse(&moov)?;
        let shown = track.samples.iter().filter(|sample| track.shown.contains(&sample.time)).count();
        if shown == 0 {
            return Err("its edit list leaves out every picture".to_owned().into());
        }
        let frames_per_second = track.samples.len() as f64 * f64::from(track.timescale) / track.duration.max(1) as f64;
        let pictures = H264::new(file, &track.avcc, track.samples)?;
        let stream = pictures.stream();
        let (width, height) = track.orientation.size(stream.width, stream.height);
        let colour = stream.colour.or(track.colour).unwrap_or(Colour::UNSPECIFIED);
        // Where the stream speaks of range but not of its matrix, the container may name the matrix.
        let matrix =
            if colour.matrix == Colour::UNSPECIFIED.matrix { track.colour.map(|colour| colour.matrix) } else { None };
        let colour = Colour { matrix: matrix.unwrap_or(colour.matrix), ..colour };
        Ok(Self {
            pictures,
            shown: track.shown,
            first: None,
            timescale: f64::from(track.timescale),
            colour,
            orientation: track.orientation,
            info: VideoInfo { width, height, frames_per_second, frames: shown, decoder: "H.264" },
        })
    }

    pub(super) fn info(&self) -> VideoInfo {
        self.info
    }

    /// The next shown picture's planes and time in seconds since the first.
    pub(super) fn next_planes(&mut self) -> Option<Result<(Planes, f64), Reason>> {
        loop {
            let (planes, time) = match self.pictures.next()? {
                Ok(picture) => picture,
                Err(reason) => return Some(Err(reason)),
            };
            if self.shown.contains(&time) {
                let first = *self.first.get_or_insert(time);
                return Some(Ok((planes, time.saturating_sub(first) as f64 / self.timescale)));
            }
        }
    }
}

impl Iterator for Mp4 {
    type Item = Result<Frame, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let (planes, seconds) = match self.next_planes()? {
            Ok(next) => next,
            Err(reason) => return Some(Err(reason)),
        };
        let picture = self.orientation.apply(planes.to_rgb(self.colour));
        Some(Ok(Frame { seconds, picture }))
    }
}

/// An index of more is not of a video that anybody keeps: 256 MB hold the tables of days.
const LARGEST_INDEX: u64 = 1 << 28;

/// The content of the `moov` box, which may stand before or behind the pictures.
fn read_moov(file: &mut File) -> Result<Vec<u8>, Reason> {
    let told = |error: std::io::Error| error.to_string();
    let end = file.metadata().map_err(told)?.len();
    let mut at = 0;
    while end - at >= 8 {
        file.seek(SeekFrom::Start(at)).map_err(told)?;
        let mut header = [0; 16];
        let header_size = if end - at >= 16 { 16 } else { 8 };
        file.read_exact(&mut header[..header_size]).map_err(told)?;
        let [size, large] =
            [&header[..4], &header[8..]].map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        let (content, size) = match size {
            0 => (8, end - at),
            1 => (16, large),
            size => (8, size),
        };
        let kind = &header[4..8];
        if size < content || size > end - at {
            let (name, left) = (String::from_utf8_lossy(kind), end - at);
            return Err(format!(
                "the box '{name}' claims {size} bytes where the file has {left}: it is cut off or damaged"
            ));
        }
        if kind == b"moov" {
            if size > LARGEST_INDEX {
                return Err(format!("its index claims {size} bytes"));
            }
            let mut moov = vec![0; (size - content) as usize];
            file.seek(SeekFrom::Start(at + content)).map_err(told)?;
            file.read_exact(&mut moov).map_err(told)?;
            return Ok(moov);
        }
        at += size;
    }
    Err("its index (the box 'moov') is missing: it is cut off, or was never finished".to_owned())
}
