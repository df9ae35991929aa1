//! Matrix products of factors that are rounded to bfloat16, summed in f32, for CPUs without instructions for it.

use super::matrix::Matrix;

/// Multiplies rounded copies of the factors.
pub(super) fn with_rounded(a: Matrix<'_>, b: Matrix<'_>, multiply: impl FnOnce(Matrix<'_>, Matrix<'_>)) {
    let [rounded_a, rounded_b] = [a, b].map(|m| m.iter().map(round).collect::<Vec<_>>());
    multiply(Matrix::new(&rounded_a, a.rows, a.columns), Matrix::new(&rounded_b, b.rows, b.columns));
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
    use crate::kernel::matrix::MatrixMut;
    use crate::precision::Precision;
    use crate::random::drawn;

    #[test]
    fn products_in_bf16_are_sums_of_products_of_rounded_values_on_every_cpu() {
        for [rows, columns, depth] in [[1, 1, 1], [13, 33, 7], [8, 20, 600], [70, 40, 64]] {
            let (a, b) = (drawn(rows * depth, 1), drawn(depth * columns, 2));
            let (left, right) = (Matrix::new(&a, rows, depth), Matrix::new(&b, columns, depth).transposed());
            for how in [Precision::Bf16.alone(), Precision::Bf16.together()] {
                let mut c = vec![f32::NAN; rows * columns];
                MatrixMut::new(&mut c, rows, columns).set_product(0.5, left, right, how);
                for (index, c) in c.into_iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let pairs = a[row * depth..][..depth].iter().zip(&b[column * depth..][..depth]);
                    let sum: f64 = pairs.map(|(a, b)| f64::from(round(*a)) * f64::from(round(*b))).sum();
                    assert!((f64::from(c) - 0.5 * sum).abs() < 1e-5 * depth as f64, "{rows}×{depth}×{columns}: {c}");
                }
            }
        }
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
}
