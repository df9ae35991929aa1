//! How a sequence is cut among workers, and who needs which part.
//!
//! Under a causal mask late tokens see many keys and early ones few, so that a sequence cut into N runs leaves its first
//! worker idle. Cut into 2N slices instead, and given to worker r as slices N−1−r and N+r, all workers compute alike: the
//! last has the first and the last slice, worker 0 the two in the middle, which are one run. (Brandon et al. 2023,
//! «Striped attention», arXiv 2311.09431, balance token by token; whole runs keep tiles of scores whole.)
//!
//! Packets go from worker r to r + 1. In this order the workers that see a late slice are those right behind its owner:
//! it is sent from one to the next and dropped by the last that reads it.

use crate::block::Layout;
use std::ops::Range;
use std::sync::Arc;

/// Which tokens of every sequence each worker of a ring has: one or two runs of positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    tokens: usize,
    /// Of each worker, rising, none of them empty.
    spans: Arc<[Vec<Range<usize>>]>,
}

/// Steps after the first at which a span's keys are read by other workers than their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journey {
    /// The first step, at least 1: the reader is so many workers behind the owner.
    pub first: usize,
    /// The last step: the span is sent no further.
    pub last: usize,
}

impl Journey {
    /// Whether the span's keys and values come to the worker so many steps behind their owner.
    pub fn has_keys_at(self, step: usize) -> bool {
        step <= self.last
    }

    /// Whether somebody before the worker so many steps behind their owner found gradients of them.
    pub fn has_gradients_at(self, step: usize) -> bool {
        self.first < step
    }
}

impl Slices {
    /// One worker has everything.
    pub fn whole(tokens: usize) -> Self {
        Self::contiguous(tokens, 1)
    }

    /// Balanced under a causal mask: see the module's page.
    ///
    /// # Panics
    /// As [`contiguous`](Self::contiguous).
    pub fn mirrored(tokens: usize, workers: usize) -> Self {
        let slice = |i: usize| i * tokens / (2 * workers)..(i + 1) * tokens / (2 * workers);
        Self::new(tokens, workers, |worker| [slice(workers - 1 - worker), slice(workers + worker)])
    }

    /// One run each, the first worker's first: simple, and unbalanced.
    ///
    /// # Panics
    /// If a worker would have no token.
    pub fn contiguous(tokens: usize, workers: usize) -> Self {
        let run = |worker| worker * tokens / workers..(worker + 1) * tokens / workers;
        Self::new(tokens, workers, |worker| [run(worker), tokens..tokens])
    }

    /// Empty spans are none, and neighbours are one.
    fn new(tokens: usize, workers: usize, cut: impl Fn(usize) -> [Range<usize>; 2]) -> Self {
        let spans = (0..workers).map(|worker| {
            let mut spans: Vec<Range<usize>> = Vec::with_capacity(2);
            for span in cut(worker).into_iter().filter(|span| !span.is_empty()) {
                match spans.last_mut() {
                    Some(last) if last.end == span.start => last.end = span.end,
                    _ => spans.push(span),
                }
            }
            assert!(!spans.is_empty(), "{tokens} tokens are too few for {workers} workers");
            spans
        });
        Self { tokens, spans: spans.collect() }
    }

    /// Tokens of a sequence.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Workers that share a sequence.
    pub fn workers(&self) -> usize {
        self.spans.len()
    }

    /// The positions that a worker has, in rising order: its rows of each sequence.
    pub fn spans(&self, worker: usize) -> &[Range<usize>] {
        &self.spans[worker]
    }

    /// The rows that a worker has of a batch of `sequences` sequences.
    pub fn rows(&self, worker: usize, sequences: usize) -> Rows {
        Rows { slices: self.clone(), worker, sequences }
    }

    /// Whether a worker may see any token of this span, by the order of blocks.
    pub fn reads(&self, layout: &Layout, worker: usize, span: &Range<usize>) -> bool {
        let last = self.spans[worker].last().expect("no worker is without tokens").end - 1;
        span.start < layout.reach(last)
    }

    /// When others read a span of `owner`'s; `None` if nobody does.
    pub fn journey(&self, layout: &Layout, owner: usize, span: &Range<usize>) -> Option<Journey> {
        let reads = |step: &usize| self.reads(layout, (owner + step) % self.workers(), span);
        let mut steps = (1..self.workers()).filter(reads);
        let first = steps.next()?;
        Some(Journey { first, last: steps.next_back().unwrap_or(first) })
    }

    /// Scores that each worker computes for one head of one sequence: one for every key that one of its tokens may see.
    pub fn scores(&self, layout: &Layout) -> Vec<u64> {
        let of = |spans: &Vec<Range<usize>>| {
            spans.iter().flat_map(Range::clone).map(|token| layout.reach(token).min(self.tokens) as u64).sum()
        };
        self.spans.iter().map(of).collect()
    }

    /// How much longer the busiest worker computes than it would if all computed alike: largest / mean scores, at least
    /// 1.
    pub fn imbalance(&self, layout: &Layout) -> f64 {
        let scores = self.scores(layout);
        let largest = scores.iter().copied().max().unwrap_or(0) as f64;
        largest * scores.len() as f64 / scores.iter().sum::<u64>() as f64
    }
}

/// The rows of a batch that one worker has: of each sequence its spans, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    slices: Slices,
    worker: usize,
    sequences: usize,
}

impl Rows {
    /// The places in a sequence of its rows of one.
    pub fn positions(&self) -> impl Iterator<Item = usize> + Clone {
        self.slices.spans(self.worker).iter().flat_map(Range::clone)
    }

    /// Rows in all.
    pub fn count(&self) -> usize {
        self.sequences * self.slices.spans(self.worker).iter().map(Range::len).sum::<usize>()
    }

    /// Its rows of `all`, which has `each` values a token, sequence after sequence.
    ///
    /// # Panics
    /// If `all` are not the values of the whole batch.
    pub fn gather<V: Copy>(&self, all: &[V], each: usize) -> Vec<V> {
        assert_eq!(all.len(), self.sequences * self.slices.tokens * each, "values of all tokens");
        let mut own = Vec::with_capacity(self.count() * each);
        for sequence in all.chunks_exact(self.slices.tokens * each) {
            for span in self.slices.spans(self.worker) {
                own.extend_from_slice(&sequence[span.start * each..span.end * each]);
            }
        }
        own
    }

    /// The other way: puts its rows where they belong among those of all workers.
    ///
    /// # Panics
    /// As [`gather`](Self::gather).
    pub fn scatter<V: Copy>(&self, own: &[V], all: &mut [V], each: usize) {
        assert_eq!(all.len(), self.sequences * self.slices.tokens * each, "values of all tokens");
        let mut rest = own;
        for sequence in all.chunks_exact_mut(self.slices.tokens * each) {
            for span in self.slices.spans(self.worker) {
                let (part, behind) = rest.split_at(span.len() * each);
                sequence[span.start * each..span.end * each].copy_from_slice(part);
                rest = behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(blocks: usize, tokens_per_block: usize) -> Layout {
        Layout { sequences: 1, blocks, tokens_per_block }
    }

    #[test]
    fn mirrored_workers_have_the_slices_that_lie_opposite() {
        // Six slices of two tokens: worker 0 has the third and the fourth, worker 2 the first and the last.
        let slices = Slices::mirrored(12, 3);
        let positions: Vec<Vec<usize>> = (0..3).map(|worker| slices.rows(worker, 1).positions().collect()).collect();
        assert_eq!(positions, [vec![4, 5, 6, 7], vec![2, 3, 8, 9], vec![0, 1, 10, 11]]);
        assert_eq!([0, 1, 2].map(|worker| slices.spans(worker).len()), [1, 2, 2]);
    }

    #[test]
    fn mirrored_slices_balance_what_contiguous_ones_do_not() {
        // Eight blocks of one token see 1 … 8 keys: 36 scores. In two runs 10 and 26; mirrored, 3+4+5+6 and 1+2+7+8.
        let (contiguous, mirrored) = (Slices::contiguous(8, 2), Slices::mirrored(8, 2));
        assert_eq!(contiguous.scores(&layout(8, 1)), [10, 26]);
        assert_eq!(mirrored.scores(&layout(8, 1)), [18, 18]);
        assert_eq!(contiguous.imbalance(&layout(8, 1)), 26.0 / 18.0);
        assert_eq!(mirrored.imbalance(&layout(8, 1)), 1.0);
        // One block: everybody sees everything, however it is cut.
        assert_eq!(contiguous.imbalance(&layout(1, 8)), 1.0);
    }

    #[test]
    fn a_late_slice_goes_no_further_than_the_workers_that_see_it() {
        // Mirrored over four workers, eight slices of one block each: slice 4 + r is seen by workers above r alone.
        let (slices, layout) = (Slices::mirrored(32, 4), layout(8, 4));
        let late: Vec<_> = (1..4).map(|owner| slices.journey(&layout, owner, &slices.spans(owner)[1])).collect();
        let steps = |first, last| Some(Journey { first, last });
        assert_eq!(late, [steps(1, 2), steps(1, 1), None]);
        // Slice 0 is seen by everybody.
        assert_eq!(slices.journey(&layout, 3, &slices.spans(3)[0]), steps(1, 3));
    }

    proptest! {
        #[test]
        fn every_token_has_one_worker_and_rows_find_their_way_back(
            blocks in 1_usize..6, tokens in 1_usize..9, workers in 1_usize..6, sequences in 1_usize..3,
        ) {
            let layout = layout(blocks, tokens);
            prop_assume!(blocks * tokens >= 2 * workers);
            for slices in [Slices::mirrored(blocks * tokens, workers), Slices::contiguous(blocks * tokens, workers)] {
                let all: Vec<usize> = (0..2 * sequences * blocks * tokens).collect();
                let mut back = vec![usize::MAX; all.len()];
                for worker in 0..workers {
                    let rows = slices.rows(worker, sequences);
                    let own = rows.gather(&all, 2);
                    prop_assert_eq!(own.len(), 2 * rows.count());
                    rows.scatter(&own, &mut back, 2);
                }
                prop_assert_eq!(back, all);

                // Scores and readers against the mask, token by token.
                let sees = |query: usize, key: usize| key / tokens <= query / tokens;
                for (worker, scores) in slices.scores(&layout).into_iter().enumerate() {
                    let queries: Vec<usize> = slices.rows(worker, 1).positions().collect();
                    let pairs = queries.iter().flat_map(|q| (0..blocks * tokens).map(move |k| (*q, k)));
                    prop_assert_eq!(scores, pairs.filter(|(q, k)| sees(*q, *k)).count() as u64);
                    for span in (0..workers).flat_map(|owner| slices.spans(owner)) {
                        let reads = queries.iter().any(|q| span.clone().any(|k| sees(*q, k)));
                        prop_assert_eq!(slices.reads(&layout, worker, span), reads);
                    }
                }
            }
        }
    }
}
