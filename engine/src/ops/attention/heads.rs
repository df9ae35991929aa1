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

    /// Heads of all sequences; the `index`-th is head `index % heads` of sequence `index / heads`.
    pub(super) fn all(&self) -> usize {
        self.sequences * self.heads
    }

    /// Queries of every head, turned to their places: (n, q | k | v) → (token, d) each.
    pub(super) fn queries(&self, qkv: &[f32], rope: &RopeTable) -> Vec<Vec<f32>> {
        let head = |index| {
            let mut queries = Vec::with_capacity(self.length * self.dim);
            self.append_rows(&mut queries, qkv, index, 0, &(0..self.length));
            rope.rotate_rows(&mut queries, self.dim, 0);
            queries
        };
        (0..self.all()).into_par_iter().map(head).collect()
    }

    /// Keys, turned to their places, and values of every head, of some rows of each sequence: (n, q | k | v) → (k|v,
    /// token, d) each.
    pub(super) fn pairs(&self, qkv: &[f32], rope: &RopeTable, rows: &Range<usize>) -> Vec<Vec<f32>> {
        let head = |index| {
            let mut pair = Vec::with_capacity(2 * rows.len() * self.dim);
            self.append_rows(&mut pair, qkv, index, 1, rows);
            rope.rotate_rows(&mut pair, self.dim, rows.start);
            self.append_rows(&mut pair, qkv, index, 2, rows);
            pair
        };
        (0..self.all()).into_par_iter().map(head).collect()
    }

    /// Appends rows of part q, k or v (0, 1, 2) of a head.
    fn append_rows(&self, to: &mut Vec<f32>, qkv: &[f32], index: usize, part: usize, rows: &Range<usize>) {
        let (sequence, head) = (index / self.heads, index % self.heads);
        let column = (part * self.heads + head) * self.dim;
        for row in rows.clone() {
            let at = (sequence * self.length + row) * 3 * self.width() + column;
            to.extend_from_slice(&qkv[at..at + self.dim]);
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

    /// D of every row of every head: Σ y·dy, one a token.
    pub(super) fn pulls(&self, y: &[f32], dy: &[f32]) -> Vec<Vec<f32>> {
        let head = |index| {
            let mut pulls = vec![0.0; self.length];
            dot_rows(&mut pulls, self.head_of(y, index), self.head_of(dy, index), self.dim);
            pulls
        };
        (0..self.all()).into_par_iter().map(head).collect()
    }

    /// dqkv (n, q | k | v) += the gradients of queries, (token, d) of each head, and of the keys and values of each run
    /// of rows, (k|v, token, d) of each head; those of queries and keys are turned back from their places first.
    pub(super) fn add_gradients(
        &self,
        dqkv: &mut [f32],
        mut dq: Vec<Vec<f32>>,
        mut dpairs: Vec<(Range<usize>, Vec<Vec<f32>>)>,
        rope: &RopeTable,
    ) {
        dq.par_iter_mut().for_each(|dq| rope.rotate_rows_back(dq, self.dim, 0));
        for (rows, dpairs) in &mut dpairs {
            let keys = rows.len() * self.dim;
            dpairs.par_iter_mut().for_each(|d| rope.rotate_rows_back(&mut d[..keys], self.dim, rows.start));
        }
        dqkv.par_chunks_mut(3 * self.width()).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, dqkv)| {
            let (sequence, t) = (row / self.length, row % self.length);
            let (rows, dpairs) = dpairs.iter().find(|(rows, _)| rows.contains(&t)).expect("every row is in a run");
            for (i, dqkv) in dqkv.chunks_mut(self.dim).enumerate() {
                let (part, index) = (i / self.heads, sequence * self.heads + i % self.heads);
                let d = match part {
                    0 => &dq[index][t * self.dim..],
                    part => &dpairs[index][((part - 1) * rows.len() + t - rows.start) * self.dim..],
                };
                rows::add(dqkv, &d[..self.dim]);
            }
        });
    }
}
