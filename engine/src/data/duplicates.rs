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
    let hasher = HasherConfig::new()
        .hash_size(8, 8)
        .hash_alg(HashAlg::Mean)
        .preproc_dct()
        .to_hasher();
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
                near.push(NearDuplicate {
                    train: (*name).clone(),
                    test: photo.name.clone(),
                    distance,
                });
            }
        }
    }
    near
}
