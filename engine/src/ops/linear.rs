//! y = x·W.

use super::MaybeTape;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, add_to, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// y = x·W: (n, in) · (in, out) → (n, out). Backward dx += dy·Wᵀ, dW += xᵀ·dy.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear<T: MaybeTape>(x: Tokens<T>, weight: &Parameter, precision: Precision) -> Tokens<T> {
    let how = precision.together();
    let (x, mut tape) = x.split_tape();
    let ((n, input), (_, output)) = (shape(&x), shape(weight));
    let (xs, ws) = (Matrix::new(values(&x), n, input), Matrix::new(values(weight), input, output));
    let mut y = vec![0.0; n * output];
    MatrixMut::new(&mut y, n, output).set_product(1.0, xs, ws, how);
    let y = tokens(y, n, output);
    if T::OWNS_TAPE {
        let (result, weight) = (y.ghost(), weight.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let dy = Matrix::new(&dy, n, output);
            let (xs, ws) = (Matrix::new(values(&x), n, input), Matrix::new(values(&weight), input, output));
            add_to(grads, [&x, &weight], |[dx, dw]| {
                MatrixMut::new(dx, n, input).add_product(dy, ws.transposed(), how);
                MatrixMut::new(dw, input, output).add_product(xs.transposed(), dy, how);
            })
        });
    }
    y.put_tape(tape)
}
