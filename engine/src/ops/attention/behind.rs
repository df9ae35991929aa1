//! Attention of one more block behind a past that is remembered.

use super::heads::{Heads, Incoming};
use super::sweep::Sweep;
use super::tile::Run;
use super::{RopeTable, Scope};
use crate::block::Layout;
use crate::kernel::packed::Packing;
use crate::precision::Precision;
use std::ops::Range;

/// Attention of every head for one more block of each of several sequences that share their earlier blocks, on plain rows.
///
/// Without a backward pass: what is searched is not trained.
pub(in crate::ops) struct AttentionBehind<'p> {
    past: &'p Past,
    sweep: Sweep,
    rope: RopeTable,
}

/// Keys and values of one block: those of each sequence that was attended behind its past.
pub struct BlockKeys {
    sizes: Heads,
    /// (k|v, token, d) of each head.
    pairs: Vec<Vec<f32>>,
}

impl<'p> AttentionBehind<'p> {
    /// Of n tokens that are `width` wide: sequences · tokens of the block, which are the positions that `rope` has; it starts
    /// at the block's first.
    ///
    /// # Panics
    /// If the rows are no whole blocks.
    pub(in crate::ops) fn new(
        past: &'p Past,
        n: usize,
        heads: usize,
        width: usize,
        rope: &RopeTable,
        precision: Precision,
    ) -> Self {
        let length = rope.positions();
        assert!(n.is_multiple_of(length), "{n} rows are no whole blocks of {length}");
        let sizes = Heads { sequences: n / length, heads, length, dim: width / heads };
        // All that a token may see is what came before and its own block: one block of everything, to the mask.
        let packing = Packing::new(sizes.dim, precision);
        let before = past.tokens(packing.lanes());
        let layout = Layout { sequences: sizes.sequences, blocks: 1, tokens_per_block: before + length };
        let scope = Scope::block_causal(layout);
        let sweep = Sweep { scope, sizes, packing, spans: std::iter::once(before..before + length).collect() };
        Self { past, sweep, rope: rope.clone() }
    }

    /// Where the block's rows (q | k | v) are put.
    pub(in crate::ops) fn incoming(&self) -> Incoming {
        Incoming::new(self.sweep.sizes, self.sweep.packing, self.sweep.rows(), &self.rope)
    }

    /// O, (sequence, head, token, d), and the block's own keys and values, which [`Past::append`] remembers.
    pub(in crate::ops) fn forward(&self, incoming: Incoming) -> (Vec<f32>, BlockKeys) {
        let (queries, mut pairs) = incoming.into_heads();
        let (pairs, Sweep { sizes, packing, .. }) = (pairs.remove(0), &self.sweep);
        let mut running = self.sweep.begin(&queries);
        let runs = |index: usize| {
            let KeysValues { keys, values } = self.past.heads.get(index % sizes.heads).unwrap_or(&NOTHING);
            let earlier = Run::new(0, keys, values, *packing);
            [earlier, Run::of_pair(self.sweep.spans[0].start, &pairs[index], *packing)]
        };
        self.sweep.forward(&mut running, runs, true);
        let out = running.out;
        (out, BlockKeys { sizes: *sizes, pairs })
    }

    /// Rows of its result, (rows, width).
    pub(in crate::ops) fn write(&self, y: &mut [f32], rows: Range<usize>, out: &[f32]) {
        self.sweep.sizes.merge(y, &rows, out);
    }
}

/// What one layer remembers of earlier blocks of one sequence: their keys and values, (token, d) of each head.
#[derive(Clone, Debug, Default)]
pub struct Past {
    heads: Vec<KeysValues>,
}

/// Keys and values of one head, (token, d) each as they are packed, keys already turned to their positions.
#[derive(Clone, Debug)]
struct KeysValues {
    keys: Vec<f32>,
    values: Vec<f32>,
}

static NOTHING: KeysValues = KeysValues { keys: Vec::new(), values: Vec::new() };

impl Past {
    /// Adds a block that was computed behind this past, alone (one sequence), and forgets all but the last
    /// `most_tokens` tokens.
    pub fn append(&mut self, block: BlockKeys, most_tokens: usize) {
        let Heads { heads, length, .. } = block.sizes;
        self.heads.resize(heads, NOTHING.clone());
        for (past, pair) in self.heads.iter_mut().zip(&block.pairs) {
            let (keys, values) = pair.split_at(pair.len() / 2);
            let lanes = keys.len() / length;
            for (all, new) in [(&mut past.keys, keys), (&mut past.values, values)] {
                all.extend_from_slice(new);
                let forgotten = all.len().saturating_sub(most_tokens.saturating_mul(lanes));
                all.drain(..forgotten);
            }
        }
    }

    /// Bytes of what it holds: 8 · width a token, half as many in bf16 where the CPU multiplies it.
    pub fn bytes(&self) -> usize {
        self.heads.iter().map(|head| size_of_val(&*head.keys) + size_of_val(&*head.values)).sum()
    }

    fn tokens(&self, lanes: usize) -> usize {
        self.heads.first().map_or(0, |head| head.keys.len() / lanes)
    }
}
