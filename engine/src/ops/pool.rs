//! The mean over the tokens of a block: one vector for what the block shows.

use super::MaybeTape;
use crate::block::Layout;
use crate::kernel::rows;
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// (sequences · blocks · tokens, width) → (sequences, width): the mean token of each sequence's last block.
///
/// # Panics
/// If the rows are not those of the layout.
pub fn pool_last_block<T: MaybeTape>(x: Tokens<T>, layout: Layout) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let (n, width) = shape(&x);
    assert_eq!(n, layout.tokens(), "rows against the layout");
    let share = 1.0 / layout.tokens_per_block as f32;
    let (length, last) = (layout.tokens_per_sequence() * width, (layout.blocks - 1) * layout.tokens_per_block * width);
    let mut pooled = vec![0.0; layout.sequences * width];
    for (mean, sequence) in pooled.chunks_mut(width).zip(values(&x).chunks(length)) {
        sequence[last..].chunks(width).for_each(|token| rows::add_scaled(mean, token, share));
    }
    let y = tokens(pooled, layout.sequences, width);
    if T::OWNS_TAPE {
        let (result, x) = (y.ghost(), x.ghost());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let dx = grads.get_or_alloc_mut(&x)?;
            for (dx, dy) in dx.chunks_mut(length).zip(dy.chunks(width)) {
                dx[last..].chunks_mut(width).for_each(|token| rows::add_scaled(token, dy, share));
            }
            Ok(())
        });
    }
    y.put_tape(tape)
}
