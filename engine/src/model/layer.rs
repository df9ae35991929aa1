//! One pre-norm transformer layer: x + attention(norm(x)), then x + feed-forward(norm(x)). No biases.

use super::Init;
use crate::ops::{self, BlockKeys, MaybeTape, Past, RopeTable, Scope};
use crate::parameters::parameters;
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
}

parameters!(Layer { attention_norm, w_qkv, w_out, feed_forward_norm, w_gate_up, w_down });

impl Layer {
    pub(crate) fn new(shape: LayerShape, init: &mut Init) -> Self {
        let LayerShape { width, hidden, heads, norm_epsilon } = shape;
        Self {
            attention_norm: init.ones(width),
            w_qkv: init.normal(width, 3 * width),
            w_out: init.normal(width, width),
            feed_forward_norm: init.ones(width),
            w_gate_up: init.normal(width, 2 * hidden),
            w_down: init.normal(hidden, width),
            heads,
            norm_epsilon,
        }
    }

    /// (n, width) → (n, width).
    ///
    /// # Panics
    /// As [`ops::attention()`].
    pub fn forward<T: MaybeTape>(&self, x: Tokens<T>, rope: &RopeTable, scope: &Scope) -> Tokens<T> {
        self.around(x, |qkv| ops::attention(qkv, self.heads, rope, scope))
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
        self.around(x, |qkv| ops::ring_attention(qkv, self.heads, rope, scope, party))
    }

    /// The same for one more block behind a remembered past, with the block's own keys and values.
    pub(crate) fn forward_behind(&self, x: Tokens, rope: &RopeTable, past: &Past) -> (Tokens, BlockKeys) {
        let mut own = None;
        let x = self.around(x, |qkv| {
            let (y, keys) = ops::attention_behind(qkv, self.heads, rope, past);
            own = Some(keys);
            y
        });
        (x, own.expect("a layer attends once"))
    }

    /// The layer around its attention, (n, q | k | v) → (n, width).
    fn around<T: MaybeTape>(&self, x: Tokens<T>, attend: impl FnOnce(Tokens<T>) -> Tokens<T>) -> Tokens<T> {
        let residual = untaped(&x);
        let y = ops::rms_norm(x, &self.attention_norm, self.norm_epsilon);
        let y = attend(ops::linear(y, &self.w_qkv));
        let x = ops::linear_add(y, &self.w_out, residual);

        let residual = untaped(&x);
        let y = ops::rms_norm(x, &self.feed_forward_norm, self.norm_epsilon);
        let y = ops::swiglu(ops::linear(y, &self.w_gate_up));
        ops::linear_add(y, &self.w_down, residual)
    }
}

/// The same tensor (by identity, so that gradients meet) without the tape.
fn untaped<T: MaybeTape>(x: &Tokens<T>) -> Tokens {
    x.with_empty_tape().retaped::<NoneTape>()
}
