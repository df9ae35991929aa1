//! Animated GIF and WebP.

use super::{Frame, VideoInfo};
use crate::data::Picture;
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder as _, Delay, Frames, ImageDecoder as _, ImageError, ImageResult};
use std::fs::File;
use std::io::{self, BufReader, Seek as _, Write};
use std::time::Duration;

/// Which of the two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Animation {
    Gif,
    WebP,
}

/// The pictures of one file.
pub(super) struct Animated {
    frames: Frames<'static>,
    info: VideoInfo,
    shown: Duration,
    ended: bool,
}

/// Pixels of the largest picture: four bytes of each are kept, several times.
const LARGEST_PICTURE: u64 = 1 << 26;

impl Animation {
    fn frames(self, file: File) -> ImageResult<Frames<'static>> {
        let file = BufReader::new(file);
        match self {
            Self::Gif => {
                let decoder = GifDecoder::new(file)?;
                check(decoder.dimensions())?;
                Ok(decoder.into_frames())
            }
            Self::WebP => {
                let decoder = WebPDecoder::new(file)?;
                check(decoder.dimensions())?;
                if !decoder.has_animation() {
                    return Err(told("it is a still picture".to_owned()));
                }
                Ok(decoder.into_frames())
            }
        }
    }
}

fn check((width, height): (u32, u32)) -> ImageResult<()> {
    if u64::from(width) * u64::from(height) > LARGEST_PICTURE {
        return Err(told(format!("its pictures are said to have {width}×{height} pixels")));
    }
    Ok(())
}

fn told(reason: String) -> ImageError {
    ImageError::IoError(io::Error::other(reason))
}

impl Animated {
    /// Neither format says how many pictures it holds or how long they last: a first pass, which keeps none of them,
    /// counts those that decode.
    pub(super) fn open(mut file: File, kind: Animation) -> Result<Self, String> {
        let again = file.try_clone().map_err(|error| error.to_string())?;
        let mut frames = kind.frames(again).map_err(|error| error.to_string())?;
        let first =
            frames.next().ok_or_else(|| "it holds no picture".to_owned())?.map_err(|error| error.to_string())?;
        let (width, height) = (first.buffer().width() as usize, first.buffer().height() as usize);
        let (mut count, mut lasts) = (1, duration(first.delay()));
        for frame in frames.map_while(Result::ok) {
            count += 1;
            lasts += duration(frame.delay());
        }
        file.rewind().map_err(|error| error.to_string())?;
        let frames = kind.frames(file).map_err(|error| error.to_string())?;
        let frames_per_second = count as f64 / lasts.as_secs_f64();
        let decoder = match kind {
            Animation::Gif => "GIF",
            Animation::WebP => "WebP",
        };
        let info = VideoInfo { width, height, frames_per_second, frames: count, decoder };
        Ok(Self { frames, info, shown: Duration::ZERO, ended: false })
    }

    pub(super) fn info(&self) -> VideoInfo {
        self.info
    }
}

/// How long a picture stays. Delays of up to a hundredth mean a tenth, as browsers have it: they are left by old tools.
fn duration(delay: Delay) -> Duration {
    let duration = Duration::from(delay);
    if duration <= Duration::from_millis(10) { Duration::from_millis(100) } else { duration }
}

impl Iterator for Animated {
    type Item = Result<Frame, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.frames.next();
        self.ended = !matches!(frame, Some(Ok(_)));
        let frame = match frame? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error.to_string())),
        };
        let seconds = self.shown.as_secs_f64();
        self.shown += duration(frame.delay());
        // What shows through is dropped, as for photographs: transparent pixels have the colour that is stored in them.
        let rgb = image::DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Some(Ok(Frame { seconds, picture: Picture { width, height, pixels: rgb.into_raw() } }))
    }
}

/// Writes an animated GIF that repeats for ever. Each picture has a palette of its own (NeuQuant over every pixel).
pub(super) struct GifWriter<W: Write> {
    encoder: GifEncoder<W>,
    frames_per_second: f64,
    written: u32,
}

/// NeuQuant's sampling: 1 looks at every pixel (best, slowest), 30 at few.
const SAMPLING: i32 = 1;

impl<W: Write> GifWriter<W> {
    pub(super) fn new(to: W, frames_per_second: f64) -> io::Result<Self> {
        let mut encoder = GifEncoder::new_with_speed(to, SAMPLING);
        encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?;
        Ok(Self { encoder, frames_per_second, written: 0 })
    }

    pub(super) fn write(&mut self, picture: &Picture) -> io::Result<()> {
        // Delays are hundredths of a second: each ends where the true time of the next picture rounds to.
        let hundredths = |frame: u32| (f64::from(frame) * 100.0 / self.frames_per_second).round() as u32;
        let delay = hundredths(self.written + 1) - hundredths(self.written);
        self.written += 1;
        let (width, height) = (picture.width as u32, picture.height as u32);
        let rgb = image::RgbImage::from_raw(width, height, picture.pixels.clone());
        let rgb = rgb.expect("a picture holds width × height × 3 values");
        let rgba = image::DynamicImage::ImageRgb8(rgb).into_rgba8();
        let frame = image::Frame::from_parts(rgba, 0, 0, Delay::from_numer_denom_ms(delay * 10, 1));
        self.encoder.encode_frame(frame).map_err(io::Error::other)
    }
}
