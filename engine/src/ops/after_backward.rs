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
