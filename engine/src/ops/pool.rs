//! The mean over each block's tokens: one vector a block.

use super::MaybeTape;
use crate::kernel::rows;
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// (blocks · tokens_per_block, width) → (blocks, width).
pub fn mean_pool<T: MaybeTape>(x: Tokens<T>, tokens_per_block: usize) -> Tokens<T> {
    let (x, mut tape) = x.split_tape();
    let (n, width) = shape(&x);
    assert!(n.is_multiple_of(tokens_per_block), "{n} tokens are no whole blocks of {tokens_per_block}");
    let share = 1.0 / tokens_per_block as f32;
    let mut pooled = vec![0.0; n / tokens_per_block * width];
    for (mean, block) in pooled.chunks_mut(width).zip(values(&x).chunks(tokens_per_block * width)) {
        block.chunks(width).for_each(|token| rows::add_scaled(mean, token, share));
    }
    let y = tokens(pooled, n / tokens_per_block, width);
    if T::OWNS_TAPE {
        let (result, x) = (y.ghost(), x.ghost());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let dx = grads.get_or_alloc_mut(&x)?;
            for (dx, dy) in dx.chunks_mut(tokens_per_block * width).zip(dy.chunks(width)) {
                dx.chunks_mut(width).for_each(|token| rows::add_scaled(token, dy, share));
            }
            Ok(())
        });
    }
    y.put_tape(tape)
}
