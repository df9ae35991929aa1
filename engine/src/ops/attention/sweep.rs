//! One sweep forward: all queries that a worker has against some runs of keys, on every core.

use super::Scope;
use super::forward::{QueryTile, attend};
use super::heads::Heads;
use super::tile::{QUERIES, Run};
use crate::kernel::packed::{PackedRows, Packing};
use rayon::prelude::*;
use std::ops::Range;

/// Tiles of queries that go through the keys together, at most: 1024 queries.
const TILES_TOGETHER: usize = 8;

/// Keys and values at the positions `span`: (k|v, token, d) of each head.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) span: &'a Range<usize>,
    pub(super) values: &'a [Vec<f32>],
}

impl<'a> Pairs<'a> {
    /// Those of the `index`-th head.
    pub(super) fn run(self, index: usize, packing: Packing) -> Run<'a> {
        Run::of_pair(self.span.start, &self.values[index], packing)
    }
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
    /// Of its queries, keys and values.
    pub(super) packing: Packing,
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

    /// Attends to more keys, those of each head in `runs`, `is_last` if no others follow; returns how many scores that were.
    pub(super) fn forward<'k, R: IntoIterator<Item = Run<'k>>>(
        &self,
        running: &mut Running<'_>,
        runs: impl Fn(usize) -> R + Sync,
        is_last: bool,
    ) -> u64 {
        let mut heads = self.tiles(running);
        // Tiles that go through the keys together share what is made of these, as far as that leaves work for every core.
        let all = heads.iter().map(Vec::len).sum::<usize>();
        let together = (all / (4 * rayon::current_num_threads())).clamp(1, TILES_TOGETHER);
        let of_head = |(index, tiles): (usize, &mut Vec<QueryTile<'_>>)| {
            let attend = |tiles: &mut [QueryTile<'_>]| {
                let scores = attend(tiles, runs(index), &self.scope);
                if is_last {
                    tiles.iter_mut().for_each(QueryTile::finish);
                }
                scores
            };
            // The last ones see most keys: they begin, so that no thread ends with one while the others wait.
            tiles.par_chunks_mut(together).rev().map(attend).sum::<u64>()
        };
        heads.par_iter_mut().enumerate().map(of_head).sum()
    }

    /// All tiles of queries, head after head.
    fn tiles<'t>(&self, running: &'t mut Running<'_>) -> Vec<Vec<QueryTile<'t>>> {
        let Heads { heads, dim, .. } = self.sizes;
        let mut out = &mut running.out[..];
        let (mut maxima, mut sums) = (&mut running.maxima[..], &mut running.sums[..]);
        let of_head = |(index, queries): (usize, &'t Vec<f32>)| {
            let mut queries = &queries[..];
            let firsts = self.spans.iter().flat_map(|span| span.clone().step_by(QUERIES).map(move |at| (at, span.end)));
            let tile = |(first, end): (usize, usize)| {
                let count = QUERIES.min(end - first);
                QueryTile {
                    sequence: index / heads,
                    first,
                    queries: PackedRows::new(
                        queries.split_off(..count * self.packing.lanes()).expect("rows of a tile"),
                        self.packing,
                    ),
                    out: out.split_off_mut(..count * dim).expect("rows of a tile"),
                    maxima: maxima.split_off_mut(..count).expect("rows of a tile"),
                    sums: sums.split_off_mut(..count).expect("rows of a tile"),
                }
            };
            firsts.map(tile).collect()
        };
        running.queries.iter().enumerate().map(of_head).collect()
    }
}
