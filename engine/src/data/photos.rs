//! A folder of photographs, decoded and resized once.

use super::folder::{self, Contents, Skipped};
use super::resize::{Picture, resize_shortest_side};
use crate::error::EngineError;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageDecoder as _, ImageEncoder as _, ImageReader};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Photographs of one folder, in the order of their names.
#[derive(Clone, Debug)]
pub struct PhotoSet {
    /// The folder as it was named.
    pub folder: PathBuf,
    /// Every usable photograph.
    pub photos: Vec<Photo>,
    /// Files with a picture's extension that could not be used, and why.
    pub skipped: Vec<Skipped>,
}

/// One photograph.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Path below the folder, with `/` between its parts.
    pub name: String,
    /// blake3 of the file's bytes.
    pub hash: blake3::Hash,
    /// Pixels from left to right in the file.
    pub width: usize,
    /// Pixels from top to bottom in the file.
    pub height: usize,
    /// Resized: its shortest side is what the experiment asks for.
    pub picture: Picture,
}

const PICTURES: Contents =
    Contents { noun: "picture", extensions: &["jpg", "jpeg", "png", "webp"], listed: ".jpg, .jpeg, .png or .webp" };

impl PhotoSet {
    /// Decodes every picture below `folder` and resizes its shortest side to `side` pixels. Pictures that do not
    /// decode, or whose shortest side is below `smallest` pixels, are skipped and named.
    ///
    /// # Errors
    /// [`EngineError::Folder`] where the folder cannot be read, [`EngineError::NothingUsable`] where no picture is
    /// left.
    pub fn load(folder: &Path, side: usize, smallest: usize) -> Result<Self, EngineError> {
        let (photos, skipped) = PICTURES.load(folder, |name| load(folder, name, side, smallest))?;
        Ok(Self { folder: folder.to_owned(), photos, skipped })
    }

    /// Names the set by the content of its photographs, in order: a blake3 hash.
    pub fn key(&self) -> blake3::Hash {
        folder::key(self.photos.iter().map(|photo| photo.hash))
    }
}

fn load(folder: &Path, name: &str, side: usize, smallest: usize) -> Result<Photo, String> {
    let bytes = std::fs::read(folder.join(name)).map_err(|error| error.to_string())?;
    let picture = decode(&bytes).map_err(|error| format!("does not decode: {error}"))?;
    let (width, height) = (picture.width, picture.height);
    if width.min(height) < smallest {
        return Err(format!("{width}×{height} pixels: smaller than the crop of {smallest}×{smallest}"));
    }
    let picture = resize_shortest_side(&picture, side);
    Ok(Photo { name: name.to_owned(), hash: blake3::hash(&bytes), width, height, picture })
}

/// Decodes one picture by its content, whatever its name, and turns it as its EXIF orientation says.
///
/// # Errors
/// [`EngineError::File`] where it cannot be read, [`EngineError::Picture`] where it does not decode.
pub fn load_picture(path: &Path) -> Result<Picture, EngineError> {
    let bytes = std::fs::read(path).map_err(EngineError::file("cannot read the picture", path))?;
    decode(&bytes).map_err(|error| EngineError::Picture { path: path.to_owned(), reason: error.to_string() })
}

/// A picture as PNG.
///
/// # Errors
/// A picture that PNG cannot hold.
pub fn to_png(picture: &Picture) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    let (width, height) = (picture.width as u32, picture.height as u32);
    encoder.write_image(&picture.pixels, width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// Decodes by content, not by name, and turns the picture as its EXIF orientation says.
fn decode(bytes: &[u8]) -> image::ImageResult<Picture> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    Ok(Picture { width: rgb.width() as usize, height: rgb.height() as usize, pixels: rgb.into_raw() })
}
