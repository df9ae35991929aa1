//! The decoder's last step: reconstructions live in (−1, 1).

use super::{MaybeTape, ROWS_PER_TASK};
use crate::kernel::{exp, simd::vectorized};
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;

/// (n, width) → (n, width): y = tanh x, dx += dy·(1 − y²). The reference's last step: reconstructions live in (−1, 1).
pub fn tanh<T: MaybeTape>(x: Tokens<T>) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let (n, width) = shape(&x);
    let chunk = ROWS_PER_TASK * width;
    let mut y = vec![0.0; n * width];
    y.par_chunks_mut(chunk).zip(values(&x).par_chunks(chunk)).for_each(|(y, x)| tanh_of(y, x));
    let y = tokens(y, n, width);
    if T::OWNS_TAPE {
        let (x, y) = (x.ghost(), y.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&y.ghost())?);
            grads
                .get_or_alloc_mut(&x)?
                .par_chunks_mut(chunk)
                .zip(values(&y).par_chunks(chunk))
                .zip(dy.par_chunks(chunk))
                .for_each(|((dx, y), dy)| backward(dx, y, dy));
            Ok(())
        });
    }
    y.put_tape(tape)
}

vectorized! {
    fn tanh_of(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = exp::tanh(*x);
        }
    }
}

vectorized! {
    fn backward(dx: &mut [f32], y: &[f32], dy: &[f32]) {
        for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx += dy * (1.0 - y * y);
        }
    }
}
