//! The negative log-likelihood of targets under independent Gaussians whose mean and deviation are predicted.

use super::MaybeTape;
use crate::tensor::{Scalar, Tokens, scalar, shape, take, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// ln σ is kept in ±this, so that neither a lucky guess nor a wild one dominates a step (of [`gaussian_nll`]).
pub const LN_DEVIATION_LIMIT: f32 = 5.0;

/// The negative log-likelihood of targets t under Gaussians (Nix & Weigend 1994), in nats, without its constant
/// ½·ln 2π: mean(s + (t − μ)² / (2 e^{2s})).
///
/// `y` is (n, 2k), μ then s = ln σ; `target` is (n, k) and data.
///
/// # Panics
/// If the shapes are others.
pub fn gaussian_nll<T: MaybeTape>(y: Tokens<T>, target: &Tokens) -> Scalar<T> {
    let (y, mut tape) = y.split_tape();
    let ((n, twice), (rows, k)) = (shape(&y), shape(target));
    assert_eq!((n, twice), (rows, 2 * k), "a mean and a deviation for every target");
    let count = (n * k) as f64;
    let mut sum = 0.0;
    let mut slope = vec![0.0; n * twice];
    for ((y, target), slope) in values(&y).chunks(twice).zip(values(target).chunks(k)).zip(slope.chunks_mut(twice)) {
        for i in 0..k {
            let s = y[k + i].clamp(-LN_DEVIATION_LIMIT, LN_DEVIATION_LIMIT);
            let precision = (-2.0 * s).exp();
            let error = y[i] - target[i];
            sum += f64::from(s + 0.5 * error * error * precision);
            slope[i] = error * precision;
            // At the limit it may still come back.
            let outward = (y[k + i] - s) * (1.0 - error * error * precision) < 0.0;
            slope[k + i] = if outward { 0.0 } else { 1.0 - error * error * precision };
        }
    }
    let loss = scalar((sum / count) as f32);
    if T::OWNS_TAPE {
        let (result, y) = (loss.ghost(), y.ghost());
        tape.add_backward_op(move |grads| {
            let scale = take(grads.get_or_alloc_mut(&result)?)[0] / count as f32;
            crate::kernel::rows::add_scaled(grads.get_or_alloc_mut(&y)?, &slope, scale);
            Ok(())
        });
    }
    loss.put_tape(tape)
}
