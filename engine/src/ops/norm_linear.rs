//! y = RMSNorm(x)·W: the beginning of an attention branch, the end of the encoder and, within tanh, that of the decoder.
//!
//! Rows go through in waves whose norms stay in a cache. The backward pass makes the norm again from x, which is there anyway.

use super::rms_norm::Norm;
use super::{MaybeTape, ROWS_PER_TASK, WAVE, room_of_wave};
use crate::kernel::matrix::{How, Matrix, MatrixMut, stride_of_left};
use crate::kernel::{exp, simd::vectorized};
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, add_to, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;
use std::ops::Range;

/// y = (x / √(mean(x²) + ε) · w)·W: (n, width) → (n, out), w = `norm` (1, width), W = `weight` (width, out). Backward
/// through both.
///
/// # Panics
/// If the shapes do not fit.
pub fn norm_linear<T: MaybeTape>(
    x: Tokens<T>,
    norm: &Parameter,
    weight: &Parameter,
    epsilon: f32,
    precision: Precision,
) -> Tokens<T> {
    apply(x, norm, weight, epsilon, precision, End::Plain)
}

/// tanh of the same: reconstructions live in (−1, 1). Its gradient goes back row by row with the map's, so that no other
/// tensor as large as the reconstruction exists beside it.
///
/// # Panics
/// If the shapes do not fit.
pub fn norm_linear_tanh<T: MaybeTape>(
    x: Tokens<T>,
    norm: &Parameter,
    weight: &Parameter,
    epsilon: f32,
    precision: Precision,
) -> Tokens<T> {
    apply(x, norm, weight, epsilon, precision, End::Tanh)
}

/// What is done to the map's result.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Plain,
    Tanh,
}

fn apply<T: MaybeTape>(
    x: Tokens<T>,
    norm: &Parameter,
    weight: &Parameter,
    epsilon: f32,
    precision: Precision,
    end: End,
) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let ((n, width), (input, out)) = (shape(&x), shape(weight));
    assert_eq!(width, input, "rows against the map's weight");
    let mut y = Vec::with_capacity(n * out);
    NormLinear::new(norm, weight, epsilon, precision).forward(values(&x), |_, rows| y.extend_from_slice(rows));
    if end == End::Tanh {
        y.par_chunks_mut(ROWS_PER_TASK * out).for_each(tanh_all);
    }
    let y = tokens(y, n, out);
    if T::OWNS_TAPE {
        let (result, norm, weight) = (y.ghost(), norm.clone(), weight.clone());
        let y = (end == End::Tanh).then(|| y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let map = NormLinear::new(&norm, &weight, epsilon, precision);
            let rows = |rows: Range<usize>, to: &mut [f32]| {
                let stride = to.len() / rows.len();
                for (row, to) in rows.zip(to.chunks_mut(stride)) {
                    let (part, to) = (row * out..(row + 1) * out, &mut to[..out]);
                    to.copy_from_slice(&dy[part.clone()]);
                    if let Some(y) = &y {
                        times_slope(to, &values(y)[part]);
                    }
                }
            };
            add_to(grads, [&x, &norm, &weight], |[dx, dnorm, dweight]| {
                map.backward(dx, dnorm, dweight, values(&x), rows);
            })
        });
    }
    y.put_tape(tape)
}

/// The map on plain rows, by all threads.
pub(super) struct NormLinear<'a> {
    norm: Norm<'a>,
    /// (width, out).
    weight: Matrix<'a>,
    width: usize,
    out: usize,
    how: How,
}

impl<'a> NormLinear<'a> {
    pub(super) fn new(norm: &'a Parameter, weight: &'a Parameter, epsilon: f32, precision: Precision) -> Self {
        let (width, out) = shape(weight);
        assert_eq!(shape(norm), (1, width), "the norm's weight against the map's");
        let (norm, weight) = (Norm { weight: values(norm), epsilon }, Matrix::new(values(weight), width, out));
        Self { norm, weight, width, out, how: precision.together() }
    }

    /// y, wave by wave: `done` gets some rows, and which they are.
    pub(super) fn forward(&self, x: &[f32], mut done: impl FnMut(Range<usize>, &[f32])) {
        let (n, stride) = (x.len() / self.width, stride_of_left(self.width));
        let (mut normed, mut inverse) = (room_of_wave(n, stride), room_of_wave(n, 1));
        let mut y = room_of_wave(n, self.out);
        for (rows, x) in waves(x, self.width) {
            let count = rows.len();
            let y = &mut y[..count * self.out];
            self.norm.forward(&mut normed, stride, &mut inverse[..count], x);
            let normed = Matrix::strided(&normed, count, self.width, stride);
            MatrixMut::new(y, count, self.out).set_product(1.0, normed, self.weight, self.how);
            done(rows, y);
        }
    }

    /// Adds to the gradients of x, w and W; `dy` writes rows of dy where it is told to, as far apart as they
    /// have room there.
    pub(super) fn backward(
        &self,
        dx: &mut [f32],
        dnorm: &mut [f32],
        dweight: &mut [f32],
        x: &[f32],
        mut dy: impl FnMut(Range<usize>, &mut [f32]),
    ) {
        let (n, stride) = (x.len() / self.width, stride_of_left(self.width));
        let (mut normed, mut inverse) = (room_of_wave(n, stride), room_of_wave(n, 1));
        let dy_stride = stride_of_left(self.out);
        let mut dy_rows = room_of_wave(n, dy_stride);
        for ((rows, x), dx) in waves(x, self.width).zip(dx.chunks_mut(WAVE * self.width)) {
            let count = rows.len();
            let inverse = &mut inverse[..count];
            dy(rows, &mut dy_rows[..count * dy_stride]);
            let dy = Matrix::strided(&dy_rows, count, self.out, dy_stride);
            self.norm.forward(&mut normed, stride, inverse, x);
            let dw = MatrixMut::new(dweight, self.width, self.out);
            dw.add_product(Matrix::strided(&normed, count, self.width, stride).transposed(), dy, self.how);
            // In the norm's room, rows without gaps.
            let dnormed = &mut normed[..count * self.width];
            MatrixMut::new(dnormed, count, self.width).set_product(1.0, dy, self.weight.transposed(), self.how);
            self.norm.backward(dx, dnorm, x, dnormed, inverse);
        }
    }
}

/// Waves of rows, and which they are.
fn waves(x: &[f32], width: usize) -> impl Iterator<Item = (Range<usize>, &[f32])> {
    let of_wave = move |(wave, x): (usize, _)| (wave * WAVE..wave * WAVE + <[f32]>::len(x) / width, x);
    x.chunks(WAVE * width).enumerate().map(of_wave)
}

vectorized! {
    fn tanh_all(y: &mut [f32]) {
        for y in y {
            *y = exp::tanh(*y);
        }
    }
}

vectorized! {
    /// dy becomes dx: dy·(1 − y²).
    fn times_slope(dy: &mut [f32], y: &[f32]) {
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy *= 1.0 - y * y;
        }
    }
}
