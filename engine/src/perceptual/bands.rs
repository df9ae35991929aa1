//! Work on a picture cut into bands of output rows, whose gradients overlap among the input rows.
//!
//! How a picture is cut depends on its size alone, never on the number of threads, and strips are added in order.

use super::map::FeatureMap;
use crate::kernel::rows;
use rayon::prelude::*;
use std::ops::Range;

/// A band holds about this many intermediate values: 4 MB.
const BAND_VALUES: usize = 1 << 20;

/// Output rows, cut into bands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bands {
    rows: usize,
    each: usize,
}

/// The gradient of some input rows, from `first_row` on.
pub(super) struct Strip {
    first_row: usize,
    values: Vec<f32>,
}

impl Bands {
    /// Bands of `rows` output rows, each of which needs `values_a_row` intermediate values; their number is a power of
    /// two, so that threads get equal shares.
    pub(super) fn of(rows: usize, values_a_row: usize) -> Self {
        let bands = (rows * values_a_row).div_ceil(BAND_VALUES).next_power_of_two();
        Self { rows, each: rows.div_ceil(bands) }
    }

    /// Output rows of a band; the last may hold fewer.
    pub(super) fn rows_each(self) -> usize {
        self.each
    }

    /// Has every band write the gradient of the input rows below it, where windows of `side` rows start `stride` rows
    /// apart.
    pub(super) fn strips(
        self,
        side: usize,
        stride: usize,
        row_values: usize,
        write: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) -> Vec<Strip> {
        let starts: Vec<usize> = (0..self.rows).step_by(self.each).collect();
        let strip = |start: usize| {
            let band = start..self.rows.min(start + self.each);
            let mut values = vec![0.0; ((band.len() - 1) * stride + side) * row_values];
            write(band, &mut values);
            Strip { first_row: start * stride, values }
        };
        starts.into_par_iter().map(strip).collect()
    }
}

/// Adds strips to the rows they belong to, one after another.
pub(super) fn add_strips(dx: &mut FeatureMap, strips: Vec<Strip>) {
    let row_values = dx.row_values();
    for strip in strips {
        rows::add_on_all_threads(&mut dx.values[strip.first_row * row_values..][..strip.values.len()], &strip.values);
    }
}
