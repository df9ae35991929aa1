//! One sweep: all queries that a worker has against some runs of keys, on every core.

use super::Scope;
use super::heads::Heads;
use super::tile::{QUERIES, QueryRun, QueryTile, Run, RunGradient};
use crate::precision::Precision;
use rayon::prelude::*;
use std::ops::Range;

/// Keys and values at the positions `span`: (k|v, token, d) of each head.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) span: &'a Range<usize>,
    pub(super) values: &'a [Vec<f32>],
}

/// The queries of a worker, (token, d) of each head, and what the online softmax has of them so far, head after head.
pub(super) struct Running<'a> {
    pub(super) queries: &'a [Vec<f32>],
    pub(super) out: Vec<f32>,
    pub(super) maxima: Vec<f32>,
    pub(super) sums: Vec<f32>,
}

/// What the backward pass needs of a worker's queries.
pub(super) struct Finished {
    /// (token, d) of each head.
    pub(super) queries: Vec<Vec<f32>>,
    /// L, head after head.
    pub(super) log_sum_exp: Vec<f32>,
    /// D of each head.
    pub(super) pulls: Vec<Vec<f32>>,
    /// dO, (n, width).
    pub(super) dy: Vec<f32>,
}

/// Where a worker's rows are.
pub(super) struct Sweep {
    pub(super) scope: Scope,
    pub(super) sizes: Heads,
    pub(super) precision: Precision,
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
    pub(super) fn begin<'a>(&self, queries: &'a [Vec<f32>]) -> Running<'a> {
        let rows = self.sizes.all() * self.sizes.length;
        let (maxima, sums) = (vec![f32::NEG_INFINITY; rows], vec![0.0; rows]);
        Running { queries, out: vec![0.0; rows * self.sizes.dim], maxima, sums }
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

    /// Adds to the gradients of all queries, (token, d) of each head; returns those of keys and values, one for each of
    /// `pairs` and of its shape, and how many scores that were.
    pub(super) fn backward(
        &self,
        finished: &Finished,
        pairs: &[Pairs<'_>],
        dq: &mut [Vec<f32>],
    ) -> (Vec<Vec<Vec<f32>>>, u64) {
        let of_heads = dq.par_iter_mut().enumerate().map(|(index, dq)| {
            let mut found: Vec<Vec<f32>> = pairs.iter().map(|pairs| vec![0.0; pairs.values[index].len()]).collect();
            let gradients = found.iter_mut().map(|d| RunGradient::of_pair(d));
            let mut runs: Vec<_> = self.runs(pairs, index).zip(gradients).collect();
            let scores = self.backward_head(finished, index, &mut runs, dq);
            (found, scores)
        });
        let of_heads: Vec<_> = of_heads.collect();
        let mut found: Vec<Vec<Vec<f32>>> = pairs.iter().map(|_| Vec::with_capacity(self.sizes.all())).collect();
        let mut scores = 0;
        for (of_head, computed) in of_heads {
            found.iter_mut().zip(of_head).for_each(|(found, d)| found.push(d));
            scores += computed;
        }
        (found, scores)
    }

    fn backward_head(
        &self,
        finished: &Finished,
        index: usize,
        runs: &mut [(Run<'_>, RunGradient<'_>)],
        dq: &mut [f32],
    ) -> u64 {
        let Heads { heads, length, dim, .. } = self.sizes;
        let log_sum_exp = &finished.log_sum_exp[index * length..(index + 1) * length];
        let mut scores = 0;
        for (span, rows) in self.spans.iter().zip(self.rows()) {
            let mut queries = QueryRun {
                sequence: index / heads,
                precision: self.precision,
                first: span.start,
                queries: &finished.queries[index][rows.start * dim..rows.end * dim],
                log_sum_exp: &log_sum_exp[rows.clone()],
                pulls: &finished.pulls[index][rows.clone()],
                dy: self.sizes.head_of(&finished.dy, index).from(rows.start),
                dq: &mut dq[rows.start * dim..rows.end * dim],
            };
            scores += queries.backward(runs, &self.scope);
        }
        scores
    }

    /// The keys and values of the `index`-th head.
    fn runs<'p>(&self, pairs: &'p [Pairs<'p>], index: usize) -> impl Iterator<Item = Run<'p>> {
        pairs.iter().map(move |pairs| Run::of_pair(pairs.span.start, &pairs.values[index]))
    }

    /// All tiles of queries, each with the number of its head.
    fn tiles<'t>(&self, running: &'t mut Running<'_>) -> Vec<(usize, QueryTile<'t>)> {
        let Heads { heads, dim, .. } = self.sizes;
        let mut out = &mut running.out[..];
        let (mut maxima, mut sums) = (&mut running.maxima[..], &mut running.sums[..]);
        let mut tiles = Vec::new();
        for (index, queries) in running.queries.iter().enumerate() {
            let mut queries = &queries[..];
            for span in &self.spans {
                for first in span.clone().step_by(QUERIES) {
                    let count = QUERIES.min(span.end - first);
                    let tile = QueryTile {
                        sequence: index / heads,
                        precision: self.precision,
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
