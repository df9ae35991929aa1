//! What keys did to queries, taken back a tile at a time.

use super::Scope;
use super::tile::{Held, KEYS, QUERIES, Run, Strided, Tile, scale};
use crate::kernel::exponentials::{Powers, exponentials};
use crate::kernel::factor::{Left, Right};
use crate::kernel::matrix::{Matrix, MatrixMut, stride_of_left};
use crate::kernel::packed::PackedRows;
use crate::kernel::scratch::Scratch;
use crate::kernel::{rows, simd::vectorized};
use std::ops::Range;

/// The gradients of a run's keys and values: (token, d) each.
pub(super) struct RunGradient<'a> {
    pub(super) keys: &'a mut [f32],
    pub(super) values: &'a mut [f32],
}

/// Queries of one head at consecutive positions, with all that gradients need of them.
#[derive(Clone, Copy)]
pub(super) struct QueryRun<'a> {
    pub(super) sequence: usize,
    /// The first one's position.
    pub(super) first: usize,
    /// (token, d).
    pub(super) queries: PackedRows<'a>,
    /// L, one a token.
    pub(super) log_sum_exp: &'a [f32],
    /// D, one a token.
    pub(super) pulls: &'a [f32],
    /// dO.
    pub(super) dy: Strided<'a>,
}

/// A tile of queries, for products with many tiles of keys: Q and dO as left and as right factors.
struct QueryFactors<'a> {
    first: usize,
    log_sum_exp: &'a [f32],
    pulls: &'a [f32],
    q: (Left<'a>, Right<'a>),
    dy: (Left<'a>, Right<'a>),
}

/// A tile of keys, for products with many tiles of queries.
struct KeyFactors<'a> {
    k: Right<'a>,
    k_transposed: Right<'a>,
    v_transposed: Right<'a>,
}

impl<'a> KeyFactors<'a> {
    fn of(run: Run<'a>) -> Self {
        let [k_transposed, v_transposed] = [run.keys, run.values].map(PackedRows::right_transposed);
        Self { k: run.keys.right(), k_transposed, v_transposed }
    }
}

impl<'a> QueryRun<'a> {
    /// Some of its queries.
    pub(super) fn part(self, rows: Range<usize>) -> Self {
        Self {
            first: self.first + rows.start,
            queries: self.queries.part(rows.clone()),
            log_sum_exp: &self.log_sum_exp[rows.clone()],
            pulls: &self.pulls[rows.clone()],
            dy: self.dy.from(rows.start),
            ..self
        }
    }

    /// Adds what a run of keys did to these queries to dQ and to the run's gradient; returns how many scores that were.
    /// With P = softmax(S), S = Q·Kᵀ·scale: dV = Pᵀ·dO, dS = P∘(dO·Vᵀ − D)·scale, dQ = dS·K, dK = dSᵀ·Q.
    pub(super) fn backward(self, dq: &mut [f32], run: Run<'_>, d: &mut RunGradient<'_>, scope: &Scope) -> u64 {
        let (dim, precision) = (self.queries.dim(), self.queries.precision());
        if run.before(scope.layout.reach(self.first + self.pulls.len() - 1)).len() == 0 {
            return 0;
        }
        let tiles: Vec<QueryFactors<'_>> = self.tiles().collect();
        let most = QUERIES * stride_of_left(KEYS);
        let (mut p, mut ds) = (Scratch::of(most), Scratch::of(most));
        let gradients = d.keys.chunks_mut(KEYS * dim).zip(d.values.chunks_mut(KEYS * dim));
        let mut computed = 0;
        for (keys, (dk, dv)) in run.tiles().zip(gradients) {
            let mut held = Held::nothing();
            for (tile, dq) in tiles.iter().zip(dq.chunks_mut(QUERIES * dim)) {
                let queries = tile.pulls.len();
                let seen = keys.before(scope.layout.reach(tile.first + queries - 1));
                let keys = seen.len();
                if keys == 0 {
                    continue;
                }
                let ready = held.of(seen, KeyFactors::of);
                let (scores, dp, stride) = (&mut p[..], &mut ds[..], stride_of_left(keys));
                MatrixMut::strided(scores, queries, keys, stride).set_product_of(
                    scale(dim),
                    &tile.q.0,
                    &ready.k_transposed,
                );
                MatrixMut::strided(dp, queries, keys, stride).set_product_of(1.0, &tile.dy.0, &ready.v_transposed);
                let place = Tile { sequence: self.sequence, first_query: tile.first, first_key: seen.first, keys };
                backward_rows(scores, dp, stride, tile.log_sum_exp, tile.pulls, scale(dim), place, scope);
                let [p, ds] = [&p, &ds].map(|rows| Matrix::strided(rows, queries, keys, stride));
                MatrixMut::new(dv, keys, dim).add_product_of(&Left::of(p.transposed(), precision), &tile.dy.1);
                MatrixMut::new(dk, keys, dim).add_product_of(&Left::of(ds.transposed(), precision), &tile.q.1);
                MatrixMut::new(dq, queries, dim).add_product_of(&Left::of(ds, precision), &ready.k);
                computed += queries * keys;
            }
        }
        computed as u64
    }

    fn tiles(self) -> impl Iterator<Item = QueryFactors<'a>> {
        let (length, precision) = (self.pulls.len(), self.queries.precision());
        (0..length).step_by(QUERIES).map(move |from| {
            let part = self.part(from..length.min(from + QUERIES));
            let dy = Matrix::strided(part.dy.data, part.pulls.len(), part.queries.dim(), part.dy.width);
            QueryFactors {
                first: part.first,
                log_sum_exp: part.log_sum_exp,
                pulls: part.pulls,
                q: (part.queries.left(), part.queries.right()),
                dy: (Left::of(dy, precision), Right::of(dy, precision)),
            }
        })
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
    /// Scores → P = exp(score − log Σ exp), and dP → dS = P∘(dP − pull)·scale; rows are `stride` apart.
    fn backward_rows(
        p: &mut [f32],
        ds: &mut [f32],
        stride: usize,
        log_sum_exp: &[f32],
        pulls: &[f32],
        scale: f32,
        tile: Tile,
        scope: &Scope,
    ) {
        let mut powers = Powers::room();
        let rows = p.chunks_exact_mut(stride).zip(ds.chunks_exact_mut(stride)).zip(log_sum_exp).zip(pulls);
        for (i, (((p, ds), total), pull)) in rows.enumerate() {
            let (total, pull) = (*total, *pull);
            let seen = tile.seen(scope, i);
            let (p, unseen) = p[..tile.keys].split_at_mut(seen);
            unseen.fill(0.0);
            let (ds, unseen) = ds[..tile.keys].split_at_mut(seen);
            unseen.fill(0.0);
            tile.hide(scope, i, p);
            exponentials(p, total, &mut powers);
            for (p, ds) in p.iter().zip(ds) {
                *ds = *p * (*ds - pull) * scale;
            }
        }
    }
}
