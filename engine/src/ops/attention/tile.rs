//! Where tiles of scores lie: what all kinds of attention have in common. See the [module's page](super) for the symbols.
//!
//! Queries and keys come in runs of consecutive positions, so that a tile is a rectangle of S whose place is known from
//! its corner. Where the keys come from (the batch itself, a remembered past, another worker) is not known here.

use super::Scope;
use crate::kernel::packed::{PackedRows, Packing};

/// Queries and keys of one tile of scores: 136 KiB with gaps between its rows, which stays in a core's second-level cache.
pub(super) const QUERIES: usize = 128;
pub(super) const KEYS: usize = 256;
/// The score of a hidden key; finite, so that a row whose first tile is all hidden does not turn into NaN.
pub(super) const HIDDEN: f32 = -1e30;

/// Keys of one head at consecutive positions, with their values: (token, d) each.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The first one's position.
    pub(super) first: usize,
    pub(super) keys: PackedRows<'a>,
    pub(super) values: PackedRows<'a>,
}

impl<'a> Run<'a> {
    pub(super) fn new(first: usize, keys: &'a [f32], values: &'a [f32], packing: Packing) -> Self {
        let [keys, values] = [keys, values].map(|lanes| PackedRows::new(lanes, packing));
        Self { first, keys, values }
    }

    /// Keys and values that lie one behind the other: (k|v, token, d).
    pub(super) fn of_pair(first: usize, pair: &'a [f32], packing: Packing) -> Self {
        let (keys, values) = pair.split_at(pair.len() / 2);
        Self::new(first, keys, values, packing)
    }

    /// The same from its `at`-th key on, `most` of them if it has so many.
    pub(super) fn part(self, at: usize, most: usize) -> Self {
        let rows = at..self.len().min(at + most);
        Self { first: self.first + at, keys: self.keys.part(rows.clone()), values: self.values.part(rows) }
    }

    /// In tiles of keys, of which the last may be smaller.
    pub(super) fn tiles(self) -> impl Iterator<Item = Self> {
        (0..self.len()).step_by(KEYS).map(move |at| self.part(at, KEYS))
    }

    /// The keys before the position `reach`.
    pub(super) fn before(self, reach: usize) -> Self {
        self.part(0, reach.saturating_sub(self.first))
    }

    pub(super) fn len(self) -> usize {
        self.keys.count()
    }
}

/// What was made of a tile of keys, for one tile of queries after another. These see the same keys of it but where a block
/// ends inside: then it is made again.
pub(super) struct Held<T> {
    made: Option<(usize, T)>,
}

impl<T> Held<T> {
    pub(super) fn nothing() -> Self {
        Self { made: None }
    }

    pub(super) fn of<'a>(&mut self, seen: Run<'a>, make: impl FnOnce(Run<'a>) -> T) -> &T {
        if self.made.as_ref().is_none_or(|(keys, _)| *keys != seen.len()) {
            self.made = Some((seen.len(), make(seen)));
        }
        &self.made.as_ref().expect("it was just made").1
    }
}

/// Rows of one head inside rows of all heads.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) data: &'a [f32],
    pub(super) width: usize,
}

impl<'a> Strided<'a> {
    /// Without the rows before `row`.
    pub(super) fn from(self, row: usize) -> Strided<'a> {
        Strided { data: &self.data[row * self.width..], ..self }
    }
}

/// What scores are multiplied with: 1/√d.
pub(super) fn scale(dim: usize) -> f32 {
    1.0 / (dim as f32).sqrt()
}

/// Where a tile of scores lies.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) sequence: usize,
    pub(super) first_query: usize,
    pub(super) first_key: usize,
    pub(super) keys: usize,
}

impl Tile {
    /// How many of the tile's keys its `i`-th query may see by the order of blocks.
    #[inline(always)]
    pub(super) fn seen(&self, scope: &Scope, i: usize) -> usize {
        scope.layout.reach(self.first_query + i).saturating_sub(self.first_key).min(self.keys)
    }

    /// Hides the keys that its `i`-th query may not see for another reason.
    #[inline(always)]
    pub(super) fn hide(&self, scope: &Scope, i: usize, scores: &mut [f32]) {
        scope.hide(scores, self.sequence, self.first_query + i, self.first_key);
    }
}
