//! Block-causal attention with rotary positions, without ever holding a score matrix.
//!
//! A token sees every token of its own block and of all earlier blocks of its own segment (paper, figure 2). Scores are
//! made a tile at a time: an online softmax (Milakov & Gimelshein 2018; FlashAttention, Dao et al. 2022) adds the tiles
//! up, and the backward pass makes them again from one number a row (Dao 2023). Memory grows with n, not with n².
//!
//! For one head of one sequence of N tokens:
//!
//! | symbol  | shape     | here                  | what it is |
//! |---------|-----------|-----------------------|------------|
//! | d       |           | `dim`                 | head size: width / heads |
//! | Q, K, V | (N, d)    | `Head`                | queries, keys, values; Q, K turned to their places ([`RopeTable`]) |
//! | i, j    |           |                       | a query and a key, counted from the sequence's first token |
//! | b(i)    |           | `Scope::reach`        | the block of token i: ⌊i / tokens_per_block⌋ |
//! | S, P    | (N, N)    | `scores`, `p`         | scores and their softmax by rows; a tile of them exists at a time |
//! | O       | (N, d)    | `out`, `y`            | the output |
//! | m, l    | a row: 1  | `maxima`, `sums`      | the largest score and the sum of weights so far |
//! | o       | a row: d  | `out`                 | the weighted sum of values so far |
//! | L       | (N)       | `log_sum_exp`         | ln Σ_j e^s_ij: all that is kept of S |
//! | D       | (N)       | `pulls`               | Σ dO_i∘O_i of each row |
//! | dX      | as X      |                       | the gradient of the loss with respect to X |
//!
//! ```text
//! s_ij = q_i·k_j / √d    if b(j) ≤ b(i), and j is of i's segment, and j is visible; else −∞
//! P_ij = e^s_ij / Σ_j e^s_ij
//! O    = P·V
//! ```
//!
//! # Forward
//!
//! A task has a tile of queries and goes through the keys they may see, a tile at a time. Each row begins with m = −∞,
//! l = 0, o = 0; a tile changes it to
//!
//! ```text
//! m' = max(m, max_j s_ij)
//! l' = l·e^(m − m') + Σ_j e^(s_ij − m')
//! o' = o·e^(m − m') + Σ_j e^(s_ij − m')·v_j
//! ```
//!
//! so that o / l is, after every tile, the attention to the keys so far. At the end O_i = o / l and L_i = m + ln l.
//!
//! # Backward
//!
//! Q, K, V, O and L were kept. Every tile is made again and adds its part; D_i, Σ dO_i∘O_i, is Σ_j P_ij·dP_ij.
//!
//! ```text
//! P_ij = e^(s_ij − L_i)
//! dP   = dO·Vᵀ
//! dS   = P∘(dP − D)         D_i from every element of row i
//! dV  += Pᵀ·dO
//! dQ  += dS·K / √d
//! dK  += dSᵀ·Q / √d
//! ```
//!
//! (In the code dS has its 1/√d already.) At last dQ and dK are turned back: a rotation's transpose is its inverse.
//! Heads and sequences run in parallel, and forward so do tiles of queries; backward these add to the same dK and dV.
//!
//! # Tiles
//!
//! A tile is up to 128 queries × 256 keys. Keys behind the block of its last query i, from (b(i) + 1)·tokens_per_block
//! on, are skipped: no tile reaches there. Inside a tile, a row whose own block ends earlier has P_ij = 0 behind it.
//! B blocks of T tokens need T²·B·(B + 1)/2 scores instead of (B·T)²; a few more are made where a tile lies across the
//! end of a block. Segments and invisible keys skip nothing: their scores are made and then set to −10³⁰, whose weight
//! is nothing beside that of a real score. So every query must see a key.
//!
//! # A cached past
//!
//! No block looks ahead: K and V of a fixed block never change. [`Past`] keeps them, K already turned to its positions,
//! and [`attention_behind`] computes the rows of S of the next block alone: j runs over the past's keys and then the
//! block's own, all of which it may see, and a tile has keys of one or the other. Candidates for the block are
//! sequences of a batch that share the past; [`Past::append`] adds the one that was chosen. Where it forgets the oldest
//! keys, scores with the rest do not change: they depend on i − j only. There are no segments and no gradients.

use super::{MaybeTape, ROWS_PER_TASK, RopeTable};
use crate::block::Layout;
use crate::kernel::matrix::{Matrix, MatrixMut, Threads};
use crate::kernel::{exp, rows, simd::vectorized};
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;
use std::sync::Arc;

/// Queries and keys of one tile of scores: 128 KiB, which stays in a core's second-level cache.
const QUERIES: usize = 128;
const KEYS: usize = 256;
/// The score of a hidden key; finite, so that a row whose first tile is all hidden does not turn into NaN.
const HIDDEN: f32 = -1e30;

/// Who may see whom in a batch of sequences.
#[derive(Clone, Debug)]
pub struct Scope {
    /// How tokens make blocks and blocks make sequences.
    pub layout: Layout,
    /// For packed sequences: tokens see only tokens of the same segment (the reference's `segment_ids`). n ids.
    pub segments: Option<Arc<[i32]>>,
    /// Keys that nobody may see are false (the reference's `attention_mask`). n flags, which leave each query a key.
    pub visible_keys: Option<Arc<[bool]>>,
}

impl Scope {
    /// Block-causal over whole sequences: one segment each, every key visible.
    pub fn block_causal(layout: Layout) -> Self {
        Self { layout, segments: None, visible_keys: None }
    }

    /// How many keys from the sequence's start the token at `position` may see: up to the end of its own block.
    #[inline(always)]
    fn reach(&self, position: usize) -> usize {
        (position / self.layout.tokens_per_block + 1) * self.layout.tokens_per_block
    }

    /// Hides the scores of keys in [`first_key`, …) that the query may not see for another reason than block order.
    #[inline(always)]
    fn hide(&self, scores: &mut [f32], sequence: usize, query: usize, first_key: usize) {
        let start = sequence * self.layout.tokens_per_sequence();
        if let Some(segments) = &self.segments {
            let keys = &segments[start + first_key..];
            let own = segments[start + query];
            scores.iter_mut().zip(keys).filter(|(_, key)| **key != own).for_each(|(score, _)| *score = HIDDEN);
        }
        if let Some(visible) = &self.visible_keys {
            let keys = &visible[start + first_key..];
            scores.iter_mut().zip(keys).filter(|(_, visible)| !**visible).for_each(|(score, _)| *score = HIDDEN);
        }
    }
}

/// Attention of every head: (n, q | k | v) → (n, width), with rotary positions applied to q and k. Each of the three is
/// `width` wide, head after head, and each sequence begins at the first position of `rope`.
///
/// # Panics
/// If n is not that of the scope's layout, or `rope` has fewer positions than a sequence tokens.
pub fn attention<T: MaybeTape>(qkv: Tokens<T>, heads: usize, rope: &RopeTable, scope: &Scope) -> Tokens<T> {
    let (qkv, mut tape) = qkv.split_tape();
    let (n, triple) = shape(&qkv);
    let (width, length) = (triple / 3, scope.layout.tokens_per_sequence());
    let dim = width / heads;
    assert_eq!(n, scope.layout.tokens(), "rows against the layout");
    assert!(rope.positions() >= length, "{length} positions, but RoPE's table has {}", rope.positions());

    let parts = split_heads(values(&qkv), heads, dim, length, rope);
    let mut out = vec![0.0; n * width]; // (sequence, head, token, dim)
    let mut log_sum_exp = vec![0.0; n * heads]; // (sequence, head, token)
    let tasks = out.par_chunks_mut(length * dim).zip(log_sum_exp.par_chunks_mut(length)).zip(&parts).enumerate();
    tasks.for_each(|(index, ((out, log_sum_exp), head))| {
        let tiles = out.par_chunks_mut(QUERIES * dim).zip(log_sum_exp.par_chunks_mut(QUERIES)).enumerate();
        tiles.for_each(|(tile, (out, log_sum_exp))| {
            head.forward(&NOTHING, scope, index / heads, tile * QUERIES, out, log_sum_exp);
        });
    });
    let y = tokens(merge_heads(&out, heads, dim, length), n, width);
    drop(out);

    if T::OWNS_TAPE {
        let (qkv, y_kept, rope, scope) = (qkv.ghost(), y.clone(), rope.clone(), scope.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&y_kept.ghost())?);
            let y = values(&y_kept);
            let dparts: Vec<Vec<f32>> = parts
                .par_iter()
                .zip(log_sum_exp.par_chunks(length))
                .enumerate()
                .map(|(index, (head, log_sum_exp))| {
                    let at = (index / heads * length) * width + (index % heads) * dim;
                    let (y, dy) = (Strided { data: &y[at..], width }, Strided { data: &dy[at..], width });
                    let mut d = head.backward(&scope, index / heads, log_sum_exp, y, dy);
                    let (dq, rest) = d.split_at_mut(length * dim);
                    for d in [dq, &mut rest[..length * dim]] {
                        rope.rotate_rows_back(d, dim);
                    }
                    d
                })
                .collect();
            let dqkv = grads.get_or_alloc_mut(&qkv)?;
            dqkv.par_chunks_mut(triple).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, dqkv)| {
                let (sequence, t) = (row / length, row % length);
                for (i, dqkv) in dqkv.chunks_mut(dim).enumerate() {
                    let (part, head) = (i / heads, i % heads);
                    let from = (part * length + t) * dim;
                    rows::add(dqkv, &dparts[sequence * heads + head][from..from + dim]);
                }
            });
            Ok(())
        });
    }
    y.put_tape(tape)
}

/// Attention of every head for one more block of each of several sequences that share their earlier blocks:
/// (n, q | k | v) → (n, width), with the block's own keys and values, which [`Past::append`] remembers.
///
/// n is sequences · tokens of the block, which are the positions that `rope` has: it starts at the block's first.
/// Without a tape: what is searched is not trained.
///
/// # Panics
/// If the rows are no whole blocks.
pub fn attention_behind(qkv: Tokens, heads: usize, rope: &RopeTable, past: &Past) -> (Tokens, BlockKeys) {
    let (n, triple) = shape(&qkv);
    let (width, length) = (triple / 3, rope.positions());
    let dim = width / heads;
    assert!(n % length == 0, "{n} rows are no whole blocks of {length}");
    // All that a token may see is what came before and its own block: one block of everything, to the mask.
    let everything = past.tokens(dim) + length;
    let scope = Scope::block_causal(Layout { sequences: n / length, blocks: 1, tokens_per_block: everything });

    let parts = split_heads(values(&qkv), heads, dim, length, rope);
    let mut out = vec![0.0; n * width]; // (sequence, head, token, dim)
    out.par_chunks_mut(length * dim).zip(&parts).enumerate().for_each(|(index, (out, head))| {
        let before = past.heads.get(index % heads).unwrap_or(&NOTHING);
        out.par_chunks_mut(QUERIES * dim).enumerate().for_each(|(tile, out)| {
            let mut log_sum_exp = [0.0; QUERIES];
            let queries = out.len() / dim;
            head.forward(before, &scope, index / heads, tile * QUERIES, out, &mut log_sum_exp[..queries]);
        });
    });
    (tokens(merge_heads(&out, heads, dim, length), n, width), BlockKeys { parts })
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
    parts: Vec<Head>,
}

impl Past {
    /// Adds a block that was computed behind this past, alone (one sequence), and forgets all but the last
    /// `most_tokens` tokens.
    pub fn append(&mut self, block: BlockKeys, most_tokens: usize) {
        self.heads.resize(block.parts.len(), NOTHING.clone());
        for (past, head) in self.heads.iter_mut().zip(block.parts) {
            for (all, part) in [(&mut past.keys, 1), (&mut past.values, 2)] {
                all.extend_from_slice(head.part(part));
                let forgotten = all.len().saturating_sub(most_tokens.saturating_mul(head.dim));
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

/// One head of one sequence: q, k and v, (token, dim) each, q and k already turned to their positions.
struct Head {
    qkv: Vec<f32>,
    length: usize,
    dim: usize,
}

/// Rows of one head inside rows of all heads.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    width: usize,
}

impl<'a> Strided<'a> {
    /// Without the rows before `row`.
    fn from(self, row: usize) -> Strided<'a> {
        Strided { data: &self.data[row * self.width..], ..self }
    }
}

impl Head {
    fn part(&self, part: usize) -> &[f32] {
        &self.qkv[part * self.length * self.dim..(part + 1) * self.length * self.dim]
    }

    fn rows(&self, part: usize, first: usize, count: usize) -> Matrix<'_> {
        Matrix::new(&self.part(part)[first * self.dim..], count, self.dim)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// Attends from its own queries at `first_query`.. (as many as `log_sum_exp` has room for) to all keys they may see:
    /// those of `past` and then its own.
    fn forward(
        &self,
        past: &KeysValues,
        scope: &Scope,
        sequence: usize,
        first_query: usize,
        out: &mut [f32],
        log_sum_exp: &mut [f32],
    ) {
        let (queries, dim) = (log_sum_exp.len(), self.dim);
        let before = past.keys.len() / dim;
        let reach = scope.reach(before + first_query + queries - 1).min(before + self.length);
        let q = self.rows(0, first_query, queries);
        let mut scores = vec![0.0; queries * KEYS.min(reach)];
        let (mut maxima, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0.0_f32; QUERIES]);
        let mut first_key = 0;
        while first_key < reach {
            // A tile is all past or all own.
            let (keys, k, v) = if first_key < before {
                let (keys, from) = (KEYS.min(before - first_key), first_key * dim);
                (keys, Matrix::new(&past.keys[from..], keys, dim), Matrix::new(&past.values[from..], keys, dim))
            } else {
                let (keys, own) = (KEYS.min(reach - first_key), first_key - before);
                (keys, self.rows(1, own, keys), self.rows(2, own, keys))
            };
            MatrixMut::new(&mut scores, queries, keys).set_product(self.scale(), q, k.transposed(), Threads::One);
            let tile = Tile { sequence, first_query: before + first_query, first_key, keys };
            softmax_rows(&mut scores, out, &mut maxima, &mut sums, dim, &tile, scope);
            MatrixMut::new(out, queries, dim).add_product(Matrix::new(&scores, queries, keys), v, Threads::One);
            first_key += keys;
        }
        finish_rows(out, log_sum_exp, &maxima, &sums, dim);
    }

    /// Gradients of q, k and v, (part, token, dim), from the output `y` and its gradient `dy`.
    ///
    /// With P = softmax(S), S = q·kᵀ·scale: dV = Pᵀ·dY, dS = P∘(dY·Vᵀ − rowsum(dY∘Y))·scale, dQ = dS·K, dK = dSᵀ·Q.
    fn backward(
        &self,
        scope: &Scope,
        sequence: usize,
        log_sum_exp: &[f32],
        y: Strided<'_>,
        dy: Strided<'_>,
    ) -> Vec<f32> {
        let (length, dim) = (self.length, self.dim);
        let mut d = vec![0.0; self.qkv.len()];
        let (dq, rest) = d.split_at_mut(length * dim);
        let (dk, dv) = rest.split_at_mut(length * dim);
        let mut p = vec![0.0; QUERIES.min(length) * KEYS.min(length)];
        let mut ds = p.clone();
        for first_query in (0..length).step_by(QUERIES) {
            let queries = QUERIES.min(length - first_query);
            let reach = scope.reach(first_query + queries - 1).min(length);
            let mut pulls = [0.0; QUERIES];
            dot_rows(&mut pulls[..queries], y.from(first_query), dy.from(first_query), dim);
            let dy = Matrix::strided(dy.from(first_query).data, queries, dim, dy.width);
            for first_key in (0..reach).step_by(KEYS) {
                let keys = KEYS.min(reach - first_key);
                let (q, k, v) =
                    (self.rows(0, first_query, queries), self.rows(1, first_key, keys), self.rows(2, first_key, keys));
                MatrixMut::new(&mut p, queries, keys).set_product(self.scale(), q, k.transposed(), Threads::One);
                MatrixMut::new(&mut ds, queries, keys).set_product(1.0, dy, v.transposed(), Threads::One);
                let tile = Tile { sequence, first_query, first_key, keys };
                let total = &log_sum_exp[first_query..first_query + queries];
                backward_rows(&mut p, &mut ds, total, &pulls, self.scale(), &tile, scope);
                let (p, ds) = (Matrix::new(&p, queries, keys), Matrix::new(&ds, queries, keys));
                let keys_at = first_key * dim;
                MatrixMut::new(&mut dv[keys_at..], keys, dim).add_product(p.transposed(), dy, Threads::One);
                MatrixMut::new(&mut dk[keys_at..], keys, dim).add_product(ds.transposed(), q, Threads::One);
                MatrixMut::new(&mut dq[first_query * dim..], queries, dim).add_product(ds, k, Threads::One);
            }
        }
        d
    }
}

/// Where a tile of scores lies.
struct Tile {
    sequence: usize,
    first_query: usize,
    first_key: usize,
    keys: usize,
}

impl Tile {
    /// How many of the tile's keys its `i`-th query may see by the order of blocks.
    #[inline(always)]
    fn seen(&self, scope: &Scope, i: usize) -> usize {
        scope.reach(self.first_query + i).saturating_sub(self.first_key).min(self.keys)
    }

    /// Hides the keys that its `i`-th query may not see for another reason.
    #[inline(always)]
    fn hide(&self, scope: &Scope, i: usize, scores: &mut [f32]) {
        scope.hide(scores, self.sequence, self.first_query + i, self.first_key);
    }
}

vectorized! {
    /// Online softmax: turns a tile's scores into weights relative to each row's running maximum, adds them to its
    /// running sum, and rescales what the row's output holds from earlier tiles.
    fn softmax_rows(
        scores: &mut [f32],
        out: &mut [f32],
        maxima: &mut [f32],
        sums: &mut [f32],
        dim: usize,
        tile: &Tile,
        scope: &Scope,
    ) {
        let rows = scores.chunks_exact_mut(tile.keys).zip(out.chunks_exact_mut(dim)).zip(maxima).zip(sums).enumerate();
        for (i, (((scores, out), maximum), sum)) in rows {
            let (scores, unseen) = scores.split_at_mut(tile.seen(scope, i));
            unseen.fill(0.0);
            if scores.is_empty() {
                continue;
            }
            tile.hide(scope, i, scores);
            let new = rows::maximum(scores).max(*maximum);
            let rescale = exp::exp(*maximum - new);
            for score in scores.iter_mut() {
                *score = exp::exp(*score - new);
            }
            *sum = *sum * rescale + rows::sum(scores.len(), |i| scores[i]);
            *maximum = new;
            rows::scale(out, rescale);
        }
    }
}

vectorized! {
    /// Divides each output row by its sum of weights and leaves the logarithm of Σ exp(score).
    fn finish_rows(out: &mut [f32], log_sum_exp: &mut [f32], maxima: &[f32], sums: &[f32], dim: usize) {
        let rows = out.chunks_exact_mut(dim).zip(log_sum_exp).zip(maxima).zip(sums);
        for (((out, log_sum_exp), maximum), sum) in rows {
            rows::scale(out, 1.0 / sum);
            *log_sum_exp = maximum + sum.ln();
        }
    }
}

vectorized! {
    /// Row-wise Σ y·dy.
    fn dot_rows(sums: &mut [f32], y: Strided<'_>, dy: Strided<'_>, dim: usize) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = rows::dot(&y.data[i * y.width..][..dim], &dy.data[i * dy.width..][..dim]);
        }
    }
}

vectorized! {
    /// Scores → P = exp(score − log Σ exp), and dP → dS = P∘(dP − pull)·scale.
    fn backward_rows(
        p: &mut [f32],
        ds: &mut [f32],
        log_sum_exp: &[f32],
        pulls: &[f32],
        scale: f32,
        tile: &Tile,
        scope: &Scope,
    ) {
        let rows = p.chunks_exact_mut(tile.keys).zip(ds.chunks_exact_mut(tile.keys)).zip(log_sum_exp).zip(pulls);
        for (i, (((p, ds), total), pull)) in rows.enumerate() {
            let seen = tile.seen(scope, i);
            p[seen..].fill(0.0);
            ds[seen..].fill(0.0);
            tile.hide(scope, i, &mut p[..seen]);
            for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                *p = exp::exp(*p - total);
                *ds = *p * (*ds - pull) * scale;
            }
        }
    }
}

/// (n, q | k | v of all heads) → per sequence and head its q, k, v, q and k turned to their positions.
fn split_heads(qkv: &[f32], heads: usize, dim: usize, length: usize, rope: &RopeTable) -> Vec<Head> {
    let triple = 3 * heads * dim;
    let sequences = qkv.len() / (triple * length);
    (0..sequences * heads)
        .into_par_iter()
        .map(|index| {
            let (sequence, head) = (index / heads, index % heads);
            let mut own = Vec::with_capacity(3 * length * dim);
            for part in 0..3 {
                for t in 0..length {
                    let at = (sequence * length + t) * triple + (part * heads + head) * dim;
                    own.extend_from_slice(&qkv[at..at + dim]);
                }
            }
            let (q, rest) = own.split_at_mut(length * dim);
            for part in [q, &mut rest[..length * dim]] {
                rope.rotate_rows(part, dim);
            }
            Head { qkv: own, length, dim }
        })
        .collect()
}

/// (sequence, head, token, dim) → (sequence · token, head · dim).
fn merge_heads(out: &[f32], heads: usize, dim: usize, length: usize) -> Vec<f32> {
    let width = heads * dim;
    let mut merged = vec![0.0; out.len()];
    merged.par_chunks_mut(width).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(row, merged)| {
        let (sequence, t) = (row / length, row % length);
        for (head, merged) in merged.chunks_mut(dim).enumerate() {
            let from = ((sequence * heads + head) * length + t) * dim;
            merged.copy_from_slice(&out[from..from + dim]);
        }
    });
    merged
}
