//! y = RMSNorm(x)·W, the beginning of an attention branch.
//!
//! The norm is not kept for the backward pass: it is made again from x, which is there as the residual, wave by wave, so
//! that it never leaves the cache.

use super::rms_norm::Norm;
use super::{MaybeTape, WAVE};
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::scratch::Scratch;
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

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
    let (x, mut tape) = x.split_tape();
    let ((n, width), (_, out)) = (shape(&x), shape(weight));
    let how = precision.together();
    let mut y = vec![0.0; n * out];
    let rows = WAVE.min(n);
    let (mut normed, mut inverse) = (Scratch::of(rows * width), Scratch::of(rows));
    let norm_of = Norm { weight: values(norm), epsilon };
    for (x, y) in values(&x).chunks(WAVE * width).zip(y.chunks_mut(WAVE * out)) {
        let rows = x.len() / width;
        norm_of.forward(&mut normed[..rows * width], &mut inverse[..rows], x);
        let weight = Matrix::new(values(weight), width, out);
        MatrixMut::new(y, rows, out).set_product(1.0, Matrix::new(&normed, rows, width), weight, how);
    }
    let y = tokens(y, n, out);
    if T::OWNS_TAPE {
        let (result, norm, weight) = (y.ghost(), norm.clone(), weight.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let mut dx = take(grads.get_or_alloc_mut(&x)?);
            let mut dw = take(grads.get_or_alloc_mut(&weight)?);
            let norm_of = Norm { weight: values(&norm), epsilon };
            let dnorm = grads.get_or_alloc_mut(&norm)?;
            let (mut normed, mut inverse) = (Scratch::of(rows * width), Scratch::of(rows));
            let waves = values(&x).chunks(WAVE * width).zip(dy.chunks(WAVE * out)).zip(dx.chunks_mut(WAVE * width));
            for ((x, dy), dx) in waves {
                let rows = x.len() / width;
                let (normed, inverse) = (&mut normed[..rows * width], &mut inverse[..rows]);
                norm_of.forward(normed, inverse, x);
                let dy = Matrix::new(dy, rows, out);
                let dw = MatrixMut::new(&mut dw, width, out);
                dw.add_product(Matrix::new(normed, rows, width).transposed(), dy, how);
                let weight = Matrix::new(values(&weight), width, out);
                MatrixMut::new(normed, rows, width).set_product(1.0, dy, weight.transposed(), how);
                norm_of.backward(dx, dnorm, x, normed, inverse);
            }
            **grads.get_or_alloc_mut(&x)? = dx;
            **grads.get_or_alloc_mut(&weight)? = dw;
            Ok(())
        });
    }
    y.put_tape(tape)
}
