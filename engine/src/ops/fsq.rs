//! Finite scalar quantization as an operation: bound, round, pass the gradient straight through.
//!
//! The arithmetic of one code is `bottleneck::Fsq`; here it runs over all tokens and zeroes the dropped ones.

use super::MaybeTape;
use crate::bottleneck::Fsq;
use crate::mask::PrefixMask;
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// z (n, dims) → codes (n, dims) in [−1, 1], 0 where the token is dropped: [`Fsq::code`] of every value.
///
/// Backward as if rounding were the identity: dz += dcode·[`slope`](Fsq::slope) for kept tokens, nothing for dropped
/// ones.
///
/// # Panics
/// If z has not one value a level.
pub fn quantize<T: MaybeTape>(z: Tokens<T>, fsq: &Fsq, mask: &PrefixMask) -> Tokens<T> {
    let (z, mut tape) = z.split_tape();
    let (n, dims) = shape(&z);
    assert_eq!(dims, fsq.dims(), "one value a level");
    let mut codes = vec![0.0; n * dims];
    for (token, (code, z)) in codes.chunks_mut(dims).zip(values(&z).chunks(dims)).enumerate() {
        if mask.keeps(token) {
            for (dim, (code, z)) in code.iter_mut().zip(z).enumerate() {
                *code = fsq.code(dim, *z);
            }
        }
    }
    let codes = tokens(codes, n, dims);
    if T::OWNS_TAPE {
        let (result, fsq, mask) = (codes.ghost(), fsq.clone(), mask.clone());
        tape.add_backward_op(move |grads| {
            let dcodes = take(grads.get_or_alloc_mut(&result)?);
            let dz = grads.get_or_alloc_mut(&z)?;
            for (token, ((dz, z), dcode)) in
                dz.chunks_mut(dims).zip(values(&z).chunks(dims)).zip(dcodes.chunks(dims)).enumerate()
            {
                if mask.keeps(token) {
                    for dim in 0..dims {
                        dz[dim] += dcode[dim] * fsq.slope(dim, z[dim]);
                    }
                }
            }
            Ok(())
        });
    }
    codes.put_tape(tape)
}
