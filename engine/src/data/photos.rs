//! A folder of photographs, decoded and resized once.

use super::resize::{Picture, resize_shortest_side};
use crate::error::EngineError;
use image::{DynamicImage, ImageDecoder as _, ImageReader};
use rayon::prelude::*;
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

/// A file that was left out.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Path below the folder.
    pub name: String,
    /// Why.
    pub reason: String,
}

const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

impl PhotoSet {
    /// Decodes every picture below `folder` and resizes its shortest side to `side`. Pictures that do not decode, or
    /// whose shortest side is below `smallest` pixels, are skipped and named; none left is an error.
    pub fn load(folder: &Path, side: usize, smallest: usize) -> Result<Self, EngineError> {
        let mut files = Vec::new();
        list(folder, folder, &mut files)?;
        files.sort();
        let loaded: Vec<Result<Photo, Skipped>> = files
            .into_par_iter()
            .map(|name| load(folder, &name, side, smallest).map_err(|reason| Skipped { name, reason }))
            .collect();
        let found = loaded.len();
        let (mut photos, mut skipped) = (Vec::new(), Vec::new());
        for result in loaded {
            match result {
                Ok(photo) => photos.push(photo),
                Err(reason) => skipped.push(reason),
            }
        }
        if photos.is_empty() {
            let first = skipped.first().map(|s| format!(" (the first: {}: {})", s.name, s.reason)).unwrap_or_default();
            return Err(EngineError::NoPictures { folder: folder.to_owned(), found, skipped: skipped.len(), first });
        }
        Ok(Self { folder: folder.to_owned(), photos, skipped })
    }

    /// Names the set by the content of its photographs, in order: a blake3 hash.
    pub fn key(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        self.photos.iter().for_each(|photo| {
            hasher.update(photo.hash.as_bytes());
        });
        hasher.finalize()
    }
}

/// Adds the pictures below `folder`, as paths below `root`. Hidden files and folders are left alone.
fn list(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), EngineError> {
    let error = |source| EngineError::Folder { folder: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Follows links, so that a folder of links to pictures works.
        if path.is_dir() {
            list(root, &path, files)?;
        } else if is_picture(&path) {
            let below = path.strip_prefix(root).expect("the walk stays below its root");
            let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
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

/// Decodes by content, not by name, and turns the picture as its EXIF orientation says.
fn decode(bytes: &[u8]) -> image::ImageResult<Picture> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    Ok(Picture { width: rgb.width() as usize, height: rgb.height() as usize, pixels: rgb.into_raw() })
}
