//! Rows that nothing but products read, kept between one product and another as these want them.
//!
//! In bf16 two neighbouring values share a lane of 32 bits. A product would round them to the same bits: what it gives is the same,
//! from half the memory.

use super::factor::{Left, Right};
use super::matrix::Matrix;
#[cfg(target_arch = "x86_64")]
use super::scratch::Scratch;
#[cfg(target_arch = "x86_64")]
use super::tiles::{self, LaidLeft, LaidRight};
use crate::precision::Precision;
use std::ops::Range;

/// How rows of some width are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    dim: usize,
    precision: Precision,
    in_pairs: bool,
}

impl Packing {
    /// Rows of `dim` values, factors of products in this precision. On a CPU that does not multiply bf16, and where a product
    /// goes over their values block by block, they stay f32.
    pub(crate) fn new(dim: usize, precision: Precision) -> Self {
        Self { dim, precision, in_pairs: precision == Precision::Bf16 && packs_pairs(dim) }
    }

    /// Lanes of a row, each the size of an f32.
    pub(crate) fn lanes(self) -> usize {
        if self.in_pairs { self.dim / 2 } else { self.dim }
    }

    /// Appends rows of `dim` values, as `finish` leaves them.
    pub(crate) fn append<'r>(
        self,
        to: &mut Vec<f32>,
        rows: impl ExactSizeIterator<Item = &'r [f32]>,
        finish: impl FnOnce(&mut [f32]),
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.in_pairs {
            let mut wide = Scratch::of(rows.len() * self.dim);
            wide.chunks_exact_mut(self.dim).zip(rows).for_each(|(wide, row)| wide.copy_from_slice(row));
            finish(&mut wide);
            return tiles::pack(&wide, to);
        }
        let from = to.len();
        rows.for_each(|row| to.extend_from_slice(row));
        finish(&mut to[from..]);
    }
}

fn packs_pairs(dim: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        super::multiplies_bf16() && dim.is_multiple_of(2) && dim <= tiles::DEPTH
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = dim;
        false
    }
}

/// Rows that were packed: (n, dim).
#[derive(Clone, Copy)]
pub(crate) struct PackedRows<'a> {
    lanes: &'a [f32],
    packing: Packing,
}

impl<'a> PackedRows<'a> {
    pub(crate) fn new(lanes: &'a [f32], packing: Packing) -> Self {
        Self { lanes, packing }
    }

    /// How many.
    pub(crate) fn count(self) -> usize {
        self.lanes.len() / self.packing.lanes()
    }

    /// Values of each.
    pub(crate) fn dim(self) -> usize {
        self.packing.dim
    }

    /// Of the products.
    pub(crate) fn precision(self) -> Precision {
        self.packing.precision
    }

    /// Some of them.
    pub(crate) fn part(self, rows: Range<usize>) -> Self {
        let each = self.packing.lanes();
        Self { lanes: &self.lanes[rows.start * each..rows.end * each], ..self }
    }

    /// A (n, dim) of A·B.
    pub(crate) fn left(self) -> Left<'a> {
        #[cfg(target_arch = "x86_64")]
        if self.packing.in_pairs {
            return Left::Laid(LaidLeft::of_pairs(self.matrix()));
        }
        Left::of(self.matrix(), self.packing.precision)
    }

    /// B (n, dim) of A·B.
    pub(crate) fn right(self) -> Right<'a> {
        #[cfg(target_arch = "x86_64")]
        if self.packing.in_pairs {
            return Right::Laid(LaidRight::of_pairs(self.matrix()));
        }
        Right::of(self.matrix(), self.packing.precision)
    }

    /// B (dim, n) of A·B.
    pub(crate) fn right_transposed(self) -> Right<'a> {
        #[cfg(target_arch = "x86_64")]
        if self.packing.in_pairs {
            return Right::Laid(LaidRight::of_columns_of_pairs(self.matrix()));
        }
        Right::of(self.matrix().transposed(), self.packing.precision)
    }

    /// Its lanes.
    fn matrix(self) -> Matrix<'a> {
        Matrix::new(self.lanes, self.count(), self.packing.lanes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::matrix::MatrixMut;
    use crate::random::drawn;

    fn product([rows, columns]: [usize; 2], a: &Left<'_>, b: &Right<'_>) -> Vec<u32> {
        let mut c = vec![0.0; rows * columns];
        MatrixMut::new(&mut c, rows, columns).set_product_of(0.5, a, b);
        c.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn products_of_packed_rows_are_those_of_the_rows_to_the_bit() {
        for precision in Precision::ALL {
            for (n, dim) in [(1, 2), (2, 6), (13, 34), (37, 64), (128, 40), (256, 96), (5, 512), (3, 7)] {
                let (rows, weights) = (drawn(n * dim, 1), drawn(3 * n, 2));
                let packing = Packing::new(dim, precision);
                let mut lanes = Vec::new();
                let halves = rows.split_at(n / 2 * dim);
                packing.append(&mut lanes, halves.0.chunks(dim), |_| {});
                packing.append(&mut lanes, halves.1.chunks(dim), |_| {});
                assert_eq!(lanes.len(), n * packing.lanes());
                let (packed, plain) = (PackedRows::new(&lanes, packing), Matrix::new(&rows, n, dim));
                let [left, right] = [Left::of(plain, precision), Left::of(Matrix::new(&weights, 3, n), precision)];
                let scores = product([n, n], &packed.left(), &packed.right_transposed());
                assert_eq!(scores, product([n, n], &left, &Right::of(plain.transposed(), precision)), "{n}×{dim}");
                let sums = product([3, dim], &right, &packed.right());
                assert_eq!(sums, product([3, dim], &right, &Right::of(plain, precision)), "{n}×{dim}");
                let part = packed.part(n / 2..n).left();
                let expected = plain.part(n / 2..n, 0..dim);
                let part = product([n - n / 2, n], &part, &packed.right_transposed());
                let expected = Left::of(expected, precision);
                let expected = product([n - n / 2, n], &expected, &Right::of(plain.transposed(), precision));
                assert_eq!(part, expected, "{n}×{dim}");
            }
        }
        let in_pairs = Packing::new(64, Precision::Bf16).lanes() == 32;
        assert_eq!(in_pairs, crate::kernel::multiplies_bf16());
    }
}
