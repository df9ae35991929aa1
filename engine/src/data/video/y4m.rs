//! `.y4m`: a line of text, then raw planes. What video researchers exchange.
//!
//! Read: 8-bit `C420` of every siting, `C422`, `C444`, `Cmono`. Written: `C444`, so that what a model made is not judged
//! by the half of its colours, in BT.601 limited range, which is what a tool that ignores the range flag assumes.

use super::yuv::{Chroma, Colour, Planes};
use super::{Frame, VideoInfo};
use crate::data::Picture;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, Write};

/// A longer header is not one.
const LONGEST_LINE: u64 = 4096;
/// Pixels of the largest picture: twice 8K.
const LARGEST_PICTURE: usize = 1 << 26;

/// The pictures of one file.
pub(super) struct Y4m {
    file: BufReader<File>,
    chroma: Chroma,
    colour: Colour,
    info: VideoInfo,
    read: usize,
    ended: bool,
}

/// What the first line says.
#[derive(Debug, PartialEq)]
struct Header {
    width: usize,
    height: usize,
    frames_per_second: f64,
    chroma: Chroma,
    colour: Colour,
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("YUV4MPEG2") {
            return Err("its first line does not begin with YUV4MPEG2".to_owned());
        }
        let (mut width, mut height, mut rate, mut space, mut range) = (0, 0, None, "420", None);
        for word in words {
            let bad = || format!("its header says '{word}'");
            let (letter, value) = word.split_at_checked(1).ok_or_else(bad)?;
            match letter {
                "W" => width = value.parse().map_err(|_| bad())?,
                "H" => height = value.parse().map_err(|_| bad())?,
                "F" => {
                    let (over, under) = value.split_once(':').ok_or_else(bad)?;
                    let (over, under): (u32, u32) =
                        (over.parse().map_err(|_| bad())?, under.parse().map_err(|_| bad())?);
                    // 0:0 means unknown.
                    rate = (over > 0 && under > 0).then(|| f64::from(over) / f64::from(under));
                }
                "C" => space = value,
                "X" => range = value.strip_prefix("COLORRANGE=").or(range),
                _ => {}
            }
        }
        let chroma = match space {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::Yuv420,
            "422" => Chroma::Yuv422,
            "444" => Chroma::Yuv444,
            "mono" => Chroma::Mono,
            other => {
                return Err(format!("its samples are 'C{other}'; C420, C422, C444 and Cmono of 8 bits can be read"));
            }
        };
        if width == 0 || height == 0 || usize::checked_mul(width, height).is_none_or(|area| area > LARGEST_PICTURE) {
            return Err(format!("its pictures are said to have {width}×{height} pixels"));
        }
        let full_range = match range {
            Some("FULL") => true,
            Some("LIMITED") => false,
            // Grey is full range unless it says otherwise, as in ffmpeg.
            _ => chroma == Chroma::Mono,
        };
        let colour = Colour { full_range, ..Colour::UNSPECIFIED };
        Ok(Self { width, height, frames_per_second: rate.unwrap_or(25.0), chroma, colour })
    }

    fn picture_size(&self) -> usize {
        let (columns, rows) = self.chroma.size(self.width, self.height);
        self.width * self.height + 2 * columns * rows
    }
}

impl Y4m {
    pub(super) fn open(file: File) -> Result<Self, String> {
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let mut file = BufReader::new(file);
        let header = Header::parse(&line(&mut file)?)?;
        let start = file.stream_position().map_err(|error| error.to_string())?;
        // Parameters behind FRAME are possible, and nobody writes them.
        let frame_size = (header.picture_size() + b"FRAME\n".len()) as u64;
        let frames = (size - start).div_ceil(frame_size) as usize;
        let Header { width, height, frames_per_second, chroma, colour } = header;
        let info = VideoInfo { width, height, frames_per_second, frames, decoder: "Y4M" };
        Ok(Self { file, chroma, colour, info, read: 0, ended: false })
    }

    pub(super) fn info(&self) -> VideoInfo {
        self.info
    }

    fn next_planes(&mut self) -> Result<Option<Planes>, String> {
        let marker = line(&mut self.file)?;
        if marker.is_empty() {
            return Ok(None);
        }
        if marker != "FRAME" && !marker.starts_with("FRAME ") {
            return Err(format!("picture {} does not begin with FRAME", self.read + 1));
        }
        let VideoInfo { width, height, .. } = self.info;
        let (columns, rows) = self.chroma.size(width, height);
        let mut plane = |size: usize| {
            let mut samples = vec![0; size];
            self.file.read_exact(&mut samples).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => format!("it ends within picture {}", self.read + 1),
                _ => error.to_string(),
            })?;
            Ok::<_, String>(samples)
        };
        let (y, u, v) = (plane(width * height)?, plane(columns * rows)?, plane(columns * rows)?);
        self.read += 1;
        Ok(Some(Planes { width, height, chroma: self.chroma, y, u, v }))
    }
}

impl Iterator for Y4m {
    type Item = Result<Frame, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let seconds = self.read as f64 / self.info.frames_per_second;
        let planes = self.next_planes().transpose();
        self.ended = !matches!(planes, Some(Ok(_)));
        Some(planes?.map(|planes| Frame { seconds, picture: planes.to_rgb(self.colour) }))
    }
}

/// One line without its end; empty at the end of the file.
fn line(file: &mut BufReader<File>) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
    if bytes.pop_if(|last| *last == b'\n').is_none() && !bytes.is_empty() {
        return Err("a header of it does not end".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "a header of it is not text".to_owned())
}

/// Writes the header. `rate` is frames a second, as a fraction.
pub(super) fn write_header(to: &mut impl Write, width: usize, height: usize, rate: (u32, u32)) -> io::Result<()> {
    let (over, under) = rate;
    writeln!(to, "YUV4MPEG2 W{width} H{height} F{over}:{under} Ip A1:1 C444 XCOLORRANGE=LIMITED")
}

/// Writes one picture.
pub(super) fn write_frame(to: &mut impl Write, picture: &Picture) -> io::Result<()> {
    let planes = Planes::from_rgb(picture);
    to.write_all(b"FRAME\n")?;
    [planes.y, planes.u, planes.v].iter().try_for_each(|plane| to.write_all(plane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_ffmpeg_reads_them() {
        let header = Header::parse("YUV4MPEG2 W6 H4 F30000:1001 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2").unwrap();
        assert_eq!((header.width, header.height, header.picture_size()), (6, 4, 36));
        assert!((header.frames_per_second - 29.97).abs() < 1e-3);
        assert_eq!((header.chroma, header.colour), (Chroma::Yuv420, Colour::UNSPECIFIED));
        for (rest, chroma, full_range) in [
            ("", Chroma::Yuv420, false),
            ("C420paldv XCOLORRANGE=FULL", Chroma::Yuv420, true),
            ("C420jpeg XCOLORRANGE=LIMITED", Chroma::Yuv420, false),
            ("C422", Chroma::Yuv422, false),
            ("C444", Chroma::Yuv444, false),
            ("Cmono", Chroma::Mono, true),
            ("Cmono XCOLORRANGE=LIMITED", Chroma::Mono, false),
        ] {
            let header = Header::parse(&format!("YUV4MPEG2 W6 H4 F25:1 {rest}")).unwrap();
            assert_eq!((header.chroma, header.colour.full_range), (chroma, full_range), "{rest}");
        }
        for bad in
            ["", "YUV4MPEG2 W6", "YUV4MPEG2 W6 H4 F25:1 C420p10", "YUV4MPEG2 W99999999 H99999999", "YUV4MPEG2 Wx H4"]
        {
            Header::parse(bad).unwrap_err();
        }
    }
}
