//! [`exp`] of whole rows.

#![allow(unsafe_code)] // Instructions that the compiler does not put in this order by itself.

use super::exp::exp;
use super::rows;

/// How they are made: all ways give the same bits. [`vectorized`](super::simd::vectorized) chooses one.
pub(crate) trait Exponentials {
    /// Replaces each x by e^(x − shift) and adds these up as [`rows::sum`] does.
    fn of_row(x: &mut [f32], shift: f32) -> f32;
}

/// One after the other, or as the compiler does several at once.
pub(crate) struct Compiled;

impl Exponentials for Compiled {
    #[inline(always)]
    fn of_row(x: &mut [f32], shift: f32) -> f32 {
        rows::map_and_sum(x, |x| exp(x - shift))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use interleaved::Interleaved;

#[cfg(target_arch = "x86_64")]
mod interleaved {
    use super::Exponentials;
    use crate::kernel::exp::{self, LEAST, MINUS_LN_2, POLYNOMIAL, ROUND};
    use crate::kernel::rows::{self, LANES};
    use crate::kernel::simd::has_avx2;
    use std::arch::x86_64::*;

    /// With AVX2, four registers of 8 side by side. Of one register every step waits for the one before it, and the compiler
    /// finishes a register before it begins the next: its loop takes 1.2 times as long.
    pub(crate) struct Interleaved;

    /// Values of a register.
    const EACH: usize = 8;

    /// Registers side by side.
    const SIDE: usize = LANES / EACH;

    /// An expression of `i` for every register.
    macro_rules! each {
        ($i:ident, $value:expr) => {{
            let mut all = [_mm256_setzero_ps(); SIDE];
            for $i in 0..SIDE {
                all[$i] = $value;
            }
            all
        }};
    }

    impl Exponentials for Interleaved {
        #[inline(always)]
        fn of_row(x: &mut [f32], shift: f32) -> f32 {
            assert!(has_avx2(), "this CPU has other instructions");
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            let mut lanes = [0.0; LANES];
            // SAFETY: the CPU has the instructions (just asserted); a chunk has as many lanes as are read and written.
            unsafe {
                let mut sums = [_mm256_setzero_ps(); SIDE];
                for chunk in chunks {
                    let at = chunk.as_mut_ptr();
                    let e = exp(each!(i, _mm256_sub_ps(_mm256_loadu_ps(at.add(EACH * i)), _mm256_set1_ps(shift))));
                    for (i, e) in e.into_iter().enumerate() {
                        _mm256_storeu_ps(at.add(EACH * i), e);
                    }
                    sums = each!(i, _mm256_add_ps(sums[i], e[i]));
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    _mm256_storeu_ps(lanes.as_mut_ptr().add(EACH * i), sums);
                }
            }
            rows::with_rest(lanes, rest, |x| exp::exp(x - shift))
        }
    }

    /// [`exp`](crate::kernel::exp::exp), step by step.
    ///
    /// # Safety
    /// The CPU has AVX2 and FMA.
    #[inline(always)]
    unsafe fn exp(x: [__m256; SIDE]) -> [__m256; SIDE] {
        // SAFETY: as the caller says.
        unsafe {
            // The second where one of both is no number.
            let x = each!(i, _mm256_max_ps(_mm256_set1_ps(LEAST), x[i]));
            let shifted = each!(i, _mm256_mul_ps(x[i], _mm256_set1_ps(std::f32::consts::LOG2_E)));
            let shifted = each!(i, _mm256_add_ps(shifted[i], _mm256_set1_ps(ROUND)));
            let n = each!(i, _mm256_sub_ps(shifted[i], _mm256_set1_ps(ROUND)));
            let mut r = x;
            for part in MINUS_LN_2 {
                r = each!(i, _mm256_fmadd_ps(n[i], _mm256_set1_ps(part), r[i]));
            }
            let [first, rest @ ..] = POLYNOMIAL;
            let mut p = [_mm256_set1_ps(first); SIDE];
            for next in rest {
                p = each!(i, _mm256_fmadd_ps(p[i], r[i], _mm256_set1_ps(next)));
            }
            let p = each!(i, _mm256_mul_ps(p[i], r[i]));
            let mantissa = each!(i, _mm256_add_ps(_mm256_fmadd_ps(p[i], r[i], r[i]), _mm256_set1_ps(1.0)));
            each!(i, {
                let n = _mm256_add_epi32(_mm256_castps_si256(shifted[i]), _mm256_set1_epi32(127));
                _mm256_mul_ps(mantissa[i], _mm256_castsi256_ps(_mm256_slli_epi32::<23>(n)))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::simd::vectorized;

    vectorized! {
        fn chosen<E: Exponentials>(x: &mut [f32], shift: f32) -> f32 {
            E::of_row(x, shift)
        }
    }

    #[test]
    fn all_ways_give_the_same_bits() {
        let mut ways: Vec<fn(&mut [f32], f32) -> f32> = vec![chosen];
        #[cfg(target_arch = "x86_64")]
        match crate::kernel::simd::has_avx2() {
            true => ways.push(Interleaved::of_row),
            false => eprintln!("SKIPPED: this CPU does not have AVX2"),
        }
        for n in (0..=100).chain([256, 1000]) {
            let mut x: Vec<f32> = (0..n).map(|i| (i * 37 % 211) as f32 * 0.61 - 100.0).collect();
            for (place, special) in [f32::NAN, -1e30, f32::NEG_INFINITY, 88.0].into_iter().enumerate() {
                if n > 90 {
                    x[17 * place + 3] = special;
                }
            }
            let mut expected = x.clone();
            let sum = Compiled::of_row(&mut expected, -0.3).to_bits();
            for way in &ways {
                let mut x = x.clone();
                assert_eq!(way(&mut x, -0.3).to_bits(), sum, "the sum of {n}");
                assert!(
                    x.iter().zip(&expected).all(|(x, e)| x.to_bits() == e.to_bits()),
                    "{n}: {x:?} and {expected:?}"
                );
            }
        }
    }
}
