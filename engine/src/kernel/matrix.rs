//! Strided views of matrices and their product: our own [tiles](super::tiles) where the CPU has the instructions, the `gemm`
//! crate elsewhere.
//!
//! The views check their bounds once, when they are made; the product can then hand raw pointers to `gemm` safely.

use super::bf16::with_rounded;
use super::factor::{Left, Right};
#[cfg(target_arch = "x86_64")]
use super::tiles;
use crate::precision::Precision;
use std::ops::Range;

/// A matrix that somebody else owns: element (i, j) is `data[i · row_stride + j · column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major `rows` × `columns` from the start of `data`.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows of `columns` elements, `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(reach(rows, columns, row_stride) <= data.len(), "the matrix reaches past its data");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose: the same data, read the other way.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of its rows and columns.
    pub(super) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns, "a part lies inside its matrix");
        let first = rows.start * self.row_stride + columns.start * self.column_stride;
        let data = if rows.is_empty() || columns.is_empty() { &[] } else { &self.data[first..] };
        Self { data, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Its elements, row by row.
    pub(super) fn iter(self) -> impl Iterator<Item = f32> + 'a {
        let row = move |i| (0..self.columns).map(move |j| self.data[i * self.row_stride + j * self.column_stride]);
        (0..self.rows).flat_map(row)
    }
}

/// A row-major matrix to write to.
pub(crate) struct MatrixMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Row-major `rows` × `columns` from the start of `data`.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows of `columns` elements, `row_stride` elements apart.
    pub(crate) fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(reach(rows, columns, row_stride) <= data.len(), "the matrix reaches past its data");
        Self { data, rows, columns, row_stride }
    }

    /// self = scale · a·b.
    pub(crate) fn set_product(self, scale: f32, a: Matrix<'_>, b: Matrix<'_>, how: How) {
        self.multiply(false, scale, a, b, how);
    }

    /// self += a·b.
    pub(crate) fn add_product(self, a: Matrix<'_>, b: Matrix<'_>, how: How) {
        self.multiply(true, 1.0, a, b, how);
    }

    /// self = scale · a·b, of factors that were made ready for several products.
    pub(crate) fn set_product_of(self, scale: f32, a: &Left<'_>, b: &Right<'_>) {
        a.multiply(self, false, scale, b);
    }

    /// self += a·b, as [`set_product_of`](Self::set_product_of).
    pub(crate) fn add_product_of(self, a: &Left<'_>, b: &Right<'_>) {
        a.multiply(self, true, 1.0, b);
    }

    pub(super) fn multiply(self, add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, how: How) {
        self.assert_fits(a, b);
        let is_large = self.rows * self.columns * a.columns >= WORTH_SHARING;
        let how = if is_large { how } else { how.precision.alone() };
        #[cfg(target_arch = "x86_64")]
        if let Some(kind) = tiles::Kind::of(how.precision) {
            return tiles::product(kind, self, add, scale, a, b, how.threads);
        }
        match how.precision {
            Precision::F32 => self.plain_product(add, scale, a, b, how.threads),
            Precision::Bf16 => {
                let how = How { precision: Precision::F32, ..how };
                with_rounded(a, b, |a, b| self.multiply(add, scale, a, b, how));
            }
        }
    }

    /// Fails unless it has the shape of a·b.
    fn assert_fits(&self, a: Matrix<'_>, b: Matrix<'_>) {
        assert!(
            a.rows == self.rows && a.columns == b.rows && b.columns == self.columns,
            "shapes do not fit: {}×{} = {}×{} · {}×{}",
            self.rows,
            self.columns,
            a.rows,
            a.columns,
            b.rows,
            b.columns
        );
    }

    /// The product in f32, by `gemm`.
    #[allow(unsafe_code)]
    pub(super) fn plain_product(self, add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
        let parallelism = match threads {
            Threads::All => gemm::Parallelism::Rayon(rayon::current_num_threads()),
            Threads::One => gemm::Parallelism::None,
        };
        self.assert_fits(a, b);
        // SAFETY: each view was checked to lie inside its slice when it was made (`reach`), the shapes agree (above),
        // and `self` is borrowed mutably, so that it overlaps neither input.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                a.columns,
                self.data.as_mut_ptr(),
                1,
                self.row_stride as isize,
                add,
                a.data.as_ptr(),
                a.column_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr(),
                b.column_stride as isize,
                b.row_stride as isize,
                if add { 1.0 } else { 0.0 },
                scale,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// Multiply-adds from which on a product is worth the coordination of several threads: 20 to 40 µs of one.
const WORTH_SHARING: usize = 1 << 21;

/// Who works on one product: the caller alone (inside a parallel loop) or the whole pool, if it is large.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    One,
    All,
}

/// How a product is computed.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub(crate) threads: Threads,
    pub(crate) precision: Precision,
}

impl Precision {
    /// In this precision, by the caller alone.
    pub(crate) fn alone(self) -> How {
        How { threads: Threads::One, precision: self }
    }

    /// In this precision, by the whole pool.
    pub(crate) fn together(self) -> How {
        How { threads: Threads::All, precision: self }
    }
}

/// The stride at which rows of so many values are fastest as a left factor: up to about twice as many, the next that
/// [tiles](super::tiles) read as they lie. In bf16 they are laid out or rounded all the same, but gaps keep rows from competing
/// for the same lines of a cache.
pub(crate) fn stride_of_left(columns: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if tiles::Kind::of(Precision::F32).is_some() {
        return tiles::stride(columns).unwrap_or(columns);
    }
    columns
}

/// How many elements a row-major matrix spans from its first to its last.
fn reach(rows: usize, columns: usize, row_stride: usize) -> usize {
    assert!(rows <= 1 || columns <= row_stride, "rows overlap");
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_of_strided_and_transposed_views() {
        // a = [[1, 2], [3, 4]] inside rows of 3; b = [[5, 6], [7, 8]] given transposed.
        let a = [1.0, 2.0, 0.0, 3.0, 4.0];
        let b = [5.0, 7.0, 6.0, 8.0];
        let mut c = [1.0; 4];
        let (a, b) = (Matrix::strided(&a, 2, 2, 3), Matrix::new(&b, 2, 2).transposed());
        MatrixMut::new(&mut c, 2, 2).add_product(a, b, Precision::F32.alone());
        assert_eq!(c, [20.0, 23.0, 44.0, 51.0]);
        MatrixMut::new(&mut c, 2, 2).set_product(0.5, a, b, Precision::F32.together());
        assert_eq!(c, [9.5, 11.0, 21.5, 25.0]);
    }

    #[test]
    #[should_panic(expected = "reaches past its data")]
    fn a_view_past_its_data_is_refused() {
        Matrix::new(&[0.0; 5], 2, 3);
    }
}
