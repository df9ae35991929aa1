//! Pictures that a camera took lying on its side.

use crate::data::Picture;
use crate::patch::CHANNELS;

/// A rotation by a multiple of 90°, mirrored or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::video) struct Orientation {
    /// A pixel at (x, y) moves to (a·x + c·y, b·x + d·y), shifted so that the picture begins at 0.
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl Orientation {
    /// From a track's matrix, if it is such a rotation. A matrix of zeros, which some writers leave, is upright.
    pub(super) fn new(matrix: [Option<i32>; 4]) -> Option<Self> {
        let [a, b, c, d] = [matrix[0]?, matrix[1]?, matrix[2]?, matrix[3]?];
        match [a.abs(), b.abs(), c.abs(), d.abs()] {
            [0, 0, 0, 0] => Some(Self { a: 1, b: 0, c: 0, d: 1 }),
            [1, 0, 0, 1] | [0, 1, 1, 0] => Some(Self { a, b, c, d }),
            _ => None,
        }
    }

    /// Width and height as they are seen.
    pub(in crate::data::video) fn size(self, width: usize, height: usize) -> (usize, usize) {
        if self.a == 0 { (height, width) } else { (width, height) }
    }

    /// The picture as it is to be seen.
    pub(in crate::data::video) fn apply(self, picture: Picture) -> Picture {
        if self == (Self { a: 1, b: 0, c: 0, d: 1 }) {
            return picture;
        }
        let (width, height) = self.size(picture.width, picture.height);
        let (right, bottom) = (picture.width - 1, picture.height - 1);
        // The matrix is orthogonal: its transpose leads back. Where a coefficient is negative, counting starts at the end.
        let back = |x: usize, y: usize, along_x: i32, along_y: i32, last: usize| {
            let place = if along_x != 0 { x } else { y };
            if along_x + along_y < 0 { last - place } else { place }
        };
        let mut pixels = Vec::with_capacity(picture.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = (back(x, y, self.a, self.b, right), back(x, y, self.c, self.d, bottom));
                let at = (from_y * picture.width + from_x) * CHANNELS;
                pixels.extend_from_slice(&picture.pixels[at..at + CHANNELS]);
            }
        }
        Picture { width, height, pixels }
    }
}
