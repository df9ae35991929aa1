//! Something to do as soon as the gradients of a layer are there, while the backward pass goes on.

use super::MaybeTape;
use crate::tensor::{Grads, TapeError, Tokens};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// x (n, width), as it is. In the backward pass `then` runs when all that is recorded behind this point is done: the
/// gradients of weights that are used there alone are complete.
pub(crate) fn after_backward<T: MaybeTape>(
    x: Tokens<T>,
    then: impl FnOnce(&mut Grads) -> Result<(), TapeError> + 'static,
) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    tape.add_backward_op(then);
    x.put_tape(tape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::linear;
    use crate::precision::Precision;
    use crate::tensor::tokens;
    use dfdx::tensor::Trace as _;
    use dfdx::tensor_ops::{Backward as _, SumTo as _};

    #[test]
    fn it_happens_when_what_is_behind_is_done_and_what_is_before_is_not() {
        let x = tokens(vec![1.0, 2.0], 1, 2);
        let [before, behind] = [1.0, 3.0].map(|weight| tokens(vec![weight; 4], 2, 2));
        let (seen_before, seen_behind) = (before.clone(), behind.clone());
        let h = after_backward(linear(x.leaky_trace(), &before, Precision::F32), move |grads| {
            // h = (3, 3), so that d Σ h·W / dW = 3 everywhere.
            assert_eq!(grads.get_or_alloc_mut(&seen_behind)?[..], [3.0; 4]);
            assert_eq!(grads.get_or_alloc_mut(&seen_before)?[..], [0.0; 4]);
            Ok(())
        });
        let grads = linear(h, &behind, Precision::F32).sum::<(), _>().backward();
        // dh = (6, 6), times x = (1, 2) row by row.
        assert_eq!(grads.get(&before).as_vec(), [6.0, 6.0, 12.0, 12.0]);
    }
}
