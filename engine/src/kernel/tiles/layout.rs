//! Lays factors out as lanes, in the order in which a [tile](super::tile) reads them.
//!
//! Lanes are kept in `f32`s, which nobody reads as numbers.

#![allow(unsafe_code)] // Calls of functions that only some CPUs have the instructions of.

use super::tile::{FEWEST_ROWS, TILE_ROWS};
use super::wide::{self, Pair};
use super::words::Words;
use crate::kernel::matrix::Matrix;

/// Lanes of so many values along k.
pub(super) fn words<W: Words>(depth: usize) -> usize {
    depth.div_ceil(W::VALUES)
}

/// How the rows of a left factor lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Row after row, so many lanes apart.
    Rows(usize),
    /// Lane after lane of all rows, so many apart: the transpose of rows.
    Columns(usize),
    /// In panels of [`TILE_ROWS`] rows, lane after lane.
    Panels,
}

/// Lanes from one row to the next, for rows of up to 16 lanes less: no powers of two, so that rows do not compete for the
/// same lines of a cache.
pub(super) const STEPS: [usize; 8] = [80, 144, 272, 528, 784, 1040, 1552, 2064];

/// The first so many of [`STEPS`] are near enough for columns to be read where they lie.
const NEAR: usize = 4;

/// The stride at which rows of so many values are read as they lie, if there is one.
pub(in crate::kernel) fn stride(columns: usize) -> Option<usize> {
    STEPS.into_iter().find(|step| step - 16 >= columns)
}

impl Order {
    /// The order in which a factor is laid out best, with up to [`DEPTH`](super::product::DEPTH) lanes a row.
    pub(super) fn of<W: Words>(a: Matrix<'_>) -> Self {
        if a.column_stride != 1 {
            return Self::Panels;
        }
        Self::Rows(stride(words::<W>(a.columns)).expect("a block is not deeper than the longest row"))
    }

    /// That of a factor which lies in such an order already, with as much behind its last row as a tile may read.
    pub(super) fn found<W: Words>(a: Matrix<'_>) -> Option<Self> {
        let order = match (a.row_stride, a.column_stride) {
            (step, 1) if STEPS.contains(&step) && a.columns <= step => Self::Rows(step),
            (1, step) if W::READS_COLUMNS && STEPS[..NEAR].contains(&step) && a.rows <= step => Self::Columns(step),
            _ => return None,
        };
        (W::VALUES == 1 && a.data.len() >= order.room(a.rows, a.columns)).then_some(order)
    }

    /// Lanes for so many rows of so many lanes, which fill whole tiles. Each lane of a panel's rows may be written
    /// with some too many, which the next one overwrites.
    pub(super) fn room(self, rows: usize, words: usize) -> usize {
        match self {
            Self::Rows(_) if rows == 0 => 0,
            Self::Rows(step) => (rows.next_multiple_of(FEWEST_ROWS) - 1) * step + words,
            Self::Columns(_) if words == 0 => 0,
            Self::Columns(step) => (words - 1) * step + rows.next_multiple_of(FEWEST_ROWS),
            Self::Panels => rows.next_multiple_of(TILE_ROWS) * words + 16,
        }
    }

    /// Lays out all rows in `out`. What it has of rows that are missing in the last tile is whatever it was before, or zero.
    pub(super) fn lay<W: Words>(self, a: Matrix<'_>, out: &mut [f32]) {
        let words = words::<W>(a.columns);
        assert!(W::are_there() && out.len() >= self.room(a.rows, words));
        if words == 0 {
            return;
        }
        match self {
            Self::Rows(step) => {
                assert!(a.column_stride == 1 && words <= step);
                for (row, out) in out.chunks_mut(step).enumerate().take(a.rows) {
                    // SAFETY: the CPU has the instructions.
                    unsafe { W::lay_row(&a.data[row * a.row_stride..][..a.columns], out) };
                }
            }
            Self::Columns(_) => unreachable!("columns are read where they lie"),
            // SAFETY: the CPU has the instructions; there is room for 16 lanes behind the last panel.
            Self::Panels => unsafe { W::lay_panels_of_left(a.transposed(), out) },
        }
    }
}

/// Lays out a right factor as panels of [`COLUMNS`](Words::COLUMNS) columns, lane after lane; columns that are missing in the
/// last one are zero.
pub(super) fn columns<W: Words>(b: Matrix<'_>, out: &mut [f32]) {
    let panel = W::COLUMNS * words::<W>(b.rows);
    assert!(W::are_there() && out.len() == b.columns.div_ceil(W::COLUMNS) * panel);
    if b.column_stride == 1 {
        // SAFETY: the CPU has the instructions.
        return unsafe { W::lay_panels_of_right(b, out) };
    }
    for (from, out) in (0..b.columns).step_by(W::COLUMNS).zip(out.chunks_exact_mut(panel.max(1))) {
        let part = b.part(0..b.rows, from..b.columns.min(from + W::COLUMNS));
        // SAFETY: the CPU has the instructions.
        unsafe { W::transpose(part.transposed(), out) };
    }
}

/// [`columns`] of pairs along k, of rows that hold pairs of neighbouring columns.
pub(super) fn columns_of_pairs(b: Matrix<'_>, out: &mut [f32]) {
    let panel = Pair::COLUMNS * words::<Pair>(b.rows);
    assert!(Pair::are_there() && b.column_stride == 1 && out.len() == (2 * b.columns).div_ceil(Pair::COLUMNS) * panel);
    for (from, out) in (0..b.columns).step_by(Pair::COLUMNS / 2).zip(out.chunks_exact_mut(panel.max(1))) {
        // SAFETY: the CPU has the instructions.
        unsafe { wide::interleave(b.part(0..b.rows, from..b.columns.min(from + Pair::COLUMNS / 2)), out) };
    }
}

/// Appends pairs of neighbouring values.
pub(in crate::kernel) fn pack(values: &[f32], to: &mut Vec<f32>) {
    assert!(Pair::are_there() && values.len().is_multiple_of(2), "pairs of values");
    let from = to.len();
    to.resize(from + values.len() / 2, 0.0);
    // SAFETY: the CPU has the instructions.
    unsafe { Pair::lay_row(values, &mut to[from..]) };
}
