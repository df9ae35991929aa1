//! Photographs and videos: folders of them into fixed crops for evaluation and random ones for training.

mod clips;
mod crop;
mod duplicates;
mod fit;
mod folder;
mod mix;
mod photos;
mod resize;
pub mod video;

pub use clips::{Clip, Clips, RandomClips, drawn_clips, spread_clips};
pub use crop::{Crop, RandomCrops, drawn_crops, fixed_crops};
pub use duplicates::{NearDuplicate, near_duplicates};
pub use fit::{Fit, to_block, to_frames};
pub use folder::{Contents, Skipped};
pub use mix::Mix;
pub use photos::{Photo, PhotoSet, load_picture, to_png};
pub use resize::{Picture, resize, resize_shortest_side};
