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
//! | Q, K, V | (N, d)    | `Incoming`, `Run`     | queries, keys, values; Q, K turned to their places ([`RopeTable`]) |
//! | i, j    |           |                       | a query and a key, counted from the sequence's first token |
//! | b(i)    |           | [`Layout::reach`]     | the block of token i: ⌊i / tokens_per_block⌋ |
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
//! (In the code dS has its 1/√d already.) Nothing but products reads Q, K and V: in bf16 they are kept, and travel, rounded
//! as products read them, which changes no bit of a result (`kernel::packed`). At last dQ and dK are turned back: a
//! rotation's transpose is its inverse.
//!
//! Heads and sequences run in parallel, and forward so do tiles of queries. Backward, pieces of queries and pieces of keys make
//! squares; those that share neither run in parallel, so that few heads keep many cores busy.
//!
//! # Tiles
//!
//! A tile is up to 128 queries × 256 keys. Keys behind the block of its last query i, from (b(i) + 1)·tokens_per_block
//! on, are skipped: no tile reaches there. Inside a tile, a row whose own block ends earlier has P_ij = 0 behind it.
//! B blocks of T tokens need T²·B·(B + 1)/2 scores instead of (B·T)²; a few more are made where a tile lies across the
//! end of a block. What a product needs of a tile of keys is made ready once for up to 1024 queries. Segments and invisible
//! keys skip nothing: their scores are made and then set to −10³⁰, whose weight is nothing beside that of a real score. So
//! every query must see a key.
//!
//! # A cached past
//!
//! No block looks ahead: K and V of a fixed block never change. [`Past`] keeps them, K already turned to its positions,
//! and `AttentionBehind` computes the rows of S of the next block alone: j runs over the past's keys and then the
//! block's own, all of which it may see, and a tile has keys of one or the other. Candidates for the block are
//! sequences of a batch that share the past; [`Past::append`] adds the one that was chosen. Where it forgets the oldest
//! keys, scores with the rest do not change: they depend on i − j only. There are no segments and no gradients.
//!
//! # A ring of workers
//!
//! A sequence that one worker cannot hold is cut ([`Slices`](crate::ring::Slices)), and each worker has the rows of Q, K
//! and V of its own positions. [`ring_attention`] goes through the keys of one worker after the other: at step s those of
//! the worker s places before, which travel from one to the next ([`Ring`](crate::ring::Ring)). m, l and o are kept from
//! step to step, since the formulas above do not ask in which order tiles come. Backward, dK and dV of a worker's keys
//! travel behind them and collect what each reader adds. [`attention()`] is the ring of one worker, who works off some heads
//! after the others backward, so that their Q, K and V give room to the gradients of the next.

mod backward;
mod behind;
mod forward;
mod heads;
mod ring;
mod squares;
mod sweep;
mod tile;

pub(super) use behind::AttentionBehind;
pub use behind::{BlockKeys, Past};
pub(super) use ring::Attended;
pub(crate) use ring::Attention;
pub use ring::ring_attention;

use super::{MaybeTape, RopeTable};
use crate::block::Layout;
use crate::precision::Precision;
use crate::ring::SequenceRing;
use crate::tensor::Tokens;
use std::sync::Arc;

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

    /// Hides the scores of keys in [`first_key`, …) that the query may not see for another reason than block order.
    #[inline(always)]
    fn hide(&self, scores: &mut [f32], sequence: usize, query: usize, first_key: usize) {
        let start = sequence * self.layout.tokens_per_sequence();
        if let Some(segments) = &self.segments {
            let keys = &segments[start + first_key..];
            let own = segments[start + query];
            scores.iter_mut().zip(keys).filter(|(_, key)| **key != own).for_each(|(score, _)| *score = tile::HIDDEN);
        }
        if let Some(visible) = &self.visible_keys {
            let keys = &visible[start + first_key..];
            scores.iter_mut().zip(keys).filter(|(_, visible)| !**visible).for_each(|(score, _)| *score = tile::HIDDEN);
        }
    }
}

/// Attention of every head: (n, q | k | v) → (n, width), with rotary positions applied to q and k. Each of the three is
/// `width` wide, head after head, and each sequence begins at the first position of `rope`.
///
/// # Panics
/// If n is not that of the scope's layout, or `rope` has fewer positions than a sequence tokens.
pub fn attention<T: MaybeTape>(
    qkv: Tokens<T>,
    heads: usize,
    rope: &RopeTable,
    scope: &Scope,
    precision: Precision,
) -> Tokens<T> {
    let alone = SequenceRing::alone(scope.layout.tokens_per_sequence());
    ring_attention(qkv, heads, rope, scope, &alone, precision)
}
