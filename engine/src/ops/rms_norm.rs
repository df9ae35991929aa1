//! y = x / √(mean(x²) + ε) · w, over each token's width.

use super::{MaybeTape, ROWS_PER_TASK};
use crate::kernel::{rows, simd::vectorized};
use crate::tensor::{Parameter, Tokens, add_to, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;

/// (n, width) → (n, width), each row scaled to unit mean square and then by `weight` (1, width): RMSNorm (Zhang &
/// Sennrich 2019), y = x / √(mean(x²) + ε) · w.
pub fn rms_norm<T: MaybeTape>(x: Tokens<T>, weight: &Parameter, epsilon: f32) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let (n, width) = shape(&x);
    let norm = Norm { weight: values(weight), epsilon };
    let (mut y, mut inverse) = (vec![0.0; n * width], vec![0.0; n]);
    norm.forward(&mut y, width, &mut inverse, values(&x));
    let y = tokens(y, n, width);
    if T::OWNS_TAPE {
        let (result, weight) = (y.ghost(), weight.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let norm = Norm { weight: values(&weight), epsilon };
            add_to(grads, [&x, &weight], |[dx, dw]| norm.backward(dx, dw, values(&x), &dy, &inverse))
        });
    }
    y.put_tape(tape)
}

/// The norm on plain rows, by all threads.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    /// w.
    pub(super) weight: &'a [f32],
    /// ε.
    pub(super) epsilon: f32,
}

impl Norm<'_> {
    /// y of all rows of x, `stride` apart, and 1 / √(mean(x²) + ε) of each.
    pub(super) fn forward(self, y: &mut [f32], stride: usize, inverse: &mut [f32], x: &[f32]) {
        y.par_chunks_mut(ROWS_PER_TASK * stride)
            .zip(x.par_chunks(ROWS_PER_TASK * self.weight.len()))
            .zip(inverse.par_chunks_mut(ROWS_PER_TASK))
            .for_each(|((y, x), inverse)| normalize_rows(y, stride, inverse, x, self.weight, self.epsilon));
    }

    /// Adds to the gradients of x and w what dy says.
    pub(super) fn backward(self, dx: &mut [f32], dw: &mut [f32], x: &[f32], dy: &[f32], inverse: &[f32]) {
        let width = self.weight.len();
        let chunk = ROWS_PER_TASK * width;
        // Each task's share of dw, added up in order afterwards.
        let shares: Vec<Vec<f32>> = dx
            .par_chunks_mut(chunk)
            .zip(x.par_chunks(chunk))
            .zip(dy.par_chunks(chunk))
            .zip(inverse.par_chunks(ROWS_PER_TASK))
            .map(|(((dx, x), dy), inverse)| {
                let mut dw = vec![0.0; width];
                backward_rows(dx, &mut dw, x, self.weight, dy, inverse);
                dw
            })
            .collect();
        shares.iter().for_each(|share| rows::add(dw, share));
    }
}

vectorized! {
    fn normalize_rows(y: &mut [f32], stride: usize, inverse: &mut [f32], x: &[f32], w: &[f32], epsilon: f32) {
        let width = w.len();
        for ((y, x), inverse) in y.chunks_mut(stride).zip(x.chunks_exact(width)).zip(inverse) {
            let y = &mut y[..width];
            *inverse = 1.0 / (rows::sum_of_squares(x) / width as f32 + epsilon).sqrt();
            for i in 0..width {
                y[i] = x[i] * *inverse * w[i];
            }
        }
    }
}

vectorized! {
    /// With r = 1/rms: dx += r·(dy·w) − x·r³/n·Σ(dy·w·x), dw += dy·x·r.
    fn backward_rows(dx: &mut [f32], dw: &mut [f32], x: &[f32], w: &[f32], dy: &[f32], inverse: &[f32]) {
        let width = w.len();
        let dw = &mut dw[..width];
        let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(width)).zip(inverse);
        for (((dx, x), dy), r) in rows {
            for i in 0..width {
                dw[i] += dy[i] * x[i] * r;
            }
            let pull = rows::sum(width, |i| dy[i] * w[i] * x[i]) * r * r * r / width as f32;
            for i in 0..width {
                dx[i] += dy[i] * w[i] * r - x[i] * pull;
            }
        }
    }
}
