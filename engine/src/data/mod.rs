//! Photographs and videos: folders of them into fixed crops for evaluation and random ones for training.

mod crop;
mod duplicates;
mod folder;
mod photos;
mod resize;
pub mod video;

pub use crop::{Crop, RandomCrops, drawn_crops, fixed_crops};
pub use duplicates::{NearDuplicate, near_duplicates};
pub use folder::Skipped;
pub use photos::{Photo, PhotoSet};
pub use resize::{Picture, resize, resize_shortest_side};
