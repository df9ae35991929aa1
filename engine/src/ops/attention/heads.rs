//! Rows of all heads ↔ one head after another, where a head's rows lie together.

use super::tile::{Strided, dot_rows};
use crate::kernel::rows;
use crate::ops::{ROWS_PER_TASK, RopeTable};
use rayon::prelude::*;
use std::ops::Range;

/// The sizes of a batch of rows (n, q | k | v), as far as one worker has it.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) sequences: usize,
    pub(super) heads: usize,
    /// Rows of each sequence.
    pub(super) length: usize,
    /// d.
    pub(super) dim: usize,
}

impl Heads {
    /// Width of a token.
    pub(super) fn width(&self) -> usize {
        self.heads * self.dim
    }

    /// Values of all rows, each `width` wide.
    pub(super) fn values(&self) -> usize {
        self.sequences * self.length * self.width()
    }

    /// Values of keys and values of so many tokens of each sequence.
    pub(super) fn pair_values(&self, tokens: usize) -> usize {
        2 * self.sequences * tokens * self.width()
    }

    /// Queries, turned to their places: (n, q | k | v) → (sequence, head, token, d).
    pub(super) fn queries(&self, qkv: &[f32], rope: &RopeTable) -> Vec<f32> {
        let mut queries = vec![0.0; self.values()];
        queries.par_chunks_mut(self.length * self.dim).enumerate().for_each(|(index, queries)| {
            self.copy_rows(queries, qkv, index, 0, 0);
            rope.rotate_rows(queries, self.dim, 0);
        });
        queries
    }

    /// Keys, turned to their places, and values of some rows of each sequence: (n, q | k | v) → (sequence, head, k|v,
    /// token, d).
    pub(super) fn pairs(&self, qkv: &[f32], rope: &RopeTable, rows: &Range<usize>) -> Vec<f32> {
        let mut pairs = vec![0.0; self.pair_values(rows.len())];
        pairs.par_chunks_mut(2 * rows.len() * self.dim).enumerate().for_each(|(index, pair)| {
            let (keys, values) = pair.split_at_mut(rows.len() * self.dim);
            self.copy_rows(keys, qkv, index, 1, rows.start);
            self.copy_rows(values, qkv, index, 2, rows.start);
            rope.rotate_rows(keys, self.dim, rows.start);
        });
        pairs
    }

    /// Copies rows of part q, k or v (0, 1, 2) of the `index`-th head, from the sequence's row `first` on.
    fn copy_rows(&self, to: &mut [f32], qkv: &[f32], index: usize, part: usize, first: usize) {
        let (sequence, head) = (index / self.heads, index % self.heads);
        let column = (part * self.heads + head) * self.dim;
        for (t, to) in to.chunks_exact_mut(self.dim).enumerate() {
            let at = (sequence * self.length + first + t) * 3 * self.width() + column;
            to.copy_from_slice(&qkv[at..at + self.dim]);
        }
    }

    /// (sequence, head, token, d) → (n, width).
    pub(super) fn merge(&self, out: &[f32]) -> Vec<f32> {
        let mut merged = vec![0.0; out.len()];
        merged.par_chunks_mut(self.width()).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, merged)| {
            let (sequence, t) = (row / self.length, row % self.length);
            for (head, merged) in merged.chunks_mut(self.dim).enumerate() {
                let from = ((sequence * self.heads + head) * self.length + t) * self.dim;
                merged.copy_from_slice(&out[from..from + self.dim]);
            }
        });
        merged
    }

    /// The rows of the `index`-th head among rows of all heads (n, width).
    pub(super) fn head_of<'a>(&self, rows: &'a [f32], index: usize) -> Strided<'a> {
        let (sequence, head) = (index / self.heads, index % self.heads);
        Strided { data: &rows[sequence * self.length * self.width() + head * self.dim..], width: self.width() }
    }

    /// D: Σ y·dy of every row of every head, (sequence, head, token).
    pub(super) fn pulls(&self, y: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut pulls = vec![0.0; self.values() / self.dim];
        pulls.par_chunks_mut(self.length).enumerate().for_each(|(index, pulls)| {
            dot_rows(pulls, self.head_of(y, index), self.head_of(dy, index), self.dim);
        });
        pulls
    }

    /// Turns the gradients of queries, (sequence, head, token, d), back from their places.
    pub(super) fn turn_back_queries(&self, dq: &mut [f32], rope: &RopeTable) {
        dq.par_chunks_mut(self.length * self.dim).for_each(|dq| rope.rotate_rows_back(dq, self.dim, 0));
    }

    /// Turns those of keys, (sequence, head, k|v, token, d), back.
    pub(super) fn turn_back_pairs(&self, pairs: &mut [f32], rope: &RopeTable, rows: &Range<usize>) {
        let keys = rows.len() * self.dim;
        pairs.par_chunks_mut(2 * keys).for_each(|pair| rope.rotate_rows_back(&mut pair[..keys], self.dim, rows.start));
    }

    /// dqkv (n, q | k | v) += the gradients of queries and of the keys and values of each run of rows.
    pub(super) fn add_gradients(&self, dqkv: &mut [f32], dq: &[f32], pairs: &[(Range<usize>, Vec<f32>)]) {
        dqkv.par_chunks_mut(3 * self.width()).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, dqkv)| {
            let (sequence, t) = (row / self.length, row % self.length);
            let (rows, pairs) = pairs.iter().find(|(rows, _)| rows.contains(&t)).expect("every row is in a run");
            for (i, dqkv) in dqkv.chunks_mut(self.dim).enumerate() {
                let (part, index) = (i / self.heads, sequence * self.heads + i % self.heads);
                let d = match part {
                    0 => &dq[(index * self.length + t) * self.dim..],
                    part => &pairs[((2 * index + part - 1) * rows.len() + t - rows.start) * self.dim..],
                };
                rows::add(dqkv, &d[..self.dim]);
            }
        });
    }
}
