//! Rounds factors to bfloat16 and lays them out as pairs of neighbours along k, the earlier one in a lane's lower half.

#![allow(unsafe_code)] // Loads, stores and instructions the compiler does not choose by itself.

use super::native::{DEPTH, STRIP, is_there};
use super::tile::{COLUMNS, TILE_ROWS};
use crate::kernel::matrix::Matrix;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Pairs that were written.
#[derive(Clone, Copy)]
pub(super) struct Laid<'a> {
    pairs: &'a [MaybeUninit<u32>],
}

impl<'a> Laid<'a> {
    /// All of these, each of which was written by a function of this file.
    pub(super) fn all(pairs: &'a [MaybeUninit<u32>]) -> Self {
        Self { pairs }
    }

    /// Without the first ones.
    pub(super) fn from(self, first: usize) -> Self {
        Self { pairs: &self.pairs[first..] }
    }

    pub(super) fn len(self) -> usize {
        self.pairs.len()
    }

    pub(super) fn as_ptr(self) -> *const u32 {
        self.pairs.as_ptr().cast()
    }
}

/// Rows of A, as [`tile`](super::tile) reads them: the pair p of row r lies at r · row + p · pair.
pub(super) enum LaidRows<'a> {
    /// Row after row, [`ROW`] apart.
    Rows(Laid<'a>, usize),
    /// In panels of [`TILE_ROWS`] rows, pair after pair.
    Panels(Laid<'a>, usize),
}

/// Pairs from one row to the next: not a power of two, so that rows do not compete for the same lines of a cache.
pub(super) const ROW: usize = DEPTH / 2 + 16;

/// Room for the rows of a strip.
pub(super) const STRIP_PAIRS: usize = STRIP * ROW;

/// Lays out up to [`STRIP`] rows of A, of at most [`DEPTH`] elements; rows that fill up the last tile are zero.
pub(super) fn rows<'s>(a: Matrix<'_>, space: &'s mut [MaybeUninit<u32>; STRIP_PAIRS]) -> LaidRows<'s> {
    assert!(is_there() && a.rows <= STRIP && a.columns <= DEPTH);
    let (pairs, tiles) = (a.columns.div_ceil(2), a.rows.div_ceil(TILE_ROWS));
    if a.column_stride == 1 {
        for (row, out) in space.chunks_exact_mut(ROW).enumerate().take(tiles * TILE_ROWS) {
            if row < a.rows {
                let values = &a.data[row * a.row_stride..][..a.columns];
                // SAFETY: the CPU has the instructions; `out` has room for DEPTH values rounded up to 32.
                unsafe { round_row(values, out) };
            } else {
                out.fill(MaybeUninit::new(0));
            }
        }
        LaidRows::Rows(Laid::all(&space[..tiles * TILE_ROWS * ROW]), pairs)
    } else {
        let panel = TILE_ROWS * pairs;
        // The last row of a panel is written with four lanes too many: the next panel overwrites them, or nobody reads them.
        for tile in 0..tiles {
            let from = tile * TILE_ROWS;
            let part = a.part(from..a.rows.min(from + TILE_ROWS), 0..a.columns).transposed();
            let out = &mut space[tile * panel..];
            // SAFETY: the CPU has the instructions; the space has more than 16 pairs behind the last panel, since a row of
            // it is longer than its pairs by 16.
            unsafe { interleave::<TILE_ROWS>(part, out) };
        }
        LaidRows::Panels(Laid::all(&space[..tiles * panel]), pairs)
    }
}

/// Lays out a panel of up to [`COLUMNS`] columns of B, pair after pair; columns that are missing are zero.
pub(super) fn columns(b: Matrix<'_>, out: &mut [MaybeUninit<u32>]) {
    assert!(is_there() && b.columns <= COLUMNS && out.len() == COLUMNS * b.rows.div_ceil(2));
    if b.column_stride == 1 {
        // SAFETY: the CPU has the instructions; COLUMNS is a multiple of 16, so that nothing is written behind `out`.
        unsafe { interleave::<COLUMNS>(b, out) };
    } else {
        // SAFETY: the CPU has the instructions.
        unsafe { transpose(b.transposed(), out) };
    }
}

/// The first `count` of 16 lanes.
fn lanes(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}

/// Rounds neighbours in memory to pairs; what fills up the last 32 values is zero.
///
/// # Safety
/// The CPU has the instructions, and `out` has room for the values rounded up to 32.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn round_row(values: &[f32], out: &mut [MaybeUninit<u32>]) {
    debug_assert!(out.len() >= values.len().next_multiple_of(32) / 2);
    for start in (0..values.len()).step_by(32) {
        let rest = &values[start..];
        // SAFETY: masked lanes are not read; `out` has room for 16 pairs (above).
        unsafe {
            let low = _mm512_maskz_loadu_ps(lanes(rest.len()), rest.as_ptr());
            let high = _mm512_maskz_loadu_ps(lanes(rest.len().saturating_sub(16)), rest.as_ptr().wrapping_add(16));
            let both: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.as_mut_ptr().add(start / 2).cast(), both);
        }
    }
}

/// Pairs of two rows that follow each other, `WIDTH` to each two rows; missing values are zero. Writes whole 16 lanes, the
/// last of which may lie up to 16 behind the `WIDTH`-th.
///
/// # Safety
/// The CPU has the instructions; `m`'s rows are contiguous, at most `WIDTH` wide, and `out` has room for what is written.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn interleave<const WIDTH: usize>(m: Matrix<'_>, out: &mut [MaybeUninit<u32>]) {
    let (pairs, steps) = (m.rows.div_ceil(2), WIDTH.div_ceil(16));
    assert!(pairs == 0 || out.len() >= (pairs - 1) * WIDTH + steps * 16, "room for the last lanes");
    // Lane 2i of the result is value i of the first row, lane 2i + 1 value i of the second.
    let order: [u16; 32] = std::array::from_fn(|lane| (lane / 2 + lane % 2 * 16) as u16);
    // SAFETY: the array has 64 bytes.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for pair in 0..pairs {
        let first = &m.data[2 * pair * m.row_stride..];
        let second = if 2 * pair + 1 < m.rows { &first[m.row_stride..] } else { &[] };
        for step in 0..steps {
            let (at, count) = (16 * step, m.columns.saturating_sub(16 * step));
            let second_count = if second.is_empty() { 0 } else { count };
            // SAFETY: masked lanes are not read, the others lie in the matrix; `out` has room (asserted).
            unsafe {
                let low = _mm512_maskz_loadu_ps(lanes(count), first.as_ptr().wrapping_add(at));
                let high = _mm512_maskz_loadu_ps(lanes(second_count), second.as_ptr().wrapping_add(at));
                let both: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
                let both = _mm512_permutexvar_epi16(order, both);
                _mm512_storeu_si512(out.as_mut_ptr().add(pair * WIDTH + at).cast(), both);
            }
        }
    }
}

/// Pairs of neighbours in each of up to [`COLUMNS`] rows, pair after pair: rows become columns. Missing rows and values are
/// zero.
///
/// # Safety
/// The CPU has the instructions; `m`'s rows are contiguous.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn transpose(m: Matrix<'_>, out: &mut [MaybeUninit<u32>]) {
    let pairs = m.columns.div_ceil(2);
    for (half, column) in (0..COLUMNS).step_by(16).enumerate() {
        for start in (0..m.columns).step_by(32) {
            let rest = m.columns - start;
            let mut block = [_mm512_setzero_si512(); 16];
            let rows = m.rows.saturating_sub(column).min(16);
            for (row, block) in block.iter_mut().enumerate().take(rows) {
                let values = &m.data[(column + row) * m.row_stride + start..];
                // SAFETY: masked lanes are not read, the others lie in the matrix.
                unsafe {
                    let low = _mm512_maskz_loadu_ps(lanes(rest), values.as_ptr());
                    let high = _mm512_maskz_loadu_ps(lanes(rest.saturating_sub(16)), values.as_ptr().wrapping_add(16));
                    *block = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                }
            }
            let block = transposed(block);
            for (i, lanes) in block.into_iter().enumerate().take(pairs - start / 2) {
                let at = (start / 2 + i) * COLUMNS + 16 * half;
                let out = &mut out[at..at + 16];
                // SAFETY: 16 pairs, as many as the slice has.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), lanes) };
            }
        }
    }
}

/// The transpose of 16 × 16 lanes.
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512i; 16]) -> [__m512i; 16] {
    // Within 128 bits: first lanes of two rows, then of four.
    let two: [__m512i; 16] = std::array::from_fn(|i| match i % 2 {
        0 => _mm512_unpacklo_epi32(r[i], r[i + 1]),
        _ => _mm512_unpackhi_epi32(r[i - 1], r[i]),
    });
    let four: [__m512i; 16] = std::array::from_fn(|i| {
        let first = i / 4 * 4;
        match i % 4 {
            0 => _mm512_unpacklo_epi64(two[first], two[first + 2]),
            1 => _mm512_unpackhi_epi64(two[first], two[first + 2]),
            2 => _mm512_unpacklo_epi64(two[first + 1], two[first + 3]),
            _ => _mm512_unpackhi_epi64(two[first + 1], two[first + 3]),
        }
    });
    // four[4g + j] has, in its q-th 128 bits, column 4q + j of rows 4g … 4g + 3.
    let mut columns = [_mm512_setzero_si512(); 16];
    for j in 0..4 {
        let [a, b, c, d] = [four[j], four[4 + j], four[8 + j], four[12 + j]];
        let even = [_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d)];
        let odd = [_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d)];
        columns[j] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
    }
    columns
}
