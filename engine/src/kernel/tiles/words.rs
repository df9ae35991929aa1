//! What a lane of 32 bits holds, and who lays lanes out and multiplies them.

#![allow(unsafe_code)] // Declares functions that only some CPUs have the instructions of.

use super::narrow::Narrow;
use super::tile::{Rows, Target};
use super::wide::{Pair, Single};
use crate::kernel::matrix::Matrix;
use crate::precision::Precision;

/// A kind of lanes, with the instructions of some CPUs. What is behind the last value of a factor becomes zero.
///
/// # Safety
/// Of all unsafe functions: the instructions [are there](Self::are_there).
pub(super) trait Words {
    /// Values along k in a lane.
    const VALUES: usize;

    /// Columns of a tile, and of a panel of a right factor: two registers.
    const COLUMNS: usize;

    /// Whether left factors whose columns lie as tiles could read them are multiplied where they are.
    const READS_COLUMNS: bool;

    /// Whether this CPU has the instructions.
    fn are_there() -> bool;

    /// A row's values as lanes.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn lay_row(values: &[f32], out: &mut [f32]);

    /// Panels of [`TILE_ROWS`](super::tile::TILE_ROWS) neighbouring columns, in each all of a lane after all of the one before;
    /// columns that are missing in the last one are zero. Up to 16 lanes behind it may be written.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn lay_panels_of_left(transposed: Matrix<'_>, out: &mut [f32]);

    /// The same of [`COLUMNS`](Self::COLUMNS). Nothing behind the last panel is written.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn lay_panels_of_right(m: Matrix<'_>, out: &mut [f32]);

    /// Lanes of up to [`COLUMNS`](Self::COLUMNS) rows, lane after lane: rows become columns. Missing rows are zero.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn transpose(m: Matrix<'_>, out: &mut [f32]);

    /// Every tile of C. Lane w of row r of A lies `ROW_STEP`·r + `WORD_STEP`·w behind that of its tile's first row.
    ///
    /// # Safety
    /// As the trait; C's data reach its last row and column, A has the rows of C, filled up to whole smallest tiles, and B a
    /// panel of as many lanes as A's rows have for each [`COLUMNS`](Self::COLUMNS) of its columns.
    unsafe fn tiles<const ROW_STEP: usize, const WORD_STEP: usize>(c: &mut Target<'_>, a: Rows<'_>, b: &[f32]);
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Kind {
    /// [`Single`], a value a lane.
    Single,
    /// [`Pair`], two values in bf16.
    Pair,
    /// [`Narrow`], a value a lane.
    Narrow,
}

impl Kind {
    /// That with which this CPU multiplies in a precision, if there is one. A CPU with AVX-512 but not its bf16 has none: the
    /// `gemm` crate uses those registers, which are twice as wide as [`Narrow`]'s.
    pub(in crate::kernel) fn of(precision: Precision) -> Option<Self> {
        match precision {
            Precision::F32 if Single::are_there() => Some(Self::Single),
            Precision::F32 if Narrow::are_there() && !is_x86_feature_detected!("avx512f") => Some(Self::Narrow),
            Precision::Bf16 if Pair::are_there() => Some(Self::Pair),
            _ => None,
        }
    }
}
