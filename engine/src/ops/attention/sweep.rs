//! One sweep: all queries that a worker has against some runs of keys, on every core.

use super::Scope;
use super::heads::Heads;
use super::tile::{QUERIES, QueryRun, QueryTile, Run, RunGradient};
use rayon::prelude::*;
use std::ops::Range;

/// Keys and values at the positions `span`, of every head: (sequence, head, k|v, token, d).
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) span: &'a Range<usize>,
    pub(super) values: &'a [f32],
}

/// The queries of a worker, turned to their places, and what the online softmax has of them so far; sequence after
/// sequence, head after head, token after token.
pub(super) struct Running<'a> {
    pub(super) queries: &'a [f32],
    pub(super) out: Vec<f32>,
    pub(super) maxima: Vec<f32>,
    pub(super) sums: Vec<f32>,
}

/// What the backward pass needs of a worker's queries, in the same order; `dy` is (n, width).
pub(super) struct Finished {
    pub(super) queries: Vec<f32>,
    pub(super) log_sum_exp: Vec<f32>,
    pub(super) pulls: Vec<f32>,
    pub(super) dy: Vec<f32>,
}

/// Where a worker's rows are.
pub(super) struct Sweep {
    pub(super) scope: Scope,
    pub(super) sizes: Heads,
    /// Positions of its rows of a sequence.
    pub(super) spans: Vec<Range<usize>>,
}

impl Sweep {
    /// Where its spans lie among its rows of a sequence.
    pub(super) fn rows(&self) -> Vec<Range<usize>> {
        let rows = self.spans.iter().scan(0, |end, span| {
            *end += span.len();
            Some(*end - span.len()..*end)
        });
        rows.collect()
    }

    /// What a worker knows before it saw a key.
    pub(super) fn begin<'a>(&self, queries: &'a [f32]) -> Running<'a> {
        let rows = queries.len() / self.sizes.dim;
        let (out, maxima, sums) = (vec![0.0; queries.len()], vec![f32::NEG_INFINITY; rows], vec![0.0; rows]);
        Running { queries, out, maxima, sums }
    }

    /// Attends to more keys, `is_last` if no others follow; returns how many scores that were.
    pub(super) fn forward(&self, running: &mut Running<'_>, pairs: &[Pairs<'_>], is_last: bool) -> u64 {
        let attend = |(index, mut tile): (usize, QueryTile<'_>)| {
            let scores = self.runs(pairs, index).map(|run| tile.attend(run, &self.scope)).sum::<u64>();
            if is_last {
                tile.finish();
            }
            scores
        };
        self.tiles(running).into_par_iter().map(attend).sum()
    }

    /// Adds to the gradients of all queries, (sequence, head, token, d), and to those of keys and values, one for each
    /// of `pairs` and of its shape; returns how many scores that were.
    pub(super) fn backward(
        &self,
        finished: &Finished,
        pairs: &[Pairs<'_>],
        dq: &mut [f32],
        dpairs: &mut [Vec<f32>],
    ) -> u64 {
        let Heads { heads, length, dim, .. } = self.sizes;
        let mut dpairs: Vec<_> =
            dpairs.iter_mut().zip(pairs).map(|(d, pairs)| d.chunks_exact_mut(2 * pairs.span.len() * dim)).collect();
        let tasks = dq.chunks_exact_mut(length * dim).enumerate().map(|(index, dq)| {
            let gradients = dpairs.iter_mut().map(|d| RunGradient::of_pair(d.next().expect("a pair for each head")));
            (index, dq, self.runs(pairs, index).zip(gradients).collect())
        });
        let tasks: Vec<(usize, &mut [f32], Vec<_>)> = tasks.collect();
        let head = |(index, dq, mut runs): (usize, &mut [f32], Vec<(Run<'_>, RunGradient<'_>)>)| {
            let mut scores = 0;
            for (span, rows) in self.spans.iter().zip(self.rows()) {
                let all = index * length + rows.start..index * length + rows.end;
                let mut queries = QueryRun {
                    sequence: index / heads,
                    first: span.start,
                    queries: &finished.queries[all.start * dim..all.end * dim],
                    log_sum_exp: &finished.log_sum_exp[all.clone()],
                    pulls: &finished.pulls[all],
                    dy: self.sizes.head_of(&finished.dy, index).from(rows.start),
                    dq: &mut dq[rows.start * dim..rows.end * dim],
                };
                scores += queries.backward(&mut runs, &self.scope);
            }
            scores
        };
        tasks.into_par_iter().map(head).sum()
    }

    /// The keys and values of the `index`-th head.
    fn runs<'p>(&self, pairs: &'p [Pairs<'p>], index: usize) -> impl Iterator<Item = Run<'p>> {
        let dim = self.sizes.dim;
        pairs.iter().map(move |pairs| {
            let each = 2 * pairs.span.len() * dim;
            Run::of_pair(pairs.span.start, &pairs.values[index * each..][..each])
        })
    }

    /// All tiles of queries, each with the number of its head.
    fn tiles<'t>(&self, running: &'t mut Running<'_>) -> Vec<(usize, QueryTile<'t>)> {
        let Heads { sequences, heads, dim, .. } = self.sizes;
        let (mut queries, mut out) = (running.queries, &mut running.out[..]);
        let (mut maxima, mut sums) = (&mut running.maxima[..], &mut running.sums[..]);
        let mut tiles = Vec::new();
        for index in 0..sequences * heads {
            for span in &self.spans {
                for first in span.clone().step_by(QUERIES) {
                    let count = QUERIES.min(span.end - first);
                    let tile = QueryTile {
                        sequence: index / heads,
                        first,
                        queries: queries.split_off(..count * dim).expect("rows of a tile"),
                        out: out.split_off_mut(..count * dim).expect("rows of a tile"),
                        maxima: maxima.split_off_mut(..count).expect("rows of a tile"),
                        sums: sums.split_off_mut(..count).expect("rows of a tile"),
                    };
                    tiles.push((index, tile));
                }
            }
        }
        tiles
    }
}
