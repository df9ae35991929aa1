//! The feed-forward's gate: silu(gate)·up, with gate and up side by side as one product leaves them.

use super::{MaybeTape, ROWS_PER_TASK};
use crate::kernel::{exp, simd::vectorized};
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;

/// (n, gate | up), 2 · hidden wide → (n, hidden): SwiGLU (Shazeer 2020), silu(g)·u with silu(g) = g / (1 + e⁻ᵍ).
pub fn swiglu<T: MaybeTape>(gate_up: Tokens<T>) -> Tokens<T> {
    let (x, mut tape) = gate_up.split_tape();
    let (n, both) = shape(&x);
    let hidden = both / 2;
    let mut y = vec![0.0; n * hidden];
    y.par_chunks_mut(ROWS_PER_TASK * hidden)
        .zip(values(&x).par_chunks(ROWS_PER_TASK * both))
        .for_each(|(y, x)| gate_rows(y, x, hidden));
    let y = tokens(y, n, hidden);
    if T::OWNS_TAPE {
        let result = y.ghost();
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            grads
                .get_or_alloc_mut(&x)?
                .par_chunks_mut(ROWS_PER_TASK * both)
                .zip(values(&x).par_chunks(ROWS_PER_TASK * both))
                .zip(dy.par_chunks(ROWS_PER_TASK * hidden))
                .for_each(|((dx, x), dy)| backward_rows(dx, x, dy, hidden));
            Ok(())
        });
    }
    y.put_tape(tape)
}

vectorized! {
    fn gate_rows(y: &mut [f32], x: &[f32], hidden: usize) {
        for (y, x) in y.chunks_exact_mut(hidden).zip(x.chunks_exact(2 * hidden)) {
            let (gate, up) = x.split_at(hidden);
            for i in 0..hidden {
                y[i] = gate[i] * exp::logistic(gate[i]) * up[i];
            }
        }
    }
}

vectorized! {
    /// With s = logistic(g): du += dy·g·s, dg += dy·u·s·(1 + g·(1 − s)).
    fn backward_rows(dx: &mut [f32], x: &[f32], dy: &[f32], hidden: usize) {
        let rows = dx.chunks_exact_mut(2 * hidden).zip(x.chunks_exact(2 * hidden)).zip(dy.chunks_exact(hidden));
        for ((dx, x), dy) in rows {
            let (gate, up) = x.split_at(hidden);
            let (dg, du) = dx.split_at_mut(hidden);
            for i in 0..hidden {
                let s = exp::logistic(gate[i]);
                let silu = gate[i] * s;
                du[i] += dy[i] * silu;
                dg[i] += dy[i] * up[i] * (s + silu * (1.0 - s));
            }
        }
    }
}
