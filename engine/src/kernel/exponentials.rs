//! [`exp`](super::exp::exp) of whole rows.

use super::exp::{polynomial, reduced};
use super::rows::{LANES, Lanes};

/// Elements of a row that wait in [`Powers`], at most.
const PART: usize = 256;

/// Room for the 2ⁿ of a part of a row. It begins where a line of a cache does, so that no vector lies in two.
#[repr(align(64))]
pub(crate) struct Powers([f32; PART]);

impl Powers {
    /// One for many rows.
    pub(crate) fn room() -> Self {
        Self([0.0; PART])
    }
}

/// Replaces each x by e^(x − shift) and begins the sum of these, which [`totals`](super::rows::totals) and
/// [`with_rest`](super::rows::with_rest) end.
///
/// In two sweeps, x → r and 2ⁿ → eˣ. In a single one a value goes through 16 operations that wait for each other, and a core would
/// have to look further ahead than it does to fill that time: it takes 1.2 times as long (an AMD EPYC of family 25, model 1).
#[inline(always)]
pub(crate) fn exponentials(x: &mut [f32], shift: f32, powers: &mut Powers) -> Lanes {
    let mut lanes = [0.0; LANES];
    for x in x.chunks_mut(PART) {
        let powers = &mut powers.0[..x.len()];
        for (x, power) in x.iter_mut().zip(&mut *powers) {
            (*x, *power) = reduced(*x - shift);
        }
        let ((x, rest), (powers, powers_of_rest)) = (x.as_chunks_mut::<LANES>(), powers.as_chunks::<LANES>());
        for (x, powers) in x.iter_mut().zip(powers) {
            for ((x, power), sum) in x.iter_mut().zip(powers).zip(&mut lanes) {
                *x = polynomial(*x) * power;
                *sum += *x;
            }
        }
        for (x, power) in rest.iter_mut().zip(powers_of_rest) {
            *x = polynomial(*x) * power;
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::exp::exp;
    use crate::kernel::rows::{sum, totals, with_rest};
    use crate::kernel::simd::vectorized;

    vectorized! {
        fn with_this_cpus_instructions(x: &mut [f32], shift: f32) -> Lanes {
            exponentials(x, shift, &mut Powers::room())
        }
    }

    #[test]
    fn rows_have_the_bits_of_one_after_the_other() {
        for n in (0..=100).chain([256, 287, 1000]) {
            let mut x: Vec<f32> = (0..n).map(|i| (i * 37 % 211) as f32 * 0.61 - 100.0).collect();
            for (place, special) in [f32::NAN, -1e30, f32::NEG_INFINITY, 88.0].into_iter().enumerate() {
                if n > 90 {
                    x[17 * place + 3] = special;
                }
            }
            let expected: Vec<f32> = x.iter().map(|x| exp(x + 0.3)).collect();
            for way in [
                |x: &mut [f32]| exponentials(x, -0.3, &mut Powers::room()),
                |x: &mut [f32]| with_this_cpus_instructions(x, -0.3),
            ] {
                let mut x = x.clone();
                let [total] = totals(&[way(&mut x)]);
                assert_eq!(with_rest(total, &x).to_bits(), sum(n, |i| expected[i]).to_bits(), "the sum of {n}");
                assert!(
                    x.iter().zip(&expected).all(|(x, e)| x.to_bits() == e.to_bits()),
                    "{n}: {x:?} and {expected:?}"
                );
            }
        }
    }
}
