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
    let mut error: Vec<f32> = vec![0.0; n * width];
    let sums: Vec<f64> = error
        .par_chunks_mut(chunk)
        .zip(values(&y).par_chunks(chunk))
        .zip(values(target).par_chunks(chunk))
        .map(|((error, y), target)| difference(error, y, target, width))
        .collect();
    let count = (n * width) as f64;
    let loss = scalar((sums.iter().sum::<f64>() / count) as f32);
    let (result, y) = (loss.ghost(), y.ghost());
    tape.add_backward_op(move |grads| {
        let scale = (2.0 / count) as f32 * take(grads.get_or_alloc_mut(&result)?)[0];
        let dy = grads.get_or_alloc_mut(&y)?;
        dy.par_chunks_mut(chunk)
            .zip(error.par_chunks(chunk))
            .for_each(|(dy, error)| rows::add_scaled(dy, error, scale));
        Ok(())
    });
    loss.put_tape(tape)
}

vectorized! {
    /// error = y − target; returns the sum of its squares.
    fn difference(error: &mut [f32], y: &[f32], target: &[f32], width: usize) -> f64 {
        for ((error, y), target) in error.iter_mut().zip(y).zip(target) {
            *error = y - target;
        }
        let mut sum = 0.0;
        for row in error.chunks(width) {
            sum += f64::from(rows::sum_of_squares(row));
        }
        sum
    }
}
