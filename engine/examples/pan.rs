//! A camera that glides over a photograph and comes back: a video whose every picture is known.
//!
//!     cargo run --release -p engine --example pan -- PHOTOGRAPH VIDEO WIDTH HEIGHT FRAMES

use engine::data::Picture;
use engine::data::video::VideoWriter;
use std::error::Error;
use std::f64::consts::TAU;
use std::path::Path;

/// Pictures a second.
const RATE: f64 = 24.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photograph, video, width, height, frames] = &arguments[..] else {
        return Err("give PHOTOGRAPH VIDEO WIDTH HEIGHT FRAMES".into());
    };
    let (width, height, frames) = (width.parse()?, height.parse()?, frames.parse::<usize>()?);
    let photo = image::open(photograph)?.into_rgb8();
    let (across, down) = (photo.width() as usize, photo.height() as usize);
    let photo = Picture { width: across, height: down, pixels: photo.into_raw() };
    let (Some(right), Some(bottom)) = (across.checked_sub(width), down.checked_sub(height)) else {
        return Err(format!("{width}×{height} does not fit into the photograph's {across}×{down}").into());
    };
    let mut writer = VideoWriter::create(Path::new(video), width, height, RATE)?;
    for frame in 0..frames {
        // Once around an ellipse that touches the photograph's borders.
        let angle = TAU * frame as f64 / frames as f64;
        let place = |room: usize, turn: f64| ((0.5 + 0.5 * turn) * room as f64).round() as usize;
        writer.write(&photo.crop(place(right, angle.cos()), place(bottom, angle.sin()), width, height))?;
    }
    Ok(writer.finish()?)
}
