//! Near-duplicates between training and test photographs: a held-out score is worth nothing if the picture was seen.

use super::{Photo, PhotoSet};
use image_hasher::{HashAlg, HasherConfig, ImageHash};

/// A test photograph that looks like a training one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearDuplicate {
    /// The training photograph's name.
    pub train: String,
    /// The test photograph's name.
    pub test: String,
    /// Bits in which their perceptual hashes differ, of 64.
    pub distance: u32,
}

/// Hashes of unrelated photographs differ in 32 of 64 bits on average; re-encoded or resized copies in a few.
const NEAR: u32 = 8;

/// Every pair whose perceptual hashes (DCT, 8 × 8) differ in at most 8 of 64 bits.
pub fn near_duplicates(train: &PhotoSet, test: &PhotoSet) -> Vec<NearDuplicate> {
    let hasher = HasherConfig::new().hash_size(8, 8).hash_alg(HashAlg::Median).preproc_dct().to_hasher();
    let hash = |photo: &Photo| -> ImageHash {
        let picture = &photo.picture;
        let (width, height) = (picture.width as u32, picture.height as u32);
        let image = image::RgbImage::from_raw(width, height, picture.pixels.clone());
        hasher.hash_image(&image.expect("a picture holds width × height × 3 values"))
    };
    let train: Vec<_> = train.photos.iter().map(|photo| (&photo.name, hash(photo))).collect();
    let mut near = Vec::new();
    for photo in &test.photos {
        let own = hash(photo);
        for (name, other) in &train {
            let distance = own.dist(other);
            if distance <= NEAR {
                near.push(NearDuplicate { train: (*name).clone(), test: photo.name.clone(), distance });
            }
        }
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Picture, resize_shortest_side};
    use std::path::PathBuf;

    fn set(photos: impl IntoIterator<Item = (String, Picture)>) -> PhotoSet {
        let photo = |(name, picture): (String, Picture)| {
            let (width, height) = (picture.width, picture.height);
            Photo { name, hash: blake3::hash(&picture.pixels), width, height, picture }
        };
        PhotoSet { folder: PathBuf::new(), photos: photos.into_iter().map(photo).collect(), skipped: Vec::new() }
    }

    /// The committed photographs: none resembles another, each resembles its own smaller, noisier copy.
    #[test]
    fn copies_are_found_and_different_photographs_are_not() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../experiments/data/photos");
        let train = PhotoSet::load(&folder.join("train"), 128, 64).unwrap();
        let test = PhotoSet::load(&folder.join("test"), 128, 64).unwrap();
        assert_eq!(near_duplicates(&train, &test), []);

        let copies = train.photos.iter().map(|photo| {
            let mut small = resize_shortest_side(&photo.picture, 96);
            small.pixels.iter_mut().enumerate().for_each(|(i, p)| *p = p.saturating_add((i * 7 % 13) as u8));
            (format!("copy of {}", photo.name), small)
        });
        let copies = set(copies.collect::<Vec<_>>());
        for photo in &train.photos {
            let copy = format!("copy of {}", photo.name);
            let found = near_duplicates(&train, &copies).into_iter().any(|d| d.train == photo.name && d.test == copy);
            assert!(found, "{copy} was not found");
        }
    }
}
