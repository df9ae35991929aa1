//! One sweep backward: square by square, so that many cores have work where there are few heads.
//!
//! Queries and keys of a head are cut in pieces; a square is what a piece of keys did to a piece of queries. It adds to dQ of
//! the one and to dK and dV of the other, so squares that share either come one after the other, always in the same order: each
//! waits for the one with the keys before its own and for the one with the queries before. Sums are the same for any number of
//! threads.

use super::backward::{QueryRun, RunGradient};
use super::heads::Heads;
use super::sweep::{Finished, Pairs, Sweep};
use super::tile::Run;
use crate::kernel::packed::PackedRows;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Queries and keys of a square: some milliseconds of work.
const SIDE: usize = 1024;

/// What a head's gradients are found from and added to.
struct Head<'a> {
    queries: Vec<QueryPiece<'a>>,
    keys: Vec<KeyPiece<'a>>,
    /// For how many others each square still waits, piece of queries after piece of queries.
    waits: Vec<AtomicU8>,
}

/// A piece of the queries with its dQ. Squares that share it wait for each other, not for the lock.
struct QueryPiece<'a> {
    run: QueryRun<'a>,
    dq: Mutex<&'a mut [f32]>,
}

/// A piece of a run of keys with its gradient, of which the same is true.
struct KeyPiece<'a> {
    run: Run<'a>,
    gradient: Mutex<RunGradient<'a>>,
}

impl Sweep {
    /// Adds to the gradients of the queries of some heads, (token, d) of each, of which the first is the `first`-th; returns
    /// those of keys and values, (k|v, token, d) for each of `pairs`, and how many scores that were.
    pub(super) fn backward(
        &self,
        finished: &Finished,
        pairs: &[Pairs<'_>],
        first: usize,
        dq: &mut [Vec<f32>],
    ) -> (Vec<Vec<Vec<f32>>>, u64) {
        let (heads, dim) = (first..first + dq.len(), self.sizes.dim);
        let zeros = |pairs: &Pairs<'_>| {
            let numbers = 2 * pairs.span.len() * dim;
            heads.clone().into_par_iter().map(|_| vec![0.0; numbers]).collect()
        };
        let mut found: Vec<Vec<Vec<f32>>> = pairs.iter().map(zeros).collect();
        let mut gradients: Vec<_> = found.iter_mut().map(|of_heads| of_heads.iter_mut()).collect();
        let head = |(index, dq)| {
            let of_head = gradients.iter_mut().map(|of_heads| of_heads.next().expect("as many as pairs have heads"));
            let runs = pairs.iter().map(|pairs| pairs.run(index, self.packing));
            let keys = runs.zip(of_head).flat_map(|(run, d)| KeyPiece::pieces(run, d)).collect();
            Head::new(self.query_pieces(finished, index, dq), keys)
        };
        let heads: Vec<Head<'_>> = heads.clone().zip(dq.iter_mut().map(|dq| &mut dq[..])).map(head).collect();
        let scores = AtomicU64::new(0);
        let square = |queries: &QueryPiece<'_>, keys: &KeyPiece<'_>| {
            let (mut dq, mut d) = (alone(&queries.dq), alone(&keys.gradient));
            scores.fetch_add(queries.run.backward(&mut dq, keys.run, &mut d, &self.scope), Ordering::Relaxed);
        };
        rayon::scope(|pool| heads.iter().for_each(|head| head.begin(pool, &square)));
        drop(heads);
        (found, scores.into_inner())
    }

    fn query_pieces<'a>(&self, finished: &'a Finished, index: usize, dq: &'a mut [f32]) -> Vec<QueryPiece<'a>> {
        let Heads { heads, length, dim, .. } = self.sizes;
        let log_sum_exp = &finished.log_sum_exp[index * length..(index + 1) * length];
        let queries = PackedRows::new(&finished.queries[index], self.packing);
        let mut dq = dq;
        let mut pieces = Vec::new();
        for (span, rows) in self.spans.iter().zip(self.rows()) {
            let all = QueryRun {
                sequence: index / heads,
                first: span.start,
                queries: queries.part(rows.clone()),
                log_sum_exp: &log_sum_exp[rows.clone()],
                pulls: &finished.pulls[index][rows.clone()],
                dy: self.sizes.head_of(&finished.dy, index).from(rows.start),
            };
            for piece in cut(rows.len()) {
                let dq = dq.split_off_mut(..piece.len() * dim).expect("rows of a piece");
                pieces.push(QueryPiece { run: all.part(piece), dq: Mutex::new(dq) });
            }
        }
        pieces
    }
}

impl<'a> KeyPiece<'a> {
    /// Of a run whose gradient, (k|v, token, d), is `d`.
    fn pieces(run: Run<'a>, d: &'a mut [f32]) -> impl Iterator<Item = Self> {
        let (dk, dv) = d.split_at_mut(d.len() / 2);
        let each = SIDE * run.keys.dim();
        let gradients = dk.chunks_mut(each).zip(dv.chunks_mut(each));
        cut(run.len()).zip(gradients).map(move |(piece, (keys, values))| Self {
            run: run.part(piece.start, piece.len()),
            gradient: Mutex::new(RunGradient { keys, values }),
        })
    }
}

impl<'a> Head<'a> {
    fn new(queries: Vec<QueryPiece<'a>>, keys: Vec<KeyPiece<'a>>) -> Self {
        let places = (0..queries.len()).flat_map(|q| (0..keys.len()).map(move |k| (q, k)));
        let waits = places.map(|(q, k)| AtomicU8::new(u8::from(q > 0) + u8::from(k > 0))).collect();
        Self { queries, keys, waits }
    }

    /// Lets the pool work off all its squares.
    fn begin<'s>(&'s self, pool: &rayon::Scope<'s>, square: &'s Square<'a>) {
        if !self.waits.is_empty() {
            pool.spawn(|pool| self.work(pool, (0, 0), square));
        }
    }

    /// Works off one, and lets the pool work off those that waited for it alone. A thread goes on with the last it was given: along
    /// a piece of keys, since later ones, which fewer queries see, leave less to wait for at the end.
    fn work<'s>(&'s self, pool: &rayon::Scope<'s>, (q, k): (usize, usize), square: &'s Square<'a>) {
        square(&self.queries[q], &self.keys[k]);
        for (q, k) in [(q, k + 1), (q + 1, k)] {
            let is_there = q < self.queries.len() && k < self.keys.len();
            if is_there && self.waits[q * self.keys.len() + k].fetch_sub(1, Ordering::AcqRel) == 1 {
                pool.spawn(move |pool| self.work(pool, (q, k), square));
            }
        }
    }
}

/// Takes a square back.
type Square<'a> = dyn Fn(&QueryPiece<'a>, &KeyPiece<'a>) + Sync + 'a;

/// Pieces of up to [`SIDE`].
fn cut(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(SIDE).map(move |start| start..length.min(start + SIDE))
}

fn alone<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.try_lock().expect("squares that share queries or keys wait for each other")
}
