//! Tiles of scores: what all kinds of attention have in common. See the [module's page](super) for the symbols.
//!
//! Queries and keys come in runs of consecutive positions, so that a tile is a rectangle of S whose place is known from
//! its corner. Where the keys come from (the batch itself, a remembered past, another worker) is not known here.

use super::Scope;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::{exp, rows, simd::vectorized};
use crate::precision::Precision;

/// Queries and keys of one tile of scores: 128 KiB, which stays in a core's second-level cache.
pub(super) const QUERIES: usize = 128;
const KEYS: usize = 256;
/// The score of a hidden key; finite, so that a row whose first tile is all hidden does not turn into NaN.
pub(super) const HIDDEN: f32 = -1e30;

/// Keys of one head at consecutive positions, with their values: (token, d) each.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The first one's position.
    pub(super) first: usize,
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
}

impl<'a> Run<'a> {
    /// Keys and values that lie one behind the other: (k|v, token, d).
    pub(super) fn of_pair(first: usize, pair: &'a [f32]) -> Self {
        let (keys, values) = pair.split_at(pair.len() / 2);
        Self { first, keys, values }
    }

    /// How many of its keys come before the position `reach`.
    fn before(&self, reach: usize, dim: usize) -> usize {
        reach.saturating_sub(self.first).min(self.keys.len() / dim)
    }
}

/// The gradients of a run's keys and values: (token, d) each.
pub(super) struct RunGradient<'a> {
    pub(super) keys: &'a mut [f32],
    pub(super) values: &'a mut [f32],
}

impl<'a> RunGradient<'a> {
    /// As [`Run::of_pair`].
    pub(super) fn of_pair(pair: &'a mut [f32]) -> Self {
        let (keys, values) = pair.split_at_mut(pair.len() / 2);
        Self { keys, values }
    }
}

/// Up to [`QUERIES`] queries of one head at consecutive positions, and what the online softmax has of them so far.
pub(super) struct QueryTile<'a> {
    pub(super) sequence: usize,
    pub(super) precision: Precision,
    /// The first one's position.
    pub(super) first: usize,
    /// (token, d).
    pub(super) queries: &'a [f32],
    /// o, and after [`finish`](Self::finish) O: (token, d).
    pub(super) out: &'a mut [f32],
    /// m, −∞ at first, and after [`finish`](Self::finish) L: one a token.
    pub(super) maxima: &'a mut [f32],
    /// l, 0 at first: one a token.
    pub(super) sums: &'a mut [f32],
}

impl QueryTile<'_> {
    /// Attends to those keys of a run that it may see; returns how many scores that were.
    pub(super) fn attend(&mut self, run: Run<'_>, scope: &Scope) -> u64 {
        let (queries, dim) = (self.sums.len(), self.queries.len() / self.sums.len());
        let seen = run.before(scope.layout.reach(self.first + queries - 1), dim);
        let how = self.precision.alone();
        let q = Matrix::new(self.queries, queries, dim);
        let mut scores = vec![0.0; queries * KEYS.min(seen)];
        for first_key in (0..seen).step_by(KEYS) {
            let (keys, from) = (KEYS.min(seen - first_key), first_key * dim);
            let (k, v) = (Matrix::new(&run.keys[from..], keys, dim), Matrix::new(&run.values[from..], keys, dim));
            MatrixMut::new(&mut scores, queries, keys).set_product(scale(dim), q, k.transposed(), how);
            let first_key = run.first + first_key;
            let tile = Tile { sequence: self.sequence, first_query: self.first, first_key, keys };
            softmax_rows(&mut scores, self.out, self.maxima, self.sums, dim, &tile, scope);
            let p = Matrix::new(&scores, queries, keys);
            MatrixMut::new(self.out, queries, dim).add_product(p, v, how);
        }
        (queries * seen) as u64
    }

    /// After the last run: o becomes O, m becomes L.
    pub(super) fn finish(&mut self) {
        let dim = self.queries.len() / self.sums.len();
        finish_rows(self.out, self.maxima, self.sums, dim);
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

/// Queries of one head at consecutive positions, any number, with all that their gradients need.
pub(super) struct QueryRun<'a> {
    pub(super) sequence: usize,
    pub(super) precision: Precision,
    /// The first one's position.
    pub(super) first: usize,
    /// (token, d).
    pub(super) queries: &'a [f32],
    /// L, one a token.
    pub(super) log_sum_exp: &'a [f32],
    /// D, one a token.
    pub(super) pulls: &'a [f32],
    /// dO.
    pub(super) dy: Strided<'a>,
    /// dQ, (token, d): added to.
    pub(super) dq: &'a mut [f32],
}

impl QueryRun<'_> {
    /// Adds to dQ, and to the gradients of each run, what its keys and values did to these queries; returns how many
    /// scores that were. With P = softmax(S), S = q·kᵀ·scale: dV = Pᵀ·dY, dS = P∘(dY·Vᵀ − D)·scale, dQ = dS·K, dK =
    /// dSᵀ·Q.
    pub(super) fn backward(&mut self, runs: &mut [(Run<'_>, RunGradient<'_>)], scope: &Scope) -> u64 {
        let (length, dim) = (self.pulls.len(), self.queries.len() / self.pulls.len());
        let widest = runs.iter().map(|(run, _)| run.before(scope.layout.reach(self.first + length - 1), dim)).max();
        let mut p = vec![0.0; QUERIES.min(length) * KEYS.min(widest.unwrap_or(0))];
        let mut ds = p.clone();
        let how = self.precision.alone();
        let mut computed = 0;
        for from in (0..length).step_by(QUERIES) {
            let queries = QUERIES.min(length - from);
            let first_query = self.first + from;
            let reach = scope.layout.reach(first_query + queries - 1);
            let q = Matrix::new(&self.queries[from * dim..], queries, dim);
            let dy = Matrix::strided(self.dy.from(from).data, queries, dim, self.dy.width);
            let (total, pulls) = (&self.log_sum_exp[from..from + queries], &self.pulls[from..from + queries]);
            for (run, d) in &mut *runs {
                let seen = run.before(reach, dim);
                for first_key in (0..seen).step_by(KEYS) {
                    let (keys, at) = (KEYS.min(seen - first_key), first_key * dim);
                    let (k, v) = (Matrix::new(&run.keys[at..], keys, dim), Matrix::new(&run.values[at..], keys, dim));
                    MatrixMut::new(&mut p, queries, keys).set_product(scale(dim), q, k.transposed(), how);
                    MatrixMut::new(&mut ds, queries, keys).set_product(1.0, dy, v.transposed(), how);
                    let first_key = run.first + first_key;
                    let tile = Tile { sequence: self.sequence, first_query, first_key, keys };
                    backward_rows(&mut p, &mut ds, total, pulls, scale(dim), &tile, scope);
                    let (p, ds) = (Matrix::new(&p, queries, keys), Matrix::new(&ds, queries, keys));
                    MatrixMut::new(&mut d.values[at..], keys, dim).add_product(p.transposed(), dy, how);
                    MatrixMut::new(&mut d.keys[at..], keys, dim).add_product(ds.transposed(), q, how);
                    MatrixMut::new(&mut self.dq[from * dim..], queries, dim).add_product(ds, k, how);
                }
                computed += queries * seen;
            }
        }
        computed as u64
    }
}

fn scale(dim: usize) -> f32 {
    1.0 / (dim as f32).sqrt()
}

/// Where a tile of scores lies.
struct Tile {
    sequence: usize,
    first_query: usize,
    first_key: usize,
    keys: usize,
}

impl Tile {
    /// How many of the tile's keys its `i`-th query may see by the order of blocks.
    #[inline(always)]
    fn seen(&self, scope: &Scope, i: usize) -> usize {
        scope.layout.reach(self.first_query + i).saturating_sub(self.first_key).min(self.keys)
    }

    /// Hides the keys that its `i`-th query may not see for another reason.
    #[inline(always)]
    fn hide(&self, scope: &Scope, i: usize, scores: &mut [f32]) {
        scope.hide(scores, self.sequence, self.first_query + i, self.first_key);
    }
}

vectorized! {
    /// Online softmax: turns a tile's scores into weights relative to each row's running maximum, adds them to its
    /// running sum, and rescales what the row's output holds from earlier tiles.
    fn softmax_rows(
        scores: &mut [f32],
        out: &mut [f32],
        maxima: &mut [f32],
        sums: &mut [f32],
        dim: usize,
        tile: &Tile,
        scope: &Scope,
    ) {
        let rows = scores.chunks_exact_mut(tile.keys).zip(out.chunks_exact_mut(dim)).zip(maxima).zip(sums).enumerate();
        for (i, (((scores, out), maximum), sum)) in rows {
            let (scores, unseen) = scores.split_at_mut(tile.seen(scope, i));
            unseen.fill(0.0);
            if scores.is_empty() {
                continue;
            }
            tile.hide(scope, i, scores);
            let new = rows::maximum(scores).max(*maximum);
            let rescale = exp::exp(*maximum - new);
            *sum = *sum * rescale + rows::map_and_sum(scores, |score| exp::exp(score - new));
            *maximum = new;
            rows::scale(out, rescale);
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

vectorized! {
    /// Row-wise Σ y·dy.
    pub(super) fn dot_rows(sums: &mut [f32], y: Strided<'_>, dy: Strided<'_>, dim: usize) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = rows::dot(&y.data[i * y.width..][..dim], &dy.data[i * dy.width..][..dim]);
        }
    }
}

vectorized! {
    /// Scores → P = exp(score − log Σ exp), and dP → dS = P∘(dP − pull)·scale.
    fn backward_rows(
        p: &mut [f32],
        ds: &mut [f32],
        log_sum_exp: &[f32],
        pulls: &[f32],
        scale: f32,
        tile: &Tile,
        scope: &Scope,
    ) {
        let rows = p.chunks_exact_mut(tile.keys).zip(ds.chunks_exact_mut(tile.keys)).zip(log_sum_exp).zip(pulls);
        for (i, (((p, ds), total), pull)) in rows.enumerate() {
            let (total, pull) = (*total, *pull);
            let seen = tile.seen(scope, i);
            let (p, unseen) = p.split_at_mut(seen);
            unseen.fill(0.0);
            let (ds, unseen) = ds.split_at_mut(seen);
            unseen.fill(0.0);
            tile.hide(scope, i, p);
            for (p, ds) in p.iter_mut().zip(ds) {
                let weight = exp::exp(*p - total);
                *p = weight;
                *ds = weight * (*ds - pull) * scale;
            }
        }
    }
}
