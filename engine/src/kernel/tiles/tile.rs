//! A tile of the product: sums that stay in registers, of all its rows ([`wide`](super::wide)) or of half of them
//! ([`narrow`](super::narrow)).

#![allow(unsafe_code)] // Calls of functions that only some CPUs have the instructions of.

use super::layout::{Order, STEPS};
use super::words::Words;

/// Rows of a tile. Its 24 wide registers of sums, two of B and one of A leave five of 32 to the compiler.
pub(super) const TILE_ROWS: usize = 12;

/// Rows of the smallest tile; the last one of a product has as many or twice as many, if that is enough.
pub(super) const FEWEST_ROWS: usize = 4;

/// Rows of A that are laid out or lay so already, `words` lanes each.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) lanes: &'a [f32],
    pub(super) words: usize,
    pub(super) order: Order,
}

impl Rows<'_> {
    /// Lanes from one row to the next: on average, where they lie in panels.
    pub(super) fn step(&self) -> usize {
        match self.order {
            Order::Rows(step) => step,
            Order::Columns(_) => 1,
            Order::Panels => self.words,
        }
    }
}

const S0: usize = STEPS[0];
const S1: usize = STEPS[1];
const S2: usize = STEPS[2];
const S3: usize = STEPS[3];
const S4: usize = STEPS[4];
const S5: usize = STEPS[5];
const S6: usize = STEPS[6];
const S7: usize = STEPS[7];

/// Some rows of C, and what is done to them.
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    /// Elements from one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) scale: f32,
    /// Whether what is there is added to.
    pub(super) add: bool,
}

impl Target<'_> {
    /// All of it: `a` times the columns of `b`, panel after panel.
    pub(super) fn multiply<W: Words>(&mut self, a: Rows<'_>, b: &[f32]) {
        let &mut Target { ref data, stride, rows, columns, .. } = self;
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(W::are_there() && data.len() >= (rows - 1) * stride + columns, "the product reaches past its matrix");
        assert!(b.len() >= columns.next_multiple_of(W::COLUMNS) * a.words, "the right factor is too short");
        let tiles = match a.order {
            Order::Panels => W::tiles::<1, TILE_ROWS>,
            Order::Rows(S0) => W::tiles::<S0, 1>,
            Order::Rows(S1) => W::tiles::<S1, 1>,
            Order::Rows(S2) => W::tiles::<S2, 1>,
            Order::Rows(S3) => W::tiles::<S3, 1>,
            Order::Rows(S4) => W::tiles::<S4, 1>,
            Order::Rows(S5) => W::tiles::<S5, 1>,
            Order::Rows(S6) => W::tiles::<S6, 1>,
            Order::Rows(S7) => W::tiles::<S7, 1>,
            Order::Columns(S0) => W::tiles::<1, S0>,
            Order::Columns(S1) => W::tiles::<1, S1>,
            Order::Columns(S2) => W::tiles::<1, S2>,
            Order::Columns(S3) => W::tiles::<1, S3>,
            Order::Rows(other) | Order::Columns(other) => unreachable!("nothing is ever {other} lanes apart"),
        };
        assert!(a.lanes.len() >= a.order.room(rows, a.words), "the left factor is too short");
        assert!(!matches!(a.order, Order::Rows(step) if step < a.words), "rows of the left factor overlap");
        // SAFETY: the CPU has the instructions, and A, B and C have what is read and written (all asserted).
        unsafe { tiles(self, a, b) }
    }
}
