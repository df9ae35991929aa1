//! Pictures into a video file.

use super::animation::GifWriter;
use super::ffmpeg::Encoder;
use super::y4m;
use crate::atomic_file::Temporary;
use crate::data::Picture;
use crate::error::EngineError;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Writes `.y4m` (exact to two levels a channel: 4:4:4), `.gif` (256 colours a picture, repeats) or `.mp4` (H.264,
/// visually lossless, by the `ffmpeg` program). The file is there once [`finish`](Self::finish) has returned.
pub struct VideoWriter {
    path: PathBuf,
    file: Temporary,
    width: usize,
    height: usize,
    written: usize,
    format: Format,
}

enum Format {
    Y4m(BufWriter<File>),
    Gif(GifWriter<BufWriter<File>>),
    Mp4(Encoder),
}

/// Hundredths of a second are a GIF's clock, and browsers play a delay of one as ten.
const FASTEST_GIF: f64 = 50.0;

impl VideoWriter {
    /// Begins a video of `width` × `height` pixels at `frames_per_second`, above 0 and at most 1000. The name's
    /// extension decides what is written.
    ///
    /// # Errors
    /// [`EngineError::File`] where the file cannot be made; [`EngineError::Video`] for another extension, a rate or
    /// size that it cannot hold (.gif: 50 a second, 65535 pixels; .mp4: even sides), or .mp4 without the `ffmpeg`
    /// program.
    pub fn create(path: &Path, width: usize, height: usize, frames_per_second: f64) -> Result<Self, EngineError> {
        Self::create_with(Path::new("ffmpeg"), path, width, height, frames_per_second)
    }

    fn create_with(
        ffmpeg: &Path,
        path: &Path,
        width: usize,
        height: usize,
        frames_per_second: f64,
    ) -> Result<Self, EngineError> {
        let fail = |reason: String| EngineError::Video { path: path.to_owned(), reason };
        let rate = fraction(frames_per_second)
            .ok_or_else(|| fail(format!("{frames_per_second} frames a second: need more than 0 and at most 1000")))?;
        let extension = path.extension().map(|e| e.to_ascii_lowercase().to_string_lossy().into_owned());
        let extension = extension.unwrap_or_default();
        let told = "cannot write the video";
        let file = Temporary::beside(path).map_err(EngineError::file(told, path))?;
        let create = || File::create(file.path()).map(BufWriter::new).map_err(EngineError::file(told, path));
        let format = match extension.as_str() {
            "y4m" => {
                let mut to = create()?;
                y4m::write_header(&mut to, width, height, rate).map_err(EngineError::file(told, path))?;
                Format::Y4m(to)
            }
            "gif" if width.max(height) > usize::from(u16::MAX) => {
                return Err(fail(format!("{width}×{height} pixels: a GIF has at most 65535×65535; write .y4m")));
            }
            "gif" if frames_per_second > FASTEST_GIF => {
                let rule = format!("a GIF plays at most {FASTEST_GIF}: drop pictures, or write .y4m or .mp4");
                return Err(fail(format!("{frames_per_second} frames a second: {rule}")));
            }
            "gif" => Format::Gif(GifWriter::new(create()?, frames_per_second).map_err(EngineError::file(told, path))?),
            "mp4" if width % 2 == 1 || height % 2 == 1 => {
                let rule = "an .mp4 that everything plays (4:2:0) needs even sides; write .gif or .y4m";
                return Err(fail(format!("{width}×{height} pixels: {rule}")));
            }
            "mp4" => {
                let encoder = Encoder::start(ffmpeg, file.path(), width, height, rate);
                Format::Mp4(encoder.map_err(|reason| fail(format!("{reason}; .gif and .y4m are written without it")))?)
            }
            other => return Err(fail(format!("'.{other}' cannot be written: use .mp4, .gif or .y4m"))),
        };
        Ok(Self { path: path.to_owned(), file, width, height, written: 0, format })
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`EngineError::Video`] for a picture of another size, and where `ffmpeg` fails; [`EngineError::File`] where the
    /// file cannot be written.
    pub fn write(&mut self, picture: &Picture) -> Result<(), EngineError> {
        let (width, height) = (picture.width, picture.height);
        if (width, height) != (self.width, self.height) {
            let reason = format!("a picture of {width}×{height} in a video of {}×{}", self.width, self.height);
            return Err(EngineError::Video { path: self.path.clone(), reason });
        }
        self.written += 1;
        let told = EngineError::file("cannot write the video", &self.path);
        match &mut self.format {
            Format::Y4m(to) => y4m::write_frame(to, picture).map_err(told),
            Format::Gif(gif) => gif.write(picture).map_err(told),
            Format::Mp4(encoder) => {
                encoder.write(picture).map_err(|reason| EngineError::Video { path: self.path.clone(), reason })
            }
        }
    }

    /// Ends the video and gives the file its name.
    ///
    /// # Errors
    /// [`EngineError::Video`] without a picture, or where `ffmpeg` fails; [`EngineError::File`] where the file cannot
    /// be written. What was under its name stays as it was.
    pub fn finish(self) -> Result<(), EngineError> {
        let Self { path, file, written, format, .. } = self;
        let fail = |reason: String| EngineError::Video { path: path.clone(), reason };
        let told = || EngineError::file("cannot write the video", &path);
        if written == 0 {
            return Err(fail("no picture was written".to_owned()));
        }
        match format {
            Format::Y4m(mut to) => to.flush().map_err(told())?,
            Format::Gif(gif) => {
                // The encoder writes the end as it is dropped, and cannot say whether that worked: see for ourselves.
                drop(gif);
                let mut end = [0];
                let read = File::open(file.path()).and_then(|mut written| {
                    written.seek(SeekFrom::End(-1))?;
                    written.read_exact(&mut end)
                });
                read.map_err(told())?;
                if end != *b";" {
                    return Err(fail("its end could not be written: is the disk full?".to_owned()));
                }
            }
            Format::Mp4(mut encoder) => encoder.end().map_err(fail)?,
        }
        file.keep().map_err(told())
    }
}

/// A frame rate as files store it: n/1001 for the rates of television, else thousandths. `None` if it is none.
fn fraction(frames_per_second: f64) -> Option<(u32, u32)> {
    if !(frames_per_second > 0.0005 && frames_per_second <= 1000.0) {
        return None;
    }
    let television = (frames_per_second * 1.001).round();
    if television > 0.0 && (television / 1.001 - frames_per_second).abs() < 1e-3 * frames_per_second.min(1.0) {
        let whole = (frames_per_second - frames_per_second.round()).abs() < 1e-9;
        if !whole {
            return Some((television as u32 * 1000, 1001));
        }
    }
    let thousandths = (frames_per_second * 1000.0).round() as u32;
    Some(if thousandths.is_multiple_of(1000) { (thousandths / 1000, 1) } else { (thousandths, 1000) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::video::VideoReader;

    #[test]
    fn rates_become_the_fractions_that_files_store() {
        for (rate, expected) in [
            (24.0, (24, 1)),
            (24000.0 / 1001.0, (24000, 1001)),
            (29.97, (30000, 1001)),
            (12.5, (12500, 1000)),
            (0.5, (500, 1000)),
            (1000.0, (1000, 1)),
        ] {
            assert_eq!(fraction(rate), Some(expected), "{rate}");
        }
        assert_eq!([0.0, -1.0, f64::NAN, 1e9].map(fraction), [None; 4]);
    }

    #[test]
    fn what_cannot_be_written_says_what_can() {
        let folder = tempfile::tempdir().unwrap();
        let fail = |name: &str, width: usize, rate: f64| {
            let result =
                VideoWriter::create_with(Path::new("no-such-ffmpeg"), &folder.path().join(name), width, 8, rate);
            result.err().expect("it cannot be written").to_string()
        };
        let error = fail("clip.mp4", 8, 24.0);
        assert!(
            ["no-such-ffmpeg", "install ffmpeg", ".gif", ".y4m"].iter().all(|part| error.contains(part)),
            "{error}"
        );
        assert!(fail("clip.mp4", 7, 24.0).contains("even sides"));
        assert!(fail("clip.gif", 8, 60.0).contains(".y4m"));
        assert!(fail("clip.avi", 8, 24.0).contains("use .mp4, .gif or .y4m"));
        assert!(fail("clip.y4m", 8, 0.0).contains("0 frames a second"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_written_y4m_comes_back_to_two_levels_and_a_gif_resembles() {
        let folder = tempfile::tempdir().unwrap();
        let photo = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/data/photos/train/colosseum.jpg"));
        let photo = photo.unwrap().into_rgb8();
        let (width, height) = (photo.width() as usize, photo.height() as usize);
        let photo = Picture { width, height, pixels: photo.into_raw() };
        let pictures: Vec<Picture> = (0..5).map(|i| photo.crop(i * 7, i * 3, 96, 64)).collect();
        for (name, worst, mean) in [("clip.y4m", 2, 0.42), ("clip.gif", 110, 1.5)] {
            let path = folder.path().join(name);
            let mut writer = VideoWriter::create(&path, 96, 64, 30.0).unwrap();
            pictures.iter().for_each(|picture| writer.write(picture).unwrap());
            assert!(!path.exists(), "not before it is whole");
            writer.finish().unwrap();
            let reader = VideoReader::open(&path).unwrap();
            let info = reader.info();
            assert_eq!((info.width, info.height, info.frames), (96, 64, 5));
            assert!((info.frames_per_second - 30.0).abs() < 0.7, "{info:?}");
            for (i, (frame, picture)) in reader.map(Result::unwrap).zip(&pictures).enumerate() {
                assert!((frame.seconds - i as f64 / 30.0).abs() < 0.0051, "{}", frame.seconds);
                let off: Vec<u8> =
                    frame.picture.pixels.iter().zip(&picture.pixels).map(|(a, b)| a.abs_diff(*b)).collect();
                assert!(off.iter().all(|off| *off <= worst), "{name}: {:?}", off.iter().max());
                let average = off.iter().map(|off| f64::from(*off)).sum::<f64>() / off.len() as f64;
                assert!(average < mean, "{name}: {average}");
            }
        }
    }
}
