//! One pre-norm transformer layer: x + attention(norm(x)), then x + feed-forward(norm(x)). No biases.

use super::Init;
use crate::ops::{self, BlockKeys, FeedForward, MaybeTape, Past, RopeTable, Scope};
use crate::parameters::parameters;
use crate::precision::Precision;
use crate::ring::SequenceRing;
use crate::tensor::{Parameter, Tokens};
use dfdx::tensor::{NoneTape, WithEmptyTape as _};

/// What decides a layer's shape: the fields of [`ModelConfig`](super::ModelConfig) of these names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerShape {
    /// Width of a token: a multiple of 2 · heads.
    pub width: usize,
    /// Width of SwiGLU's hidden layer.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// ε of RMSNorm.
    pub norm_epsilon: f32,
    /// Of its matrix products.
    pub precision: Precision,
}

/// One pre-norm transformer layer, as the reference's `TransformerBlock`; linear maps are (in, out), without biases.
///
/// ```text
/// x ← x + attention(RMSNorm(x)·W_qkv)·W_out
/// x ← x + (silu(g)·u)·W_down                  (g | u) = RMSNorm(x)·W_gate_up
/// ```
#[derive(Clone, Debug)]
pub struct Layer {
    attention_norm: Parameter,
    /// q, k and v side by side: (width, 3 · width).
    w_qkv: Parameter,
    w_out: Parameter,
    feed_forward_norm: Parameter,
    /// SwiGLU's w1 (gate) and w3 (up) side by side: (width, 2 · hidden).
    w_gate_up: Parameter,
    w_down: Parameter,
    heads: usize,
    norm_epsilon: f32,
    precision: Precision,
}

parameters!(Layer { attention_norm, w_qkv, w_out, feed_forward_norm, w_gate_up, w_down });

impl Layer {
    pub(crate) fn new(shape: LayerShape, init: &mut Init) -> Self {
        let LayerShape { width, hidden, heads, norm_epsilon, precision } = shape;
        Self {
            attention_norm: init.ones(width),
            w_qkv: init.normal(width, 3 * width),
            w_out: init.normal(width, width),
            feed_forward_norm: init.ones(width),
            w_gate_up: init.normal(width, 2 * hidden),
            w_down: init.normal(hidden, width),
            heads,
            norm_epsilon,
            precision,
        }
    }

    /// (n, width) → (n, width).
    ///
    /// # Panics
    /// As [`ops::attention()`].
    pub fn forward<T: MaybeTape>(&self, x: Tokens<T>, rope: &RopeTable, scope: &Scope) -> Tokens<T> {
        self.around(x, |qkv| ops::attention(qkv, self.heads, rope, scope, self.precision))
    }

    /// The same for the rows that one worker has of sequences that it shares with others.
    ///
    /// # Panics
    /// As [`ops::ring_attention`].
    pub fn forward_in_ring<T: MaybeTape>(
        &self,
        x: Tokens<T>,
        rope: &RopeTable,
        scope: &Scope,
        party: &SequenceRing,
    ) -> Tokens<T> {
        self.around(x, |qkv| ops::ring_attention(qkv, self.heads, rope, scope, party, self.precision))
    }

    /// The same for one more block behind a remembered past, with the block's own keys and values.
    pub(crate) fn forward_behind(&self, x: Tokens, rope: &RopeTable, past: &Past) -> (Tokens, BlockKeys) {
        let mut own = None;
        let x = self.around(x, |qkv| {
            let (y, keys) = ops::attention_behind(qkv, self.heads, rope, past, self.precision);
            own = Some(keys);
            y
        });
        (x, own.expect("a layer attends once"))
    }

    /// The layer around its attention, (n, q | k | v) → (n, width).
    fn around<T: MaybeTape>(&self, x: Tokens<T>, attend: impl FnOnce(Tokens<T>) -> Tokens<T>) -> Tokens<T> {
        let Self { attention_norm, w_qkv, w_out, norm_epsilon, precision, .. } = self;
        let residual = untaped(&x);
        let y = attend(ops::norm_linear(x, attention_norm, w_qkv, *norm_epsilon, *precision));
        let x = ops::linear_add(y, w_out, residual, *precision);
        ops::feed_forward(x, &self.feed_forward(), *precision)
    }

    fn feed_forward(&self) -> FeedForward {
        FeedForward {
            norm: self.feed_forward_norm.clone(),
            gate_up: self.w_gate_up.clone(),
            down: self.w_down.clone(),
            epsilon: self.norm_epsilon,
        }
    }
}

/// The same tensor (by identity, so that gradients meet) without the tape.
fn untaped<T: MaybeTape>(x: &Tokens<T>) -> Tokens {
    x.with_empty_tape().retaped::<NoneTape>()
}
