use super::*;
use crate::kernel::bf16::with_rounded;
use crate::kernel::factor::{Left, Right};
use crate::kernel::matrix::{Matrix, MatrixMut, Threads};
use crate::precision::Precision;
use crate::random::drawn;

/// The precisions in which this CPU has tiles; says which it does not.
fn precisions() -> impl Iterator<Item = (Precision, Kind)> {
    Precision::ALL.into_iter().filter_map(|precision| {
        let kind = Kind::of(precision);
        if kind.is_none() {
            eprintln!("SKIPPED in {}: this CPU does not have the instructions", precision.name());
        }
        kind.map(|kind| (precision, kind))
    })
}

/// Fails unless a product is what the `gemm` crate makes of it, whichever way its factors are given: contiguous or not,
/// transposed or not, set or added to.
fn compare(
    [rows, columns, depth]: [usize; 3],
    precision: Precision,
    multiply: impl Fn(MatrixMut<'_>, bool, Matrix<'_>, Matrix<'_>),
) {
    for case in 0..8 {
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
        let [mut c, mut expected] = [0, 1].map(|_| drawn(rows * (columns + 1), 3));
        multiply(MatrixMut::strided(&mut c, rows, columns, columns + 1), flag(2), a, b);
        let expected_view = MatrixMut::strided(&mut expected, rows, columns, columns + 1);
        let plain = |a: Matrix<'_>, b: Matrix<'_>| expected_view.plain_product(flag(2), 0.5, a, b, Threads::One);
        match precision {
            Precision::F32 => plain(a, b),
            Precision::Bf16 => with_rounded(a, b, plain),
        }
        let worst = c.iter().zip(&expected).map(|(c, e)| (c - e).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{rows}×{depth}·{depth}×{columns} in {}, case {case:03b}: {worst}", precision.name());
    }
}

/// Every remainder of rows, columns and depth, which is more than one block in one.
const SIZES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [12, 32, 256],
    [13, 33, 257],
    [120, 64, 512],
    [121, 31, 3],
    [250, 100, 700],
    [7, 5, 31],
    [13, 33, 100],
    [25, 40, 1100],
    [5, 7, 0],
];

#[test]
fn products_are_those_of_other_instructions() {
    for (precision, kind) in precisions() {
        for size in SIZES {
            for threads in [Threads::One, Threads::All] {
                compare(size, precision, |c, add, a, b| product(kind, c, add, 0.5, a, b, threads));
            }
        }
    }
}

#[test]
fn products_of_factors_that_were_laid_out_are_the_same() {
    for (precision, _) in precisions() {
        for size in SIZES {
            compare(size, precision, |c, add, a, b| {
                Left::of(a, precision).multiply(c, add, 0.5, &Right::of(b, precision));
            });
        }
    }
}

/// Gaps and what lies behind the last row are NaN: whoever reads them is found out.
#[test]
fn rows_that_lie_as_tiles_read_them_are_multiplied_as_if_they_were_laid_out() {
    let Some(kind) = Kind::of(Precision::F32) else {
        return eprintln!("SKIPPED: this CPU does not have the instructions");
    };
    for (stride, depth) in [(80, 1), (80, 64), (80, 80), (144, 100), (272, 256), (528, 512), (528, 520)] {
        for (rows, behind) in [(1, 0), (3, 0), (4, 0), (61, 0), (61, 3), (3, 1)] {
            let (values, b) = (drawn(rows * depth, 1), drawn(depth.max(rows) * 40, 2));
            let mut a = vec![f32::NAN; (rows - 1 + behind) * stride + if behind > 0 { stride } else { depth }];
            for (row, values) in values.chunks(depth).enumerate() {
                a[row * stride..][..depth].copy_from_slice(values);
            }
            let product_of = |a: Matrix<'_>| {
                let [rows, depth] = [a.rows, a.columns];
                let (mut c, b) = (vec![0.0; rows * 40], Matrix::new(&b, depth, 40));
                product(kind, MatrixMut::new(&mut c, rows, 40), false, 1.0, a, b, Threads::All);
                if depth <= DEPTH {
                    let mut again = vec![0.0; rows * 40];
                    let (a, b) = (Left::of(a, Precision::F32), Right::of(b, Precision::F32));
                    a.multiply(MatrixMut::new(&mut again, rows, 40), false, 1.0, &b);
                    assert_eq!(again, c);
                }
                c
            };
            let both = [Matrix::strided(&a, rows, depth, stride), Matrix::new(&values, rows, depth)];
            let [apart, close] = both.map(product_of);
            assert_eq!(apart, close, "{rows} rows of {depth}, {stride} apart, {behind} behind them");
            let [apart, close] = both.map(|a| product_of(a.transposed()));
            assert_eq!(apart, close, "{rows} columns of {depth}, {stride} apart, {behind} behind them");
        }
    }
}
