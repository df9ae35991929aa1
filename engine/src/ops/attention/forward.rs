//! Queries that attend to keys, a tile at a time.

use super::Scope;
use super::tile::{Held, KEYS, QUERIES, Run, Tile, scale};
use crate::kernel::exponentials::{Powers, exponentials};
use crate::kernel::factor::{Left, Right};
use crate::kernel::matrix::{Matrix, MatrixMut, stride_of_left};
use crate::kernel::packed::PackedRows;
use crate::kernel::rows::{self, LANES};
use crate::kernel::scratch::Scratch;
use crate::kernel::{exp, simd::vectorized};

/// Up to [`QUERIES`] queries of one head at consecutive positions, and what the online softmax has of them so far.
pub(super) struct QueryTile<'a> {
    pub(super) sequence: usize,
    /// The first one's position.
    pub(super) first: usize,
    /// (token, d).
    pub(super) queries: PackedRows<'a>,
    /// o, and after [`finish`](Self::finish) O: (token, d).
    pub(super) out: &'a mut [f32],
    /// m, −∞ at first, and after [`finish`](Self::finish) L: one a token.
    pub(super) maxima: &'a mut [f32],
    /// l, 0 at first: one a token.
    pub(super) sums: &'a mut [f32],
}

/// Kᵀ and V of a tile of keys.
type KeyFactors<'a> = (Right<'a>, Right<'a>);

/// Lets tiles of one head's queries attend to those keys of some runs that they may see; returns how many scores that were.
/// A tile of keys is made ready once for all of them.
pub(super) fn attend<'r>(tiles: &mut [QueryTile<'_>], runs: impl IntoIterator<Item = Run<'r>>, scope: &Scope) -> u64 {
    let lefts: Vec<Left<'_>> = tiles.iter().map(|tile| tile.queries.left()).collect();
    let mut scores = Scratch::of(QUERIES * stride_of_left(KEYS));
    let mut computed = 0;
    for keys in runs.into_iter().flat_map(Run::tiles) {
        let mut held = Held::nothing();
        for (tile, q) in tiles.iter_mut().zip(&lefts) {
            let seen = keys.before(scope.layout.reach(tile.first + tile.count() - 1));
            if seen.len() > 0 {
                let ready = held.of(seen, |run| (run.keys.right_transposed(), run.values.right()));
                let place =
                    Tile { sequence: tile.sequence, first_query: tile.first, first_key: seen.first, keys: seen.len() };
                tile.attend(q, ready, &mut scores, place, scope);
                computed += tile.count() * seen.len();
            }
        }
    }
    computed as u64
}

impl QueryTile<'_> {
    fn count(&self) -> usize {
        self.queries.count()
    }

    fn dim(&self) -> usize {
        self.queries.dim()
    }

    fn attend(
        &mut self,
        q: &Left<'_>,
        (transposed, values): &KeyFactors<'_>,
        scores: &mut [f32],
        place: Tile,
        scope: &Scope,
    ) {
        let (queries, dim, keys) = (self.count(), self.dim(), place.keys);
        let stride = stride_of_left(keys);
        MatrixMut::strided(scores, queries, keys, stride).set_product_of(scale(dim), q, transposed);
        softmax_rows(scores, stride, self.out, self.maxima, self.sums, dim, place, scope);
        let p = Left::of(Matrix::strided(scores, queries, keys, stride), self.queries.precision());
        MatrixMut::new(self.out, queries, dim).add_product_of(&p, values);
    }

    /// After the last run: o becomes O, m becomes L.
    pub(super) fn finish(&mut self) {
        let dim = self.dim();
        finish_rows(self.out, self.maxima, self.sums, dim);
    }
}

/// Rows whose softmax is made side by side: of one row each step waits for the one before it.
const TOGETHER: usize = 4;

vectorized! {
    /// Online softmax: turns a tile's scores, rows `stride` apart, into weights relative to each row's running maximum,
    /// adds them to its running sum, and rescales what the row's output holds from earlier tiles.
    fn softmax_rows(
        scores: &mut [f32],
        stride: usize,
        out: &mut [f32],
        maxima: &mut [f32],
        sums: &mut [f32],
        dim: usize,
        tile: Tile,
        scope: &Scope,
    ) {
        let mut powers = Powers::room();
        for first in (0..maxima.len()).step_by(TOGETHER) {
            let rows = first..maxima.len().min(first + TOGETHER);
            let scores = &mut scores[first * stride..];
            let (mut seen, mut new, mut rescale) = ([0; TOGETHER], [0.0; TOGETHER], [0.0; TOGETHER]);
            for (i, row) in rows.clone().enumerate() {
                seen[i] = tile.seen(scope, row);
                let (scores, unseen) = scores[i * stride..][..tile.keys].split_at_mut(seen[i]);
                unseen.fill(0.0);
                tile.hide(scope, row, scores);
                new[i] = rows::maximum(scores).max(maxima[row]);
                // Of a row that never saw a key both are −∞.
                rescale[i] = if new[i] > maxima[row] { maxima[row] - new[i] } else { 0.0 };
            }
            for factor in &mut rescale {
                *factor = exp::exp(*factor);
            }
            let mut lanes = [[0.0; LANES]; TOGETHER];
            for i in 0..rows.len() {
                lanes[i] = exponentials(&mut scores[i * stride..][..seen[i]], new[i], &mut powers);
            }
            let totals = rows::totals(&lanes);
            for (i, row) in rows.enumerate() {
                let weights = &scores[i * stride..][..seen[i]];
                sums[row] = sums[row] * rescale[i] + rows::with_rest(totals[i], weights);
                maxima[row] = new[i];
                rows::scale(&mut out[row * dim..][..dim], rescale[i]);
            }
        }
    }
}

vectorized! {
    /// Divides each output row by its sum of weights and turns its maximum into the logarithm of Σ exp(score).
    fn finish_rows(out: &mut [f32], maxima: &mut [f32], sums: &[f32], dim: usize) {
        for ((out, maximum), sum) in out.chunks_exact_mut(dim).zip(maxima).zip(sums) {
            rows::scale(out, 1.0 / *sum);
            *maximum += sum.ln();
        }
    }
}
