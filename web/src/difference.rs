//! Where a reconstruction differs from its original, as a picture.

use image::{ImageError, Rgb, RgbImage};
use serde::Deserialize;

/// By how much differences are amplified; full colour is reached at 64 of 255.
const AMPLIFICATION: i32 = 4;

/// Which picture is drawn. The names are those of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Each channel's absolute difference, on black.
    #[serde(rename = "absolute.png")]
    Absolute,
    /// The mean difference of the channels: blue where the reconstruction is darker, red where it is brighter.
    #[serde(rename = "signed.png")]
    Signed,
}

/// Why there is no such picture.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    /// The two do not cover each other.
    #[error("the original is {0}×{1} and the reconstruction {2}×{3} pixels: they cannot be compared")]
    Size(u32, u32, u32, u32),
    /// Not a PNG after all.
    #[error("a stored picture cannot be decoded: {0}")]
    Decode(#[from] ImageError),
}

/// Both pictures and the result are PNG files.
pub fn draw(original: &[u8], reconstruction: &[u8], kind: Kind) -> Result<Vec<u8>, DifferenceError> {
    let decode = |bytes: &[u8]| image::load_from_memory_with_format(bytes, image::ImageFormat::Png);
    let (original, reconstruction) = (decode(original)?.into_rgb8(), decode(reconstruction)?.into_rgb8());
    let ((width, height), (other_width, other_height)) = (original.dimensions(), reconstruction.dimensions());
    if (width, height) != (other_width, other_height) {
        return Err(DifferenceError::Size(width, height, other_width, other_height));
    }
    let pixel = match kind {
        Kind::Absolute => absolute,
        Kind::Signed => signed,
    };
    let map = RgbImage::from_fn(width, height, |x, y| pixel(original.get_pixel(x, y), reconstruction.get_pixel(x, y)));
    let mut png = std::io::Cursor::new(Vec::new());
    map.write_to(&mut png, image::ImageFormat::Png)?;
    Ok(png.into_inner())
}

fn differences(original: &Rgb<u8>, reconstruction: &Rgb<u8>) -> [i32; 3] {
    std::array::from_fn(|channel| i32::from(reconstruction[channel]) - i32::from(original[channel]))
}

fn absolute(original: &Rgb<u8>, reconstruction: &Rgb<u8>) -> Rgb<u8> {
    let amplified = differences(original, reconstruction).map(|difference| AMPLIFICATION * difference.abs());
    Rgb(amplified.map(|value| value.min(255) as u8))
}

/// From blue over white to red: the ends of ColorBrewer's RdBu, which all common kinds of colour vision tell apart.
fn signed(original: &Rgb<u8>, reconstruction: &Rgb<u8>) -> Rgb<u8> {
    const BLUE: [f64; 3] = [33.0, 102.0, 172.0];
    const RED: [f64; 3] = [178.0, 24.0, 43.0];
    let sum: i32 = differences(original, reconstruction).iter().sum();
    let strength = (f64::from(AMPLIFICATION * sum) / (3.0 * 255.0)).clamp(-1.0, 1.0);
    let end = if strength < 0.0 { BLUE } else { RED };
    Rgb(end.map(|value| (255.0 + strength.abs() * (value - 255.0)).round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(pixels: [[u8; 3]; 3]) -> Vec<u8> {
        let image = RgbImage::from_fn(3, 1, |x, _| Rgb(pixels[x as usize]));
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        png.into_inner()
    }

    fn map(kind: Kind) -> Vec<[u8; 3]> {
        let original = png([[100, 100, 100], [100, 100, 100], [100, 100, 100]]);
        let reconstruction = png([[100, 100, 100], [110, 90, 100], [0, 0, 0]]);
        let map = image::load_from_memory(&draw(&original, &reconstruction, kind).unwrap()).unwrap().into_rgb8();
        map.pixels().map(|pixel| pixel.0).collect()
    }

    #[test]
    fn absolute_differences_are_four_times_as_large_and_saturate() {
        assert_eq!(map(Kind::Absolute), [[0, 0, 0], [40, 40, 0], [255, 255, 255]]);
    }

    #[test]
    fn equal_is_white_and_darker_is_blue() {
        // In the second pixel the channels cancel out.
        assert_eq!(map(Kind::Signed), [[255, 255, 255], [255, 255, 255], [33, 102, 172]]);
    }

    #[test]
    fn pictures_of_different_sizes_are_refused() {
        let mut wide = std::io::Cursor::new(Vec::new());
        RgbImage::new(9, 1).write_to(&mut wide, image::ImageFormat::Png).unwrap();
        let error = draw(&png([[0; 3]; 3]), wide.get_ref(), Kind::Signed).unwrap_err();
        assert!(error.to_string().contains("3×1"), "{error}");
        assert!(matches!(draw(b"no png", wide.get_ref(), Kind::Signed), Err(DifferenceError::Decode(_))));
    }
}
