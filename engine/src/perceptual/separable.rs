//! Linear maps that treat rows and columns alike: blur-pooling and resizing, and with them their gradients.
//!
//! Along one axis such a map is a list: which input positions, with which weights, make each output position. Its
//! gradient is the transposed list, so that one sweep serves both directions.

use super::map::FeatureMap;
use crate::kernel::rows;
use rayon::prelude::*;

/// A linear map along one axis: for each output position its (input position, weight)s.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    input: usize,
    taps: Vec<Vec<(usize, f32)>>,
}

impl Axis {
    /// Blur-pooling (Zhang 2019, «Making convolutional networks shift-invariant again»): [1, 2, 1] / 4 at every second
    /// position, the edges mirrored. As wide a mirror as the filter allows, 2 positions: what the shift-tolerant networks
    /// were trained with (Ghildyal & Liu 2022, «reflection padding» of blur-pools).
    pub(super) fn blur(input: usize) -> Self {
        assert!(input > BLUR_MIRROR, "{input} positions cannot be mirrored at {BLUR_MIRROR}");
        let reflect = |position: isize| {
            let last = input as isize - 1;
            (last - (last - position.abs()).abs()) as usize
        };
        let output = blurred(input);
        let tap = |o: usize| {
            let first = 2 * o as isize - BLUR_MIRROR as isize;
            [(0, 0.25), (1, 0.5), (2, 0.25)].map(|(offset, weight)| (reflect(first + offset), weight)).to_vec()
        };
        Self { input, taps: (0..output).map(tap).collect() }
    }

    /// Bilinear resizing with half-pixel centres; the triangle is widened by the scale when shrinking (antialiasing).
    pub(super) fn bilinear(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let widening = scale.max(1.0);
        let taps = (0..output).map(|o| {
            let centre = (o as f64 + 0.5) * scale - 0.5;
            let triangle = |i: usize| (1.0 - (i as f64 - centre).abs() / widening).max(0.0);
            let near: Vec<(usize, f64)> =
                (0..input).map(|i| (i, triangle(i))).filter(|(_, weight)| *weight > 0.0).collect();
            let total: f64 = near.iter().map(|(_, weight)| weight).sum();
            near.into_iter().map(|(i, weight)| (i, (weight / total) as f32)).collect()
        });
        Self { input, taps: taps.collect() }
    }

    /// Positions it makes.
    fn output(&self) -> usize {
        self.taps.len()
    }

    /// The map of gradients: from output positions to input positions.
    pub(super) fn transposed(&self) -> Self {
        let mut taps = vec![Vec::new(); self.input];
        for (o, of_output) in self.taps.iter().enumerate() {
            of_output.iter().for_each(|(i, weight)| taps[*i].push((o, *weight)));
        }
        Self { input: self.output(), taps }
    }
}

/// Positions that a blur-pool mirrors at each edge.
pub(super) const BLUR_MIRROR: usize = 2;

/// Positions that a blur-pool makes of `input`.
pub(super) fn blurred(input: usize) -> usize {
    (input + 2 * BLUR_MIRROR - 3) / 2 + 1
}

/// Applies `rows` to the rows and `columns` to the columns of every channel.
pub(super) fn apply(map: &FeatureMap, rows: &Axis, columns: &Axis) -> FeatureMap {
    assert_eq!((map.height, map.width), (rows.input, columns.input), "the axes belong to another map");
    let channels = map.channels;
    let mut result = FeatureMap::zeros(rows.output(), columns.output(), channels);
    let row_values = result.row_values();
    result.values.par_chunks_mut(row_values).zip(&rows.taps).for_each(|(result, taps)| {
        let mut row = vec![0.0; map.row_values()];
        taps.iter().for_each(|(i, weight)| rows::add_scaled(&mut row, map.row(*i), *weight));
        for (pixel, taps) in result.chunks_mut(channels).zip(&columns.taps) {
            taps.iter().for_each(|(i, weight)| rows::add_scaled(pixel, &row[i * channels..][..channels], *weight));
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(axis: &Axis, values: &[f32]) -> Vec<f32> {
        let one = Axis { input: 1, taps: vec![vec![(0, 1.0)]] };
        apply(&FeatureMap::new(1, values.len(), 1, values.to_vec()), &one, axis).values
    }

    #[test]
    fn a_blur_pool_mirrors_both_edges() {
        // Mirrored by two: 3 2 | 1 2 3 4 | 3 2. Windows start at 0, 2, 4: (3 2 1), (1 2 3), (3 4 3).
        assert_eq!(line(&Axis::blur(4), &[1.0, 2.0, 3.0, 4.0]), [2.0, 2.0, 3.5]);
        // 3 2 | 1 2 5 | 2 1: (5 2 1), (1 2 5), (5 2 1).
        assert_eq!(line(&Axis::blur(3), &[1.0, 2.0, 5.0]), [2.5, 2.5, 2.5]);
        assert_eq!((blurred(4), blurred(3), blurred(218)), (3, 3, 110));
    }

    #[test]
    fn doubling_puts_a_quarter_and_three_quarters_between_neighbours() {
        assert_eq!(line(&Axis::bilinear(2, 4), &[0.0, 4.0]), [0.0, 1.0, 3.0, 4.0]);
        // Halving: a triangle of half-width 2 around 0.5: weights 0.75, 0.75, 0.25 of 1.75.
        let halved = line(&Axis::bilinear(4, 2), &[7.0, 0.0, 0.0, 0.0]);
        assert!((halved[0] - 3.0).abs() < 1e-6 && halved[1] == 0.0, "{halved:?}");
    }

    #[test]
    fn the_transpose_is_the_adjoint() {
        for axis in [Axis::blur(9), Axis::bilinear(5, 14), Axis::bilinear(14, 5)] {
            let x: Vec<f32> = (0..axis.input).map(|i| (i as f32 * 1.7).sin()).collect();
            let y: Vec<f32> = (0..axis.output()).map(|i| (i as f32 * 0.9).cos()).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let (left, right) = (dot(&line(&axis, &x), &y), dot(&x, &line(&axis.transposed(), &y)));
            assert!((left - right).abs() < 1e-6, "{left} and {right}");
        }
    }
}
