use super::words::Words as _;
use super::*;
use crate::kernel::bf16::with_rounded;
use crate::kernel::matrix::{Matrix, MatrixMut, Threads};
use crate::precision::Precision;
use crate::random::drawn;

/// Those that this CPU has the instructions of, whether it would choose them or not; says which it does not.
fn kinds() -> impl Iterator<Item = (Kind, Precision)> {
    let all = [
        (Kind::Single, Precision::F32, wide::Single::are_there()),
        (Kind::Pair, Precision::Bf16, wide::Pair::are_there()),
        (Kind::Narrow, Precision::F32, narrow::Narrow::are_there()),
    ];
    all.into_iter().filter_map(|(kind, precision, are_there)| {
        if !are_there {
            eprintln!("SKIPPED: this CPU does not have the instructions of {kind:?}");
        }
        are_there.then_some((kind, precision))
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

/// Small ones with every remainder of rows and columns, and some that are deep: up to more than one block.
fn sizes() -> impl Iterator<Item = [usize; 3]> {
    const DEEP: [[usize; 3]; 9] = [
        [12, 32, 256],
        [13, 33, 257],
        [120, 64, 512],
        [121, 31, 3],
        [250, 100, 700],
        [7, 5, 31],
        [13, 33, 100],
        [25, 40, 1100],
        [25, 7, 0],
    ];
    let small = (1..=13).flat_map(|rows| (1..=33).map(move |columns| [rows, columns, 5]));
    small.chain(DEEP)
}

#[test]
fn products_are_those_of_other_instructions() {
    for (kind, precision) in kinds() {
        for size in sizes() {
            for threads in [Threads::One, Threads::All] {
                compare(size, precision, |c, add, a, b| product(kind, c, add, 0.5, a, b, threads));
            }
        }
    }
}

#[test]
fn products_of_factors_that_were_laid_out_are_the_same() {
    for (kind, precision) in kinds() {
        for size in sizes().filter(|[.., depth]| *depth <= DEPTH) {
            compare(size, precision, |c, add, a, b| {
                LaidLeft::of(a, kind).multiply(c, add, 0.5, &LaidRight::of(b, kind));
            });
        }
    }
}

/// Gaps and what lies behind the last row are NaN: whoever reads them is found out.
#[test]
fn rows_that_lie_as_tiles_read_them_are_multiplied_as_if_they_were_laid_out() {
    for (kind, _) in kinds().filter(|(_, precision)| *precision == Precision::F32) {
        read_where_they_lie(kind);
    }
}

fn read_where_they_lie(kind: Kind) {
    // Up to one block along k, and more.
    const SHALLOW: [(usize, usize); 6] = [(80, 1), (80, 64), (80, 80), (144, 100), (272, 256), (528, 512)];
    const DEEP: [(usize, usize); 5] = [(528, 520), (784, 768), (1040, 1040), (1552, 1536), (2064, 2050)];
    for (stride, depth) in SHALLOW.into_iter().chain(DEEP) {
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
                    let (a, b) = (LaidLeft::of(a, kind), LaidRight::of(b, kind));
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
