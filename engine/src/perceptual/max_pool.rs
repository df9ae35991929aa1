//! Max-pooling: the largest of a square of neighbours, in each channel.

use super::bands::{Bands, add_strips};
use super::map::FeatureMap;
use crate::kernel::simd::vectorized;
use rayon::prelude::*;

/// Squares of `side` pixels, `stride` pixels apart, all inside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaxPool {
    pub(super) side: usize,
    pub(super) stride: usize,
}

impl MaxPool {
    /// Positions along an axis of `input` positions, of which there must be at least `side`.
    pub(super) fn output(self, input: usize) -> usize {
        (input - self.side) / self.stride + 1
    }

    pub(super) fn forward(self, x: &FeatureMap) -> FeatureMap {
        let mut y = FeatureMap::zeros(self.output(x.height), self.output(x.width), x.channels);
        let row_values = y.row_values();
        y.values.par_chunks_mut(row_values).enumerate().for_each(|(row, y)| {
            y.fill(f32::NEG_INFINITY);
            for tap_row in 0..self.side {
                let input = x.row(row * self.stride + tap_row);
                for (column, y) in y.chunks_mut(x.channels).enumerate() {
                    for tap in 0..self.side {
                        larger(y, &input[(column * self.stride + tap) * x.channels..][..x.channels]);
                    }
                }
            }
        });
        y
    }

    /// The gradient of the input `x` of [`forward`](Self::forward): each goes to the first of the largest.
    pub(super) fn backward(self, x: &FeatureMap, dy: &FeatureMap) -> FeatureMap {
        let (channels, y) = (x.channels, self.forward(x));
        let bands = Bands::of(dy.height, self.side * self.side * dy.row_values());
        let strips = bands.strips(self.side, self.stride, x.row_values(), |band, strip| {
            let mut open = vec![0.0; channels];
            for row in band.clone() {
                for (column, (y, dy)) in y.row(row).chunks(channels).zip(dy.row(row).chunks(channels)).enumerate() {
                    open.fill(1.0);
                    for tap in 0..self.side * self.side {
                        let (tap_row, tap_column) = (tap / self.side, tap % self.side);
                        let place = (column * self.stride + tap_column) * channels;
                        let x_tap = &x.row(row * self.stride + tap_row)[place..][..channels];
                        let below = (row - band.start) * self.stride + tap_row;
                        let dx = &mut strip[below * x.row_values() + place..][..channels];
                        give_to_the_largest(dx, &mut open, x_tap, y, dy);
                    }
                }
            }
        });
        let mut dx = FeatureMap::zeros(x.height, x.width, channels);
        add_strips(&mut dx, strips);
        dx
    }
}

vectorized! {
    fn larger(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = if *x > *y { *x } else { *y };
        }
    }
}

vectorized! {
    /// dx += dy where x is the largest value y and no earlier neighbour was; `open` is 1 until one is.
    fn give_to_the_largest(dx: &mut [f32], open: &mut [f32], x: &[f32], y: &[f32], dy: &[f32]) {
        for i in 0..dx.len() {
            let taken = if x[i] == y[i] { open[i] } else { 0.0 };
            dx[i] += taken * dy[i];
            open[i] -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_kept_and_gets_the_gradient() {
        // Windows of 2 at stride 1 over 3 × 3 pixels; two sevens: the first one in reading order counts.
        let x = FeatureMap::new(3, 3, 1, vec![1.0, 7.0, 2.0, 7.0, 3.0, 4.0, 0.0, 5.0, 9.0]);
        let pool = MaxPool { side: 2, stride: 1 };
        assert_eq!(pool.forward(&x).values, [7.0, 7.0, 7.0, 9.0]);
        let dy = FeatureMap::new(2, 2, 1, vec![1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(pool.backward(&x, &dy).values, [0.0, 11.0, 0.0, 100.0, 0.0, 0.0, 0.0, 0.0, 1000.0]);
        let apart = MaxPool { side: 2, stride: 2 };
        assert_eq!(apart.forward(&x).values, [7.0]);
        assert_eq!(apart.output(5), 2);
    }
}
