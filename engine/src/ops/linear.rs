//! y = x·W, and y = x·W + r for the residual stream.

use super::MaybeTape;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::rows;
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// y = x·W: (n, in) · (in, out) → (n, out). Backward dx += dy·Wᵀ, dW += xᵀ·dy.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear<T: MaybeTape>(x: Tokens<T>, weight: &Parameter, precision: Precision) -> Tokens<T> {
    let (n, _) = shape(&x);
    let (_, out) = shape(weight);
    apply(x, weight, vec![0.0; n * out], None, precision)
}

/// y = x·W + residual (n, out), the end of an attention or feed-forward branch. Backward as [`linear`], and dresidual
/// += dy.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear_add<T: MaybeTape>(x: Tokens<T>, weight: &Parameter, residual: Tokens, precision: Precision) -> Tokens<T> {
    let start = rows::copy_on_all_threads(values(&residual));
    apply(x, weight, start, Some(residual), precision)
}

fn apply<T: MaybeTape>(
    x: Tokens<T>,
    weight: &Parameter,
    mut y: Vec<f32>,
    residual: Option<Tokens>,
    precision: Precision,
) -> Tokens<T> {
    let how = precision.together();
    let (x, mut tape) = x.split_tape();
    let ((n, input), (_, output)) = (shape(&x), shape(weight));
    let (xs, ws) = (Matrix::new(values(&x), n, input), Matrix::new(values(weight), input, output));
    let ys = MatrixMut::new(&mut y, n, output);
    match residual {
        Some(_) => ys.add_product(xs, ws, how),
        None => ys.set_product(1.0, xs, ws, how),
    }
    let y = tokens(y, n, output);
    if T::OWNS_TAPE {
        let (result, weight, residual) = (y.ghost(), weight.clone(), residual.map(|r| r.ghost()));
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let dys = Matrix::new(&dy, n, output);
            let ws = Matrix::new(values(&weight), input, output);
            let dx = MatrixMut::new(grads.get_or_alloc_mut(&x)?, n, input);
            dx.add_product(dys, ws.transposed(), how);
            let xs = Matrix::new(values(&x), n, input);
            let dw = MatrixMut::new(grads.get_or_alloc_mut(&weight)?, input, output);
            dw.add_product(xs.transposed(), dys, how);
            if let Some(residual) = residual {
                rows::add_on_all_threads(grads.get_or_alloc_mut(&residual)?, &dy);
            }
            Ok(())
        });
    }
    y.put_tape(tape)
}
