//! With AVX512-BF16: registers of 16 lanes, 32 of them.

#![allow(unsafe_code)] // Loads and instructions the compiler does not choose by itself.

mod layout;
mod tile;

pub(super) use layout::interleave;

use super::tile::{Rows, TILE_ROWS, Target};
use super::words::Words;
use crate::kernel::matrix::Matrix;
use std::arch::x86_64::*;

/// Columns of a tile: two registers.
const COLUMNS: usize = 32;

/// Whether the CPU has the instructions: those of bfloat16 too, so that one set serves both precisions.
fn is_there() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// How a factor's values become lanes of such a register, and what two lanes add to a sum.
///
/// # Safety
/// Of all functions: the CPU [has the instructions](is_there).
pub(super) trait Wide {
    /// Values along k in a lane.
    const VALUES: usize;

    /// 16 lanes of values that follow each other in memory; what is behind the last is zero.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn along(values: &[f32]) -> __m512i;

    /// [`along`](Self::along) where no value is missing.
    ///
    /// # Safety
    /// As the trait; there are as many values as 16 lanes have.
    unsafe fn whole(values: *const f32) -> __m512i;

    /// Lane `word` of 16 columns, of which the first is `column`; columns that are missing are zero.
    ///
    /// # Safety
    /// As the trait, and the rows of `m` are contiguous and reach as far as the lane.
    unsafe fn across(m: Matrix<'_>, word: usize, column: usize) -> __m512i;

    /// sum + a·b, lane by lane.
    ///
    /// # Safety
    /// As the trait.
    unsafe fn multiply_add(sum: __m512, a: __m512i, b: __m512i) -> __m512;
}

/// A value a lane.
pub(super) struct Single;

/// Two values a lane, the earlier one in its lower half: an instruction multiplies 32 and adds each two neighbours to one
/// of 16 sums, at twice the rate of f32.
pub(super) struct Pair;

#[allow(unsafe_op_in_unsafe_fn)] // Each function is a few instructions.
impl Wide for Single {
    const VALUES: usize = 1;

    #[inline(always)]
    unsafe fn along(values: &[f32]) -> __m512i {
        _mm512_castps_si512(_mm512_maskz_loadu_ps(lanes(values.len()), values.as_ptr()))
    }

    #[inline(always)]
    unsafe fn whole(values: *const f32) -> __m512i {
        _mm512_loadu_si512(values.cast())
    }

    #[inline(always)]
    unsafe fn across(m: Matrix<'_>, word: usize, column: usize) -> __m512i {
        let row = m.data.as_ptr().wrapping_add(word * m.row_stride + column);
        _mm512_castps_si512(_mm512_maskz_loadu_ps(lanes(m.columns.saturating_sub(column)), row))
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum)
    }
}

#[allow(unsafe_op_in_unsafe_fn)] // Each function is a few instructions.
impl Wide for Pair {
    const VALUES: usize = 2;

    #[inline(always)]
    unsafe fn along(values: &[f32]) -> __m512i {
        let low = _mm512_maskz_loadu_ps(lanes(values.len()), values.as_ptr());
        let high = values.as_ptr().wrapping_add(16);
        let high = _mm512_maskz_loadu_ps(lanes(values.len().saturating_sub(16)), high);
        std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
    }

    #[inline(always)]
    unsafe fn whole(values: *const f32) -> __m512i {
        std::mem::transmute(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(values.add(16)), _mm512_loadu_ps(values)))
    }

    #[inline(always)]
    unsafe fn across(m: Matrix<'_>, word: usize, column: usize) -> __m512i {
        let count = m.columns.saturating_sub(column);
        let first = m.data.as_ptr().wrapping_add(2 * word * m.row_stride + column);
        let second_count = if 2 * word + 1 < m.rows { count } else { 0 };
        let low = _mm512_maskz_loadu_ps(lanes(count), first);
        let high = _mm512_maskz_loadu_ps(lanes(second_count), first.wrapping_add(m.row_stride));
        interleaved(std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)))
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        let [a, b] = [a, b].map(|lanes| std::mem::transmute::<__m512i, __m512bh>(lanes));
        _mm512_dpbf16_ps(sum, a, b)
    }
}

#[allow(unsafe_op_in_unsafe_fn)] // Each function is a few instructions.
impl<W: Wide> Words for W {
    const VALUES: usize = <W as Wide>::VALUES;
    const COLUMNS: usize = COLUMNS;
    const READS_COLUMNS: bool = true;

    fn are_there() -> bool {
        is_there()
    }

    unsafe fn lay_row(values: &[f32], out: &mut [f32]) {
        layout::lay_row::<W>(values, out);
    }

    unsafe fn lay_panels_of_left(transposed: Matrix<'_>, out: &mut [f32]) {
        layout::lay_across::<W, TILE_ROWS>(transposed, out);
    }

    unsafe fn lay_panels_of_right(m: Matrix<'_>, out: &mut [f32]) {
        // Whole registers: nothing is written behind the last.
        layout::lay_across::<W, COLUMNS>(m, out);
    }

    unsafe fn transpose(m: Matrix<'_>, out: &mut [f32]) {
        layout::transpose::<W>(m, out);
    }

    unsafe fn tiles<const ROW_STEP: usize, const WORD_STEP: usize>(c: &mut Target<'_>, a: Rows<'_>, b: &[f32]) {
        tile::tiles::<W, ROW_STEP, WORD_STEP>(c, a, b);
    }
}

/// 16 values of one row and then 16 of the next one, as pairs: value i of the first is 2i of the result, of the second 2i + 1.
///
/// # Safety
/// The CPU has the instructions.
#[inline(always)]
#[allow(unsafe_op_in_unsafe_fn)] // As those.
unsafe fn interleaved(both: __m512i) -> __m512i {
    _mm512_permutexvar_epi16(_mm512_loadu_si512(INTERLEAVED.as_ptr().cast()), both)
}

static INTERLEAVED: [u16; 32] = {
    let mut order = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        order[lane] = (lane / 2 + lane % 2 * 16) as u16;
        lane += 1;
    }
    order
};

/// The first `count` of 16 lanes.
#[inline(always)]
fn lanes(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}
