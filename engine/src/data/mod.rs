//! Photographs: folders of pictures into fixed crops for evaluation and random ones for training.

mod crop;
mod duplicates;
mod photos;
mod resize;

pub use crop::{Crop, RandomCrops, drawn_crops, fixed_crops};
pub use duplicates::{NearDuplicate, near_duplicates};
pub use photos::{Photo, PhotoSet, Skipped};
pub use resize::{Picture, resize, resize_shortest_side};
