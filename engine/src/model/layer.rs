//! One pre-norm transformer layer: x + attention(norm(x)), then x + feed-forward(norm(x)). No biases.

use super::Init;
use crate::ops::{self, Attention, BlockKeys, FeedForward, MaybeTape, Past, RopeTable, Scope, Weights};
use crate::parameters::parameters;
use crate::precision::Precision;
use crate::ring::SequenceRing;
use crate::tensor::{Grads, Parameter, TapeError, Tokens, shape};

/// (n, width) → (n, width) through some layers, for the rows that one worker has of sequences that it may share with others.
/// In the backward pass a layer is `done` when nothing adds to the gradients of its weights any more.
///
/// # Panics
/// As [`ops::ring_attention`].
pub(crate) fn through<T: MaybeTape>(
    layers: &[Layer],
    x: Tokens<T>,
    rope: &RopeTable,
    scope: &Scope,
    party: &SequenceRing,
    done: impl Fn(&Layer, &mut Grads) -> Result<(), TapeError> + 'static,
) -> Tokens<T> {
    let Some(Layer { heads, precision, .. }) = layers.first() else { return x };
    let attention = Attention::new(party, scope, *heads, shape(&x).1, rope, *precision);
    let own = layers.to_vec();
    ops::layers(x, layers.iter().map(Layer::weights).collect(), attention, move |index, grads| done(&own[index], grads))
}

/// [`through`] for whole sequences, of one worker.
pub(crate) fn through_alone<T: MaybeTape>(
    layers: &[Layer],
    x: Tokens<T>,
    rope: &RopeTable,
    scope: &Scope,
) -> Tokens<T> {
    let alone = SequenceRing::alone(scope.layout.tokens_per_sequence());
    through(layers, x, rope, scope, &alone, |_, _| Ok(()))
}

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
    recomputes: bool,
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
            recomputes: false,
        }
    }

    /// Whether it keeps its input alone for the backward pass, which then computes all else again.
    pub(crate) fn recompute(&mut self, recomputes: bool) {
        self.recomputes = recomputes;
    }

    /// (n, width) → (n, width) for one more block behind a remembered past, with the block's own keys and values.
    pub(crate) fn forward_behind(&self, x: &Tokens, rope: &RopeTable, past: &Past) -> (Tokens, BlockKeys) {
        ops::layer_behind(x, &self.weights(), self.heads, rope, past)
    }

    fn weights(&self) -> Weights {
        Weights {
            norm: self.attention_norm.clone(),
            qkv: self.w_qkv.clone(),
            out: self.w_out.clone(),
            feed_forward: FeedForward {
                norm: self.feed_forward_norm.clone(),
                gate_up: self.w_gate_up.clone(),
                down: self.w_down.clone(),
                epsilon: self.norm_epsilon,
            },
            precision: self.precision,
            recomputes: self.recomputes,
        }
    }
}
