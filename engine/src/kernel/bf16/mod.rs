//! Matrix products of factors that are rounded to bfloat16, summed in f32.

#[cfg(target_arch = "x86_64")]
mod layout;
#[cfg(target_arch = "x86_64")]
mod native;
#[cfg(target_arch = "x86_64")]
mod tile;

use super::matrix::{Matrix, MatrixMut, Threads};

/// Whether this CPU multiplies bfloat16.
pub(crate) fn is_native() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        native::is_there()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// c = scale·a·b, or c += scale·a·b.
pub(super) fn product(c: MatrixMut<'_>, add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    #[cfg(target_arch = "x86_64")]
    if native::is_there() {
        c.assert_fits(a, b);
        return native::product(c, add, scale, a, b, threads);
    }
    product_of_rounded(c, add, scale, a, b, threads);
}

/// The same in f32, of rounded copies: for CPUs without the instructions.
fn product_of_rounded(c: MatrixMut<'_>, add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    let [rounded_a, rounded_b] = [a, b].map(|m| m.iter().map(round).collect::<Vec<_>>());
    let a = Matrix::new(&rounded_a, a.rows, a.columns);
    let b = Matrix::new(&rounded_b, b.rows, b.columns);
    c.product(add, scale, a, b, threads);
}

/// The value with the eight leading bits of its mantissa, to nearest, ties to even. What is too small for a normal number
/// becomes 0, as in the instruction.
fn round(x: f32) -> f32 {
    if x.is_subnormal() {
        return 0.0_f32.copysign(x);
    }
    if !x.is_finite() {
        return x;
    }
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng as _;

    fn drawn(count: usize, seed: u64) -> Vec<f32> {
        let mut random = random::stream(0, "bf16", seed);
        (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn rounding_keeps_eight_bits_to_the_nearest_even() {
        // 1 + 2⁻⁷ has eight bits; 1 + 2⁻⁸ lies between 1 and it, and 1 is even; 1 + 3·2⁻⁸ lies between 1 + 2⁻⁷ and 1 + 2⁻⁶.
        let above_one = |steps: f32| 1.0 + steps / 256.0;
        let cases = [
            (above_one(2.0), above_one(2.0)),
            (above_one(1.0), 1.0),
            (above_one(3.0), above_one(4.0)),
            (above_one(2.5), above_one(2.0)),
            (-0.0, -0.0),
        ];
        for (x, expected) in cases {
            assert_eq!(f32::to_bits(round(x)), f32::to_bits(expected), "{x}");
        }
        assert_eq!(round(1e-40), 0.0);
        assert!(round(f32::NAN).is_nan() && round(f32::INFINITY) == f32::INFINITY);
    }

    /// Every remainder of rows, columns and depth; rows apart; each factor given transposed; set and added.
    #[test]
    fn the_instructions_multiply_what_rounded_copies_do() {
        if !is_native() {
            eprintln!("SKIPPED: this CPU has no AVX512-BF16");
            return;
        }
        let sizes =
            [(1, 1, 1), (12, 32, 256), (13, 33, 257), (120, 64, 512), (121, 31, 3), (250, 100, 700), (7, 5, 31)];
        for (rows, columns, depth) in sizes {
            for case in 0..16 {
                let flag = |bit: usize| case >> bit & 1 == 1;
                let (a, b) = (drawn(rows * (depth + 3), 1), drawn(depth * (columns + 2), 2));
                let a = match flag(0) {
                    false => Matrix::strided(&a, rows, depth, depth + 3),
                    true => Matrix::new(&a, depth, rows).transposed(),
                };
                let b = match flag(1) {
                    false => Matrix::strided(&b, depth, columns, columns + 2),
                    true => Matrix::new(&b, columns, depth).transposed(),
                };
                let threads = if flag(3) { Threads::All } else { Threads::One };
                let [mut c, mut expected] = [0, 1].map(|_| drawn(rows * (columns + 1), 3));
                let c_view = MatrixMut::strided(&mut c, rows, columns, columns + 1);
                product(c_view, flag(2), 0.5, a, b, threads);
                let expected_view = MatrixMut::strided(&mut expected, rows, columns, columns + 1);
                product_of_rounded(expected_view, flag(2), 0.5, a, b, threads);
                let worst = c.iter().zip(&expected).map(|(c, e)| (c - e).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-4, "{rows}×{depth}·{depth}×{columns}, case {case:04b}: {worst}");
            }
        }
    }
}
