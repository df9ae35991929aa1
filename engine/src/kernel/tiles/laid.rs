//! Factors of several products, laid out once for all of them.

use super::layout::{self, Order, words};
use super::narrow::Narrow;
use super::product::DEPTH;
use super::tile::{Rows, Target};
use super::wide::{Pair, Single};
use super::words::{Kind, Words};
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::scratch::Scratch;
use std::ops::Deref;

/// A (m, k), k in one block.
pub(crate) struct LaidLeft<'a> {
    lanes: Lanes<'a>,
    order: Order,
    rows: usize,
    depth: usize,
    kind: Kind,
}

/// B (k, n), k in one block.
pub(crate) struct LaidRight {
    lanes: Scratch,
    columns: usize,
    depth: usize,
    kind: Kind,
}

/// What was laid out, or lay so already.
pub(super) enum Lanes<'a> {
    Made(Scratch),
    Found(&'a [f32]),
}

impl Deref for Lanes<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Made(lanes) => lanes,
            Self::Found(lanes) => lanes,
        }
    }
}

/// Rows of a left factor, laid out unless they lie so already.
pub(super) fn left<W: Words>(a: Matrix<'_>) -> (Lanes<'_>, Order) {
    if let Some(order) = Order::found::<W>(a) {
        return (Lanes::Found(a.data), order);
    }
    let order = Order::of::<W>(a);
    let mut lanes = Scratch::of(order.room(a.rows, words::<W>(a.columns)));
    order.lay::<W>(a, &mut lanes);
    (Lanes::Made(lanes), order)
}

impl<'a> LaidLeft<'a> {
    /// # Panics
    /// If k is more than [`DEPTH`].
    pub(in crate::kernel) fn of(a: Matrix<'a>, kind: Kind) -> Self {
        assert!(a.columns <= DEPTH, "k of {} is more than one block", a.columns);
        let (lanes, order) = match kind {
            Kind::Single => left::<Single>(a),
            Kind::Pair => left::<Pair>(a),
            Kind::Narrow => left::<Narrow>(a),
        };
        Self { lanes, order, rows: a.rows, depth: a.columns, kind }
    }

    /// A (m, k) in bf16, of rows whose neighbouring values share a lane.
    pub(in crate::kernel) fn of_pairs(a: Matrix<'a>) -> Self {
        assert!(2 * a.columns <= DEPTH, "{} pairs along k are more than one block", a.columns);
        let (lanes, order) = left::<Single>(a);
        Self { lanes, order, rows: a.rows, depth: 2 * a.columns, kind: Kind::Pair }
    }

    /// c = scale·self·b, or c += scale·self·b.
    ///
    /// # Panics
    /// If the shapes do not fit or the lanes differ.
    pub(in crate::kernel) fn multiply(&self, c: MatrixMut<'_>, add: bool, scale: f32, b: &LaidRight) {
        assert!(self.kind == b.kind && self.depth == b.depth, "factors do not fit each other");
        assert!(c.rows == self.rows && c.columns == b.columns, "the product does not fit its factors");
        if c.rows == 0 || c.columns == 0 {
            return;
        }
        let mut target = Target { stride: c.row_stride, rows: c.rows, columns: c.columns, scale, add, data: c.data };
        let rows = |words| Rows { lanes: &self.lanes, words, order: self.order };
        match self.kind {
            Kind::Single => target.multiply::<Single>(rows(words::<Single>(self.depth)), &b.lanes),
            Kind::Pair => target.multiply::<Pair>(rows(words::<Pair>(self.depth)), &b.lanes),
            Kind::Narrow => target.multiply::<Narrow>(rows(words::<Narrow>(self.depth)), &b.lanes),
        }
    }
}

impl LaidRight {
    /// # Panics
    /// If k is more than [`DEPTH`].
    pub(in crate::kernel) fn of(b: Matrix<'_>, kind: Kind) -> Self {
        assert!(b.rows <= DEPTH, "k of {} is more than one block", b.rows);
        let lanes = match kind {
            Kind::Single => Self::lanes::<Single>(b),
            Kind::Pair => Self::lanes::<Pair>(b),
            Kind::Narrow => Self::lanes::<Narrow>(b),
        };
        Self { lanes, columns: b.columns, depth: b.rows, kind }
    }

    /// B (k, n) in bf16, of rows whose neighbouring values share a lane.
    pub(in crate::kernel) fn of_pairs(b: Matrix<'_>) -> Self {
        assert!(b.rows <= DEPTH, "k of {} is more than one block", b.rows);
        let columns = 2 * b.columns;
        let mut lanes = Self::room::<Pair>(b.rows, columns);
        layout::columns_of_pairs(b, &mut lanes);
        Self { lanes, columns, depth: b.rows, kind: Kind::Pair }
    }

    /// B (k, n) in bf16, of columns (n, k) whose neighbouring values share a lane.
    pub(in crate::kernel) fn of_columns_of_pairs(b: Matrix<'_>) -> Self {
        assert!(2 * b.columns <= DEPTH, "{} pairs along k are more than one block", b.columns);
        let lanes = Self::lanes::<Single>(b.transposed());
        Self { lanes, columns: b.rows, depth: 2 * b.columns, kind: Kind::Pair }
    }

    fn lanes<W: Words>(b: Matrix<'_>) -> Scratch {
        let mut lanes = Self::room::<W>(b.rows, b.columns);
        layout::columns::<W>(b, &mut lanes);
        lanes
    }

    fn room<W: Words>(depth: usize, columns: usize) -> Scratch {
        Scratch::of(columns.next_multiple_of(W::COLUMNS) * words::<W>(depth))
    }
}
