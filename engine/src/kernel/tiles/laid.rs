//! Factors of several products, laid out once for all of them.

use super::layout::{self, Order, words};
use super::product::DEPTH;
use super::tile::{COLUMNS, Rows, Target};
use super::words::{Pair, Single, Words};
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::scratch::Scratch;
use crate::precision::Precision;

/// A (m, k), k in one block.
pub(crate) struct LaidLeft {
    lanes: Scratch,
    order: Order,
    rows: usize,
    depth: usize,
    precision: Precision,
}

/// B (k, n), k in one block.
pub(crate) struct LaidRight {
    lanes: Scratch,
    columns: usize,
    depth: usize,
    precision: Precision,
}

impl LaidLeft {
    /// # Panics
    /// If k is more than [`DEPTH`].
    pub(in crate::kernel) fn of(a: Matrix<'_>, precision: Precision) -> Self {
        assert!(a.columns <= DEPTH, "k of {} is more than one block", a.columns);
        let (lanes, order) = match precision {
            Precision::F32 => Self::lanes::<Single>(a),
            Precision::Bf16 => Self::lanes::<Pair>(a),
        };
        Self { lanes, order, rows: a.rows, depth: a.columns, precision }
    }

    fn lanes<W: Words>(a: Matrix<'_>) -> (Scratch, Order) {
        let order = Order::of::<W>(a);
        let mut lanes = Scratch::of(order.room(a.rows, words::<W>(a.columns)));
        order.lay::<W>(a, &mut lanes);
        (lanes, order)
    }

    /// c = scale·self·b, or c += scale·self·b.
    ///
    /// # Panics
    /// If the shapes do not fit or the precisions differ.
    pub(in crate::kernel) fn multiply(&self, c: MatrixMut<'_>, add: bool, scale: f32, b: &LaidRight) {
        assert!(self.precision == b.precision && self.depth == b.depth, "factors do not fit each other");
        assert!(c.rows == self.rows && c.columns == b.columns, "the product does not fit its factors");
        if c.rows == 0 || c.columns == 0 {
            return;
        }
        let mut target = Target { stride: c.row_stride, rows: c.rows, columns: c.columns, scale, add, data: c.data };
        let rows = |words| Rows { lanes: &self.lanes, words, order: self.order };
        match self.precision {
            Precision::F32 => target.multiply::<Single>(rows(words::<Single>(self.depth)), &b.lanes),
            Precision::Bf16 => target.multiply::<Pair>(rows(words::<Pair>(self.depth)), &b.lanes),
        }
    }
}

impl LaidRight {
    /// # Panics
    /// If k is more than [`DEPTH`].
    pub(in crate::kernel) fn of(b: Matrix<'_>, precision: Precision) -> Self {
        assert!(b.rows <= DEPTH, "k of {} is more than one block", b.rows);
        let lanes = match precision {
            Precision::F32 => Self::lanes::<Single>(b),
            Precision::Bf16 => Self::lanes::<Pair>(b),
        };
        Self { lanes, columns: b.columns, depth: b.rows, precision }
    }

    fn lanes<W: Words>(b: Matrix<'_>) -> Scratch {
        let panel = COLUMNS * words::<W>(b.rows);
        let mut lanes = Scratch::of(b.columns.div_ceil(COLUMNS) * panel);
        for (out, from) in lanes.chunks_exact_mut(panel.max(1)).zip((0..b.columns).step_by(COLUMNS)) {
            layout::columns::<W>(b.part(0..b.rows, from..b.columns.min(from + COLUMNS)), out);
        }
        lanes
    }
}
