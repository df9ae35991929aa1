//! The reconstruction loss: mean squared error against the pixels, summed in f64.

use super::{MaybeTape, ROWS_PER_TASK};
use crate::kernel::{rows, simd::vectorized};
use crate::tensor::{Scalar, Tokens, scalar, shape, take, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;

/// mean((y − target)²) over every value of (n, width), summed in f64; `target` is data and gets no gradient.
///
/// # Panics
/// If the shapes differ.
pub fn mse<T: MaybeTape>(y: Tokens<T>, target: &Tokens) -> Scalar<T> {
    let (y, mut tape) = y.split_tape();
    let (n, width) = shape(&y);
    assert_eq!((n, width), shape(target), "reconstruction and target differ in shape");
    let chunk = ROWS_PER_TASK * width;
    let errors = values(&y).par_chunks(chunk).zip(values(target).par_chunks(chunk));
    let sums: Vec<f64> = errors.map(|(y, target)| squared_error(y, target, width)).collect();
    let count = (n * width) as f64;
    let loss = scalar((sums.iter().sum::<f64>() / count) as f32);
    if T::OWNS_TAPE {
        let (result, target) = (loss.ghost(), target.clone());
        tape.add_backward_op(move |grads| {
            let scale = (2.0 / count) as f32 * take(grads.get_or_alloc_mut(&result)?)[0];
            grads
                .get_or_alloc_mut(&y)?
                .par_chunks_mut(chunk)
                .zip(values(&y).par_chunks(chunk).zip(values(&target).par_chunks(chunk)))
                .for_each(|(dy, (y, target))| add_error(dy, y, target, scale));
            Ok(())
        });
    }
    loss.put_tape(tape)
}

vectorized! {
    /// Σ (y − target)², row by row in f32, over the rows in f64.
    fn squared_error(y: &[f32], target: &[f32], width: usize) -> f64 {
        let mut sum = 0.0;
        for (y, target) in y.chunks_exact(width).zip(target.chunks_exact(width)) {
            let row = rows::sum(width, |i| {
                let error = y[i] - target[i];
                error * error
            });
            sum += f64::from(row);
        }
        sum
    }
}

vectorized! {
    /// dy += scale·(y − target).
    fn add_error(dy: &mut [f32], y: &[f32], target: &[f32], scale: f32) {
        for ((dy, y), target) in dy.iter_mut().zip(y).zip(target) {
            *dy += scale * (y - target);
        }
    }
}
