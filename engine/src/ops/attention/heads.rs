//! Rows of all heads ↔ one head after another, where a head's rows lie together.

use super::backward::dot_rows;
use super::tile::Strided;
use crate::kernel::packed::Packing;
use crate::ops::{ROWS_PER_TASK, RopeTable};
use rayon::prelude::*;
use std::ops::Range;

/// The sizes of a batch of rows (n, q | k | v), as far as one worker has it.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Heads {
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

    /// Which of the rows `rows` of the batch are a sequence's, counted from its first.
    fn rows_of(&self, sequence: usize, rows: &Range<usize>) -> Range<usize> {
        let first = sequence * self.length;
        let within = |row: usize| row.clamp(first, first + self.length) - first;
        within(rows.start)..within(rows.end)
    }

    /// Rows of all heads, gaps between them or not: (sequence, head, token, d) → (rows, width).
    pub(super) fn merge(&self, merged: &mut [f32], rows: &Range<usize>, out: &[f32]) {
        self.each_row(merged, rows, |sequence, t, merged| {
            for (head, merged) in merged[..self.width()].chunks_mut(self.dim).enumerate() {
                let from = ((sequence * self.heads + head) * self.length + t) * self.dim;
                merged.copy_from_slice(&out[from..from + self.dim]);
            }
        });
    }

    /// Lets `write` fill rows that share `to` evenly; it is told each one's sequence and place there.
    fn each_row(&self, to: &mut [f32], rows: &Range<usize>, write: impl Fn(usize, usize, &mut [f32]) + Sync) {
        let stride = to.len() / rows.len().max(1);
        to.par_chunks_mut(stride.max(1)).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(at, to)| {
            let row = rows.start + at;
            write(row / self.length, row % self.length, to);
        });
    }

    /// The rows of the `index`-th head among rows of all heads (n, width).
    pub(super) fn head_of<'a>(&self, rows: &'a [f32], index: usize) -> Strided<'a> {
        let (sequence, head) = (index / self.heads, index % self.heads);
        Strided { data: &rows[sequence * self.length * self.width() + head * self.dim..], width: self.width() }
    }

    /// D of every row of every head: Σ O∘dO, one a token. O is (sequence, head, token, d), dO (n, width).
    pub(super) fn pulls(&self, out: &[f32], dy: &[f32]) -> Vec<Vec<f32>> {
        let head = |index| {
            let mut pulls = vec![0.0; self.length];
            let out = Strided { data: &out[index * self.length * self.dim..], width: self.dim };
            dot_rows(&mut pulls, out, self.head_of(dy, index), self.dim);
            pulls
        };
        (0..self.all()).into_par_iter().map(head).collect()
    }
}

/// Queries, keys and values of all heads, turned to their places, while rows (q | k | v) come one after the other.
pub(in crate::ops) struct Incoming {
    sizes: Heads,
    packing: Packing,
    /// Rows of a sequence that travel together.
    runs: Vec<Range<usize>>,
    rope: RopeTable,
    heads: Vec<HeadRows>,
}

/// Of one head: (token, d) each as they are packed.
struct HeadRows {
    queries: Vec<f32>,
    /// Of each run: keys and, behind the last of them, values.
    pairs: Vec<Vec<f32>>,
    /// Values of each run whose keys have not all come.
    waiting: Vec<Vec<f32>>,
}

impl Incoming {
    /// # Panics
    /// If `rope` has fewer positions than a sequence rows.
    pub(super) fn new(sizes: Heads, packing: Packing, runs: Vec<Range<usize>>, rope: &RopeTable) -> Self {
        assert!(rope.positions() >= sizes.length, "{} rows, but RoPE's table has {}", sizes.length, rope.positions());
        let head = |_| HeadRows {
            queries: Vec::with_capacity(sizes.length * packing.lanes()),
            pairs: runs.iter().map(|run| Vec::with_capacity(2 * run.len() * packing.lanes())).collect(),
            waiting: runs.iter().map(|_| Vec::new()).collect(),
        };
        let heads = (0..sizes.all()).map(head).collect();
        Self { sizes, packing, runs, rope: rope.clone(), heads }
    }

    /// Takes the next rows of the batch.
    pub(in crate::ops) fn put(&mut self, rows: Range<usize>, qkv: &[f32]) {
        let Self { sizes, packing, ref runs, ref rope, ref mut heads } = *self;
        assert!(rows.end <= sizes.sequences * sizes.length, "rows against the layout and the worker's slices");
        heads.par_iter_mut().enumerate().for_each(|(index, of_head)| {
            let (sequence, head) = (index / sizes.heads, index % sizes.heads);
            let new = sizes.rows_of(sequence, &rows);
            let rows_of = |part: usize, new: &Range<usize>| {
                let column = (part * sizes.heads + head) * sizes.dim;
                let first = rows.start;
                new.clone().map(move |t| {
                    let row = sequence * sizes.length + t - first;
                    &qkv[row * 3 * sizes.width() + column..][..sizes.dim]
                })
            };
            let append_turned = |to: &mut Vec<f32>, part, new: &Range<usize>| {
                packing.append(to, rows_of(part, new), |x| rope.rotate_rows(x, sizes.dim, new.start));
            };
            append_turned(&mut of_head.queries, 0, &new);
            for (run, (pair, waiting)) in runs.iter().zip(of_head.pairs.iter_mut().zip(&mut of_head.waiting)) {
                let new = new.start.max(run.start)..new.end.min(run.end);
                append_turned(pair, 1, &new);
                let values = if new.end == run.end {
                    pair.append(waiting);
                    pair
                } else {
                    waiting.reserve_exact((run.end - new.start) * packing.lanes());
                    waiting
                };
                packing.append(values, rows_of(2, &new), |_| {});
            }
        });
    }

    /// Queries of every head, (token, d), and keys and values of each run, (k|v, token, d) of every head, as they are packed.
    ///
    /// # Panics
    /// If rows are missing.
    pub(super) fn into_heads(self) -> (Vec<Vec<f32>>, Vec<Vec<Vec<f32>>>) {
        let Self { sizes, packing, runs, heads, .. } = self;
        let mut pairs: Vec<_> = runs.iter().map(|_| Vec::with_capacity(heads.len())).collect();
        let mut queries = Vec::with_capacity(heads.len());
        for head in heads {
            assert_eq!(
                head.queries.len(),
                sizes.length * packing.lanes(),
                "rows against the layout and the worker's slices"
            );
            queries.push(head.queries);
            pairs.iter_mut().zip(head.pairs).for_each(|(pairs, pair)| pairs.push(pair));
        }
        (queries, pairs)
    }
}

/// Gradients of queries, keys and values of all heads, turned back from their places.
pub(in crate::ops) struct QkvGradient {
    sizes: Heads,
    /// (token, d) of each head.
    dq: Vec<Vec<f32>>,
    /// Of each run of rows: (k|v, token, d) of each head.
    dpairs: Vec<(Range<usize>, Vec<Vec<f32>>)>,
}

impl QkvGradient {
    pub(super) fn new(
        sizes: Heads,
        mut dq: Vec<Vec<f32>>,
        mut dpairs: Vec<(Range<usize>, Vec<Vec<f32>>)>,
        rope: &RopeTable,
    ) -> Self {
        dq.par_iter_mut().for_each(|dq| rope.rotate_rows_back(dq, sizes.dim, 0));
        for (rows, dpairs) in &mut dpairs {
            let keys = rows.len() * sizes.dim;
            dpairs.par_iter_mut().for_each(|d| rope.rotate_rows_back(&mut d[..keys], sizes.dim, rows.start));
        }
        Self { sizes, dq, dpairs }
    }

    /// Rows of the batch, (rows, q | k | v), gaps between them or not.
    pub(in crate::ops) fn write(&self, dqkv: &mut [f32], rows: &Range<usize>) {
        let Heads { heads, dim, .. } = self.sizes;
        self.sizes.each_row(dqkv, rows, |sequence, t, dqkv| {
            let (rows, dpairs) = self.dpairs.iter().find(|(rows, _)| rows.contains(&t)).expect("every row is in a run");
            for (i, dqkv) in dqkv[..3 * heads * dim].chunks_mut(dim).enumerate() {
                let (part, index) = (i / heads, sequence * heads + i % heads);
                let d = match part {
                    0 => &self.dq[index][t * dim..],
                    part => &dpairs[index][((part - 1) * rows.len() + t - rows.start) * dim..],
                };
                dqkv.copy_from_slice(&d[..dim]);
            }
        });
    }
}
