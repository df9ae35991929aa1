//! Pre-norm transformer layers, one after the other, as one operation.
//!
//! ```text
//! m = x + attention(RMSNorm(x)·W_qkv)·W_out
//! y = m + (silu(g)·u)·W_down                  (g | u) = RMSNorm(m)·W_gate_up
//! ```
//!
//! Being one, it decides what exists when. q, k and v go to their heads wave by wave as they are made, and their gradients
//! come from there, so that neither exists side by side; O stays by heads. The gradient of y becomes that of m and then that
//! of x in its place, layer by layer. Between the passes a layer keeps x, q, k, v, O and, but of long sequences, m: 6 or 5 widths
//! a token; in bf16 q, k and v are half as wide. Or it keeps x alone: then its backward pass begins with its attention
//! branch again.

use super::attention::{Attended, Attention, AttentionBehind, BlockKeys, Past};
use super::feed_forward::{Branch, FeedForward};
use super::norm_linear::NormLinear;
use super::{MaybeTape, RopeTable, WAVE, room_of_wave};
use crate::kernel::matrix::{Matrix, MatrixMut, stride_of_left};
use crate::kernel::rows;
use crate::kernel::scratch::Scratch;
use crate::precision::Precision;
use crate::tensor::{Grads, Parameter, TapeError, Tokens, add_to, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use std::ops::Range;

/// A layer's weights, and how it computes.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// w of RMSNorm, (1, width).
    pub(crate) norm: Parameter,
    /// q, k and v side by side: (width, 3 · width).
    pub(crate) qkv: Parameter,
    /// (width, width).
    pub(crate) out: Parameter,
    pub(crate) feed_forward: FeedForward,
    pub(crate) precision: Precision,
    /// Whether it keeps x alone for its backward pass.
    pub(crate) recomputes: bool,
}

/// (n, width) → (n, width) through all `layers`. In the backward pass each layer is `done` when nothing adds to the gradients
/// of its weights any more.
///
/// # Panics
/// Without layers, or as [`ring_attention`](super::ring_attention).
pub(crate) fn layers<T: MaybeTape>(
    x: Tokens<T>,
    layers: Vec<Weights>,
    attention: Attention,
    done: impl Fn(usize, &mut Grads) -> Result<(), TapeError> + 'static,
) -> Tokens<T> {
    let (first, mut tape) = x.split_tape();
    let (n, width) = shape(&first);
    let mut passed = Passed { first, later: Vec::new(), kept: Vec::new() };
    for layer in &layers {
        let (y, kept) = layer.forward(passed.last(), &attention, T::OWNS_TAPE && !layer.recomputes);
        if T::OWNS_TAPE {
            passed.kept.push(kept);
        } else {
            passed.later.clear();
        }
        passed.later.push(y);
    }
    let y = tokens(passed.later.pop().expect("there is a layer"), n, width);
    if T::OWNS_TAPE {
        let result = y.ghost();
        tape.add_backward_op(move |grads| {
            let mut d = take(grads.get_or_alloc_mut(&result)?);
            for (index, layer) in layers.iter().enumerate().rev() {
                let kept = passed.kept.pop().expect("one of each layer");
                let kept = kept.unwrap_or_else(|| layer.again(passed.last(), &attention));
                layer.backward(grads, &mut d, passed.last(), kept, &attention)?;
                passed.later.pop();
                done(index, grads)?;
            }
            rows::add_on_all_threads(grads.get_or_alloc_mut(&passed.first)?, &d);
            Ok(())
        });
    }
    y.put_tape(tape)
}

/// What layers were given, and what they keep besides.
struct Passed {
    /// The first one's x.
    first: Tokens,
    /// That of the second, and so on.
    later: Vec<Vec<f32>>,
    kept: Vec<Option<Kept>>,
}

impl Passed {
    /// The x of the last one.
    fn last(&self) -> &[f32] {
        self.later.last().map_or(values(&self.first), Vec::as_slice)
    }
}

/// One layer for one more block of sequences that share a past, with the block's own keys and values; without a tape.
pub(crate) fn layer_behind(
    x: &Tokens,
    weights: &Weights,
    heads: usize,
    rope: &RopeTable,
    past: &Past,
) -> (Tokens, BlockKeys) {
    let (n, width) = shape(x);
    let attention = AttentionBehind::new(past, n, heads, width, rope, weights.precision);
    let mut incoming = attention.incoming();
    weights.qkv().forward(values(x), |rows, qkv| incoming.put(rows, qkv));
    let (out, keys) = attention.forward(incoming);
    let mut y = weights.middle(values(x), |to, rows| attention.write(to, rows, &out));
    weights.branch().forward(&mut y, false);
    (tokens(y, n, width), keys)
}

/// A sequence of more tokens than so many widths costs more to attend to than the layer's maps do. Then m is made again in the
/// backward pass, from O, for a tenth of the maps' time: long sequences are those that memory ends first for.
const LONG: usize = 10;

/// Whether m is kept for the backward pass.
pub(crate) fn keeps_middle(tokens_per_sequence: usize, width: usize) -> bool {
    tokens_per_sequence <= LONG * width
}

/// What a layer keeps besides x.
struct Kept {
    attended: Attended,
    /// m, if [it is kept](keeps_middle).
    middle: Option<Vec<f32>>,
    gates: Option<Scratch>,
}

impl Weights {
    fn qkv(&self) -> NormLinear<'_> {
        NormLinear::new(&self.norm, &self.qkv, self.feed_forward.epsilon, self.precision)
    }

    fn out(&self) -> Matrix<'_> {
        Matrix::new(values(&self.out), self.width(), self.width())
    }

    fn branch(&self) -> Branch<'_> {
        Branch::new(&self.feed_forward, self.precision)
    }

    fn width(&self) -> usize {
        shape(&self.out).0
    }

    /// m = x + O·W_out; `write` writes rows of O.
    fn middle(&self, x: &[f32], write: impl Fn(&mut [f32], Range<usize>)) -> Vec<f32> {
        let (width, how) = (self.width(), self.precision.together());
        let mut middle = rows::copy_on_all_threads(x);
        each_wave(&mut middle, width, |rows, attended, stride, middle| {
            let count = rows.len();
            write(attended, rows);
            let attended = Matrix::strided(attended, count, width, stride);
            MatrixMut::new(middle, count, width).add_product(attended, self.out(), how);
        });
        middle
    }

    fn attend(&self, x: &[f32], attention: &Attention) -> Attended {
        let mut incoming = attention.incoming();
        self.qkv().forward(x, |rows, qkv| incoming.put(rows, qkv));
        attention.forward(incoming)
    }

    /// y, and if it is to be kept, all that the backward pass needs.
    fn forward(&self, x: &[f32], attention: &Attention, keeps: bool) -> (Vec<f32>, Option<Kept>) {
        let attended = self.attend(x, attention);
        let mut y = self.middle(x, |to, rows| attention.write(to, rows, &attended));
        let keeps_middle = keeps && keeps_middle(attention.tokens_per_sequence(), self.width());
        let middle = keeps_middle.then(|| rows::copy_on_all_threads(&y));
        let gates = self.branch().forward(&mut y, keeps);
        (y, keeps.then_some(Kept { attended, middle, gates }))
    }

    /// What the backward pass cannot make again by itself, where nothing was kept.
    fn again(&self, x: &[f32], attention: &Attention) -> Kept {
        Kept { attended: self.attend(x, attention), middle: None, gates: None }
    }

    /// dy becomes dx in its place; adds to the gradients of all weights.
    fn backward(
        &self,
        grads: &mut Grads,
        d: &mut [f32],
        x: &[f32],
        kept: Kept,
        attention: &Attention,
    ) -> Result<(), TapeError> {
        let Kept { attended, middle, gates } = kept;
        let middle = middle.unwrap_or_else(|| self.middle(x, |to, rows| attention.write(to, rows, &attended)));
        let FeedForward { norm, gate_up, down, .. } = &self.feed_forward;
        add_to(grads, [norm, gate_up, down], |of_weights| {
            self.branch().backward(d, of_weights, &middle, gates);
        })?;
        let (width, how) = (self.width(), self.precision.together());
        // In the room of m, which is no longer needed.
        let mut dattention = middle;
        add_to(grads, [&self.out], |[dout]| {
            each_wave(&mut dattention, width, |rows, y, stride, dattention| {
                let count = rows.len();
                let d = Matrix::new(&d[rows.start * width..rows.end * width], count, width);
                attention.write(y, rows, &attended);
                let y = Matrix::strided(y, count, width, stride);
                MatrixMut::new(dout, width, width).add_product(y.transposed(), d, how);
                MatrixMut::new(dattention, count, width).set_product(1.0, d, self.out().transposed(), how);
            });
        })?;
        let dqkv = attention.backward(attended, dattention);
        add_to(grads, [&self.norm, &self.qkv], |[dnorm, dw]| {
            self.qkv().backward(d, dnorm, dw, x, |rows, to| dqkv.write(to, &rows));
        })
    }
}

/// Waves of rows of `all`: which they are, room for as many with the stride that they have in it, and they themselves.
fn each_wave(all: &mut [f32], width: usize, mut work: impl FnMut(Range<usize>, &mut [f32], usize, &mut [f32])) {
    let stride = stride_of_left(width);
    let mut room = room_of_wave(all.len() / width, stride);
    for (wave, rows) in all.chunks_mut(WAVE * width).enumerate() {
        let (first, count) = (wave * WAVE, rows.len() / width);
        work(first..first + count, &mut room[..count * stride], stride, rows);
    }
}
