//! Attention of one more block behind a past that is remembered.

use super::heads::Heads;
use super::tile::{QUERIES, QueryTile, Run};
use super::{RopeTable, Scope};
use crate::block::Layout;
use crate::precision::Precision;
use crate::tensor::{Tokens, shape, tokens, values};
use rayon::prelude::*;

/// Attention of every head for one more block of each of several sequences that share their earlier blocks:
/// (n, q | k | v) → (n, width), with the block's own keys and values, which [`Past::append`] remembers.
///
/// n is sequences · tokens of the block, which are the positions that `rope` has: it starts at the block's first.
/// Without a tape: what is searched is not trained.
///
/// # Panics
/// If the rows are no whole blocks.
pub fn attention_behind(
    qkv: Tokens,
    heads: usize,
    rope: &RopeTable,
    past: &Past,
    precision: Precision,
) -> (Tokens, BlockKeys) {
    let (n, triple) = shape(&qkv);
    let (width, length) = (triple / 3, rope.positions());
    assert!(n % length == 0, "{n} rows are no whole blocks of {length}");
    let sizes = Heads { sequences: n / length, heads, length, dim: width / heads };
    // All that a token may see is what came before and its own block: one block of everything, to the mask.
    let before = past.tokens(sizes.dim);
    let layout = Layout { sequences: sizes.sequences, blocks: 1, tokens_per_block: before + length };
    let scope = Scope::block_causal(layout);

    let queries = sizes.queries(values(&qkv), rope);
    let pairs = sizes.pairs(values(&qkv), rope, &(0..length));
    let (rows, tile) = (length * sizes.dim, QUERIES * sizes.dim);
    let mut out = vec![0.0; n * width]; // (sequence, head, token, dim)
    let all = out.par_chunks_mut(rows).zip(&queries).zip(&pairs).enumerate();
    all.for_each(|(index, ((out, queries), pair))| {
        let earlier = past.heads.get(index % heads).unwrap_or(&NOTHING);
        let runs = [Run { first: 0, keys: &earlier.keys, values: &earlier.values }, Run::of_pair(before, pair)];
        out.par_chunks_mut(tile).zip(queries.par_chunks(tile)).enumerate().for_each(|(tile, (out, queries))| {
            let (mut maxima, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0.0; QUERIES]);
            let (sequence, count) = (index / heads, queries.len() / sizes.dim);
            let (maxima, sums) = (&mut maxima[..count], &mut sums[..count]);
            let mut tile =
                QueryTile { sequence, precision, first: before + tile * QUERIES, queries, out, maxima, sums };
            for run in runs {
                tile.attend(run, &scope);
            }
            tile.finish();
        });
    });
    (tokens(sizes.merge(&out), n, width), BlockKeys { sizes, pairs })
}

/// What one layer remembers of earlier blocks of one sequence: their keys and values, (token, d) of each head.
#[derive(Clone, Debug, Default)]
pub struct Past {
    heads: Vec<KeysValues>,
}

/// Keys and values of one head, (token, dim) each, keys already turned to their positions.
#[derive(Clone, Debug)]
struct KeysValues {
    keys: Vec<f32>,
    values: Vec<f32>,
}

static NOTHING: KeysValues = KeysValues { keys: Vec::new(), values: Vec::new() };

/// Keys and values of one block: those of each sequence that [`attention_behind`] was given.
pub struct BlockKeys {
    sizes: Heads,
    /// (k|v, token, d) of each head.
    pairs: Vec<Vec<f32>>,
}

impl Past {
    /// Adds a block that was computed behind this past, alone (one sequence), and forgets all but the last
    /// `most_tokens` tokens.
    pub fn append(&mut self, block: BlockKeys, most_tokens: usize) {
        let Heads { heads, length, dim, .. } = block.sizes;
        self.heads.resize(heads, NOTHING.clone());
        for (past, pair) in self.heads.iter_mut().zip(&block.pairs) {
            let (keys, values) = pair.split_at(length * dim);
            for (all, new) in [(&mut past.keys, keys), (&mut past.values, values)] {
                all.extend_from_slice(new);
                let forgotten = all.len().saturating_sub(most_tokens.saturating_mul(dim));
                all.drain(..forgotten);
            }
        }
    }

    /// Bytes of the numbers it holds: 8 · width a token.
    pub fn bytes(&self) -> usize {
        self.heads.iter().map(|head| size_of_val(&*head.keys) + size_of_val(&*head.values)).sum()
    }

    fn tokens(&self, dim: usize) -> usize {
        self.heads.first().map_or(0, |head| head.keys.len() / dim)
    }
}
