//! The feed-forward branch with its residual: x + (silu(g)·u)·W_down, (g | u) = RMSNorm(x)·W_gate_up.
//!
//! It goes over the rows in waves whose norms, gates and hidden values stay in the cache. The backward pass has x and makes
//! everything else again from it, but for the gates of a batch that is a single wave: these are kept. Of longer batches they
//! would have gone to memory and back, 8 · hidden bytes a token each way, which takes as long as the product that makes
//! them.

use super::rms_norm::Norm;
use super::{MaybeTape, ROWS_PER_TASK, SHARD, WAVE, room_of_wave};
use crate::kernel::matrix::{How, Matrix, MatrixMut, stride_of_left};
use crate::kernel::scratch::Scratch;
use crate::kernel::{exp, rows, simd::vectorized};
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, add_to, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;

/// The branch's weights and ε.
#[derive(Clone, Debug)]
pub struct FeedForward {
    /// w of RMSNorm, (1, width).
    pub norm: Parameter,
    /// Gate and up side by side, (width, 2 · hidden).
    pub gate_up: Parameter,
    /// (hidden, width).
    pub down: Parameter,
    /// ε of RMSNorm.
    pub epsilon: f32,
}

/// (n, width) → (n, width): x + (silu(g)·u)·W_down with (g | u) = RMSNorm(x)·W_gate_up, SwiGLU (Shazeer 2020): silu(g) = g /
/// (1 + e⁻ᵍ).
///
/// # Panics
/// If the shapes do not fit.
pub fn feed_forward<T: MaybeTape>(x: Tokens<T>, weights: &FeedForward, precision: Precision) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let (n, width) = shape(&x);
    assert_eq!(width, shape(&weights.down).1, "rows against the branch's weights");
    let mut y = rows::copy_on_all_threads(values(&x));
    let kept = Branch::new(weights, precision).forward(&mut y, T::OWNS_TAPE);
    let y = tokens(y, n, width);
    if T::OWNS_TAPE {
        let (result, weights) = (y.ghost(), weights.clone());
        tape.add_backward_op(move |grads| {
            let mut d = take(grads.get_or_alloc_mut(&result)?);
            let FeedForward { norm, gate_up, down, .. } = &weights;
            add_to(grads, [norm, gate_up, down], |of_weights| {
                Branch::new(&weights, precision).backward(&mut d, of_weights, values(&x), kept);
            })?;
            rows::add_on_all_threads(grads.get_or_alloc_mut(&x)?, &d);
            Ok(())
        });
    }
    y.put_tape(tape)
}

/// Whether the gates of so many rows are kept for the backward pass: of a single wave.
pub(crate) fn keeps_gates(rows: usize) -> bool {
    rows <= WAVE
}

/// Room for the gates of n rows until the backward pass. The next shard has that of a shard again; that of longer batches, which
/// memory ends first for, is the allocator's.
fn room_to_keep(n: usize, each: usize) -> Scratch {
    if n > SHARD { Scratch::fresh(n * each) } else { Scratch::of(n * each) }
}

/// The branch on plain rows, by all threads: its weights as matrices.
pub(super) struct Branch<'a> {
    norm: Norm<'a>,
    gate_up: Matrix<'a>,
    down: Matrix<'a>,
    width: usize,
    hidden: usize,
    /// Of rows of the norm, of gates and up and of hidden values, where they are left factors.
    norm_stride: usize,
    gates_stride: usize,
    hidden_stride: usize,
    how: How,
}

/// Room for one wave's intermediate values.
struct Room {
    normed: Scratch,
    inverse: Scratch,
    gates: Scratch,
    hidden: Scratch,
}

/// Those of some rows, with gaps between them: the norm (rows, width), gates and up (rows, 2 · hidden), hidden values; and each
/// row's 1 / rms.
struct Wave<'a> {
    normed: &'a mut [f32],
    inverse: &'a mut [f32],
    gates: &'a mut [f32],
    hidden: &'a mut [f32],
}

impl Room {
    /// For waves of n rows in all, with these gates or some that are made.
    fn new(branch: &Branch<'_>, n: usize, gates: Option<Scratch>) -> Self {
        Self {
            normed: room_of_wave(n, branch.norm_stride),
            inverse: room_of_wave(n, 1),
            gates: gates.unwrap_or_else(|| room_of_wave(n, branch.gates_stride)),
            hidden: room_of_wave(n, branch.hidden_stride),
        }
    }

    /// For some rows.
    fn wave(&mut self, branch: &Branch<'_>, rows: usize) -> Wave<'_> {
        Wave {
            normed: &mut self.normed,
            inverse: &mut self.inverse[..rows],
            gates: &mut self.gates[..rows * branch.gates_stride],
            hidden: &mut self.hidden,
        }
    }
}

impl<'a> Branch<'a> {
    pub(super) fn new(weights: &'a FeedForward, precision: Precision) -> Self {
        let FeedForward { norm, gate_up, down, epsilon } = weights;
        let (hidden, width) = shape(down);
        assert!(shape(norm) == (1, width) && shape(gate_up) == (width, 2 * hidden), "the branch's weights do not fit");
        Self {
            norm: Norm { weight: values(norm), epsilon: *epsilon },
            gate_up: Matrix::new(values(gate_up), width, 2 * hidden),
            down: Matrix::new(values(down), hidden, width),
            width,
            hidden,
            norm_stride: stride_of_left(width),
            gates_stride: stride_of_left(2 * hidden),
            hidden_stride: stride_of_left(hidden),
            how: precision.together(),
        }
    }

    /// x becomes y in its place. Returns the gates if they are to be kept and [are few enough](keeps_gates).
    pub(super) fn forward(&self, x: &mut [f32], keeps: bool) -> Option<Scratch> {
        let n = x.len() / self.width;
        let keeps = keeps && keeps_gates(n);
        let mut room = Room::new(self, n, keeps.then(|| room_to_keep(n, self.gates_stride)));
        for x in x.chunks_mut(WAVE * self.width) {
            let Wave { normed, inverse, gates, hidden } = room.wave(self, x.len() / self.width);
            self.gates(normed, inverse, gates, x);
            self.hidden(hidden, gates);
            self.down(x, hidden);
        }
        keeps.then_some(room.gates)
    }

    /// dy becomes dx in its place; adds to the gradients of w, W_gate_up and W_down. `kept` are the gates, if they were kept.
    pub(super) fn backward(
        &self,
        d: &mut [f32],
        [dnorm, dgate_up, ddown]: [&mut [f32]; 3],
        x: &[f32],
        kept: Option<Scratch>,
    ) {
        let (has_gates, wave) = (kept.is_some(), WAVE * self.width);
        let mut room = Room::new(self, x.len() / self.width, kept);
        for (x, d) in x.chunks(wave).zip(d.chunks_mut(wave)) {
            let Wave { normed, inverse, gates, hidden } = room.wave(self, x.len() / self.width);
            match has_gates {
                true => self.norm.forward(normed, self.norm_stride, inverse, x),
                false => self.gates(normed, inverse, gates, x),
            }
            self.backward_down(hidden, gates, ddown, d);
            let dnormed = self.backward_gates(normed, gates, dgate_up);
            self.norm.backward(d, dnorm, x, dnormed, inverse);
        }
    }

    fn gates(&self, normed: &mut [f32], inverse: &mut [f32], gates: &mut [f32], x: &[f32]) {
        let rows = inverse.len();
        self.norm.forward(normed, self.norm_stride, inverse, x);
        let normed = Matrix::strided(normed, rows, self.width, self.norm_stride);
        let gates = MatrixMut::strided(gates, rows, 2 * self.hidden, self.gates_stride);
        gates.set_product(1.0, normed, self.gate_up, self.how);
    }

    /// silu(gate)·up of all rows.
    fn hidden(&self, hidden: &mut [f32], gates: &[f32]) {
        let strides = [self.hidden_stride, self.gates_stride];
        let hidden =
            hidden.par_chunks_mut(ROWS_PER_TASK * strides[0]).zip(gates.par_chunks(ROWS_PER_TASK * strides[1]));
        hidden.for_each(|(hidden, gates)| gate_rows(hidden, gates, strides, self.hidden));
    }

    /// y += hidden·W_down.
    fn down(&self, y: &mut [f32], hidden: &[f32]) {
        let rows = y.len() / self.width;
        let hidden = Matrix::strided(hidden, rows, self.hidden, self.hidden_stride);
        MatrixMut::new(y, rows, self.width).add_product(hidden, self.down, self.how);
    }

    /// Turns gates into their gradient, by way of `hidden`; dW_down += hiddenᵀ·dy.
    fn backward_down(&self, hidden: &mut [f32], gates: &mut [f32], ddown: &mut [f32], dy: &[f32]) {
        let rows = dy.len() / self.width;
        let dy = Matrix::new(dy, rows, self.width);
        let dhidden = MatrixMut::strided(hidden, rows, self.hidden, self.hidden_stride);
        dhidden.set_product(1.0, dy, self.down.transposed(), self.how);
        let strides = [self.hidden_stride, self.gates_stride];
        let all =
            hidden.par_chunks_mut(ROWS_PER_TASK * strides[0]).zip(gates.par_chunks_mut(ROWS_PER_TASK * strides[1]));
        all.for_each(|(hidden, gates)| backward_rows(hidden, gates, strides, self.hidden));
        let hidden = Matrix::strided(hidden, rows, self.hidden, self.hidden_stride).transposed();
        MatrixMut::new(ddown, self.hidden, self.width).add_product(hidden, dy, self.how);
    }

    /// dW_gate_up += normᵀ·dgates. In the norm's room: its gradient, dgates·W_gate_upᵀ, rows without gaps.
    fn backward_gates<'n>(&self, normed: &'n mut [f32], dgates: &[f32], dgate_up: &mut [f32]) -> &'n [f32] {
        let rows = dgates.len() / self.gates_stride;
        let dgates = Matrix::strided(dgates, rows, 2 * self.hidden, self.gates_stride);
        let transposed = Matrix::strided(normed, rows, self.width, self.norm_stride).transposed();
        MatrixMut::new(dgate_up, self.width, 2 * self.hidden).add_product(transposed, dgates, self.how);
        let dnormed = &mut normed[..rows * self.width];
        MatrixMut::new(dnormed, rows, self.width).set_product(1.0, dgates, self.gate_up.transposed(), self.how);
        dnormed
    }
}

vectorized! {
    /// silu(gate)·up; rows of both are so far apart.
    fn gate_rows(hidden: &mut [f32], gates: &[f32], strides: [usize; 2], width: usize) {
        for (hidden, gates) in hidden.chunks_mut(strides[0]).zip(gates.chunks_exact(strides[1])) {
            let (hidden, (gate, up)) = (&mut hidden[..width], gates[..2 * width].split_at(width));
            for i in 0..width {
                hidden[i] = gate[i] * exp::logistic(gate[i]) * up[i];
            }
        }
    }
}

vectorized! {
    /// The gradients of gate and up in their place, and silu(gate)·up in that of its gradient. With s = logistic(g): du = dh·g·s,
    /// dg = dh·u·s·(1 + g·(1 − s)), h = g·s·u.
    fn backward_rows(hidden: &mut [f32], gates: &mut [f32], strides: [usize; 2], width: usize) {
        for (hidden, gates) in hidden.chunks_mut(strides[0]).zip(gates.chunks_exact_mut(strides[1])) {
            let (hidden, (gate, up)) = (&mut hidden[..width], gates[..2 * width].split_at_mut(width));
            for i in 0..width {
                let (g, u, dh) = (gate[i], up[i], hidden[i]);
                let s = exp::logistic(g);
                let silu = g * s;
                gate[i] = dh * u * (s + silu * (1.0 - s));
                up[i] = dh * silu;
                hidden[i] = silu * u;
            }
        }
    }
}
