//! Crops: fixed ones that every evaluation sees alike, random ones that training draws by number.

use super::{PhotoSet, Picture};
use crate::random;
use rand::Rng;
use rand::seq::SliceRandom as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a square crop of a resized photograph starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Pixels from the left.
    pub x: usize,
    /// Pixels from the top.
    pub y: usize,
}

/// Up to `count` different crops of `side`² pixels: the centre first, then spread evenly (the R2 sequence, Roberts
/// 2018). A picture with less room has fewer; its sides have at least `side` pixels.
pub fn fixed_crops(picture: &Picture, side: usize, count: usize) -> Vec<Crop> {
    // Reciprocals of the plastic number and its square: no two of the first points lie close together.
    const STEP: [f64; 2] = [0.754_877_666_246_692_7, 0.569_840_290_998_053_3];
    let (across, down) = (picture.width - side, picture.height - side);
    let place = |room: usize, step: f64, i: usize| ((0.5 + step * i as f64).fract() * (room + 1) as f64) as usize;
    let wanted = count.min((across + 1).saturating_mul(down + 1));
    let mut crops = vec![Crop { x: across / 2, y: down / 2 }];
    // Where there is hardly any room the sequence repeats places: it is given many tries to find the others.
    for i in 1..64 * count {
        let crop = Crop { x: place(across, STEP[0], i), y: place(down, STEP[1], i) };
        if crops.len() < wanted && !crops.contains(&crop) {
            crops.push(crop);
        }
    }
    crops
}

/// `count` crops of `side`² pixels at drawn places, the pictures in turn: (picture, place). No picture's side is
/// shorter.
pub fn drawn_crops(set: &PhotoSet, side: usize, count: usize, seed: u64) -> Vec<(usize, Crop)> {
    let draw = |number: usize| {
        let photo = number % set.photos.len();
        let picture = &set.photos[photo].picture;
        (photo, draw_place(picture, side, &mut random::stream(seed, "drawn crop", number as u64)))
    };
    (0..count).map(draw).collect()
}

/// Training's crops: every photograph once an epoch in a drawn order, a drawn place, mirrored half of the time.
pub struct RandomCrops {
    photos: Arc<PhotoSet>,
    side: usize,
    seed: u64,
    /// The last epoch's order: drawing it again for every crop would be slow.
    order: Mutex<(u64, Arc<[usize]>)>,
}

impl RandomCrops {
    /// Crops of `side`² pixels; no picture's side is shorter.
    pub fn new(photos: Arc<PhotoSet>, side: usize, seed: u64) -> Self {
        let order = Mutex::new((0, order(photos.photos.len(), seed, 0)));
        Self { photos, side, seed, order }
    }

    /// The `number`-th crop, counted from 0 through all epochs.
    pub fn crop(&self, number: u64) -> Picture {
        let length = self.photos.photos.len() as u64;
        let order = self.order_of(number / length);
        let picture = &self.photos.photos[order[(number % length) as usize]].picture;
        draw_crop(picture, self.side, &mut random::stream(self.seed, "crop", number))(picture)
    }

    fn order_of(&self, epoch: u64) -> Arc<[usize]> {
        let mut last = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != epoch {
            *last = (epoch, order(self.photos.photos.len(), self.seed, epoch));
        }
        last.1.clone()
    }
}

fn order(length: usize, seed: u64, epoch: u64) -> Arc<[usize]> {
    let mut order: Vec<usize> = (0..length).collect();
    order.shuffle(&mut random::stream(seed, "order", epoch));
    order.into()
}

/// Draws where a square of `side`² pixels is cut.
pub(super) fn draw_place(picture: &Picture, side: usize, random: &mut impl Rng) -> Crop {
    let x = random.random_range(0..=picture.width - side);
    Crop { x, y: random.random_range(0..=picture.height - side) }
}

/// Draws what is done to a picture and others of its size: `side`² pixels at one place, mirrored half of the time.
pub(super) fn draw_crop(picture: &Picture, side: usize, random: &mut impl Rng) -> impl Fn(&Picture) -> Picture {
    let Crop { x, y } = draw_place(picture, side, random);
    let mirrored: bool = random.random();
    move |picture| {
        let crop = picture.crop(x, y, side, side);
        if mirrored { crop.mirrored() } else { crop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_crops_start_with_the_centre_and_do_not_repeat() {
        let picture = Picture { width: 200, height: 128, pixels: vec![0; 200 * 128 * 3] };
        let crops = fixed_crops(&picture, 64, 9);
        assert_eq!(crops[0], Crop { x: 68, y: 32 });
        assert!((0..9).all(|i| (0..i).all(|j| crops[i] != crops[j])), "{crops:?}");
        assert!(crops.iter().all(|crop| crop.x <= 136 && crop.y <= 64));
        assert_eq!(fixed_crops(&picture, 64, 3), crops[..3], "more crops only add to fewer");
        let tight = Picture { width: 64, height: 65, pixels: vec![0; 64 * 65 * 3] };
        assert_eq!(fixed_crops(&tight, 64, 9), [Crop { x: 0, y: 0 }, Crop { x: 0, y: 1 }]);
    }
}
