//! exp, logistic and tanh as straight-line polynomials, which vectorise where the library's calls do not.

/// Adding 1.5·2²³ leaves the nearest integer in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// The least x of [`exp`]; of smaller ones it is that of this.
const LEAST: f32 = -87.3;

/// −ln 2 in two parts, of which a small integer times the first is exact.
const MINUS_LN_2: [f32; 2] = [-0.693_359_4, 2.121_944_4e-4];

/// p(r) = 1 + r + r²·(…), the highest power first.
const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// eˣ within 2e-7 of its value, for x up to [`MOST`] (Cephes' `expf`: 2ⁿ·p(r), r the rest after n·ln 2).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (r, power) = reduced(x);
    polynomial(r) * power
}

/// r and 2ⁿ.
#[inline(always)]
pub(super) fn reduced(x: f32) -> (f32, f32) {
    // Not `max`, so that NaN stays what it is.
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = MINUS_LN_2.into_iter().fold(x, |r, part| n.mul_add(part, r));
    // What `ROUND` has above n is shifted out.
    (r, f32::from_bits(shifted.to_bits().wrapping_add(127) << 23))
}

/// p(r).
#[inline(always)]
pub(super) fn polynomial(r: f32) -> f32 {
    let [first, rest @ ..] = POLYNOMIAL;
    let p = rest.into_iter().fold(first, |p, next| p.mul_add(r, next));
    (p * r).mul_add(r, r) + 1.0
}

/// The largest x of [`exp`].
const MOST: f32 = 88.0;

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    let minus = if x < -MOST { MOST } else { -x };
    1.0 / (1.0 + exp(minus))
}

/// tanh x, within 2e-7 absolute.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let e = exp(2.0 * x.clamp(-15.0, 15.0));
    (e - 1.0) / (e + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..200_000).map(move |i| from + (to - from) * i as f32 / 200_000.0)
    }

    #[test]
    fn exp_is_within_3e_7_of_the_librarys() {
        let worst = grid(-87.0, MOST).map(|x| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 3e-7, "worst relative error {worst:e}");
    }

    #[test]
    fn exp_of_what_a_mask_holds_is_negligible() {
        assert!(exp(-1e30) < 2e-38);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn what_is_no_number_stays_none_whatever_its_bits() {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7fc0_0001, 0x7fff_ffff, 0xffff_ffff, 0x7f80_0001] {
            let nan = f32::from_bits(bits);
            assert!(exp(nan).is_nan() && logistic(nan).is_nan() && tanh(nan).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn tanh_and_logistic_are_within_2e_7_absolute() {
        for x in grid(-100.0, 100.0) {
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-7, "tanh {x}");
            assert!((f64::from(logistic(x)) - 1.0 / (1.0 + (-f64::from(x)).exp())).abs() < 2e-7, "logistic {x}");
        }
    }
}
