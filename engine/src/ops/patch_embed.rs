//! The encoder's first step: project each patch and tell each token whether it will be kept.
//!
//! h = patch·W + (kept ? e_kept : e_masked). The two embeddings are how the encoder is conditioned on the budget.

use super::MaybeTape;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::rows;
use crate::mask::PrefixMask;
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// (n, patch) → (n, width): patch·W + (kept ? e_kept : e_masked), how the reference tells the encoder its budget.
///
/// `weight` is (patch, width), `kept` and `masked` are (1, width). No gradient is computed for the patches: they are
/// data.
///
/// # Panics
/// If `mask` is not of n tokens.
pub fn patch_embed<T: MaybeTape>(
    patches: Tokens<T>,
    weight: &Parameter,
    kept: &Parameter,
    masked: &Parameter,
    mask: &PrefixMask,
) -> Tokens<T> {
    let (patches, mut tape) = patches.split_tape();
    let ((n, patch), (_, width)) = (shape(&patches), shape(weight));
    assert_eq!(n, mask.tokens(), "one mask entry a token");
    let mut h = Vec::with_capacity(n * width);
    for token in 0..n {
        h.extend_from_slice(values(if mask.keeps(token) { kept } else { masked }));
    }
    let (xs, ws) = (Matrix::new(values(&patches), n, patch), Matrix::new(values(weight), patch, width));
    MatrixMut::new(&mut h, n, width).add_product(xs, ws, Precision::F32.together());
    let h = tokens(h, n, width);
    if T::OWNS_TAPE {
        let (result, mask) = (h.ghost(), mask.clone());
        let (weight, kept, masked) = (weight.clone(), kept.clone(), masked.clone());
        tape.add_backward_op(move |grads| {
            let dh = take(grads.get_or_alloc_mut(&result)?);
            let xs = Matrix::new(values(&patches), n, patch);
            let dw = MatrixMut::new(grads.get_or_alloc_mut(&weight)?, patch, width);
            dw.add_product(xs.transposed(), Matrix::new(&dh, n, width), Precision::F32.together());
            for (embedding, is_kept) in [(&kept, true), (&masked, false)] {
                let d = grads.get_or_alloc_mut(embedding)?;
                for (token, dh) in dh.chunks(width).enumerate() {
                    if mask.keeps(token) == is_kept {
                        rows::add(d, dh);
                    }
                }
            }
            Ok(())
        });
    }
    h.put_tape(tape)
}
