//! Lays factors out with the instructions of AVX-512.

#![allow(unsafe_code)] // Stores and instructions the compiler does not choose by itself.

use super::{COLUMNS, Pair, Wide, interleaved, lanes};
use crate::kernel::matrix::Matrix;
use crate::kernel::tiles::layout::words;
use std::arch::x86_64::*;

/// Lanes of up to [`COLUMNS`] columns, pairs along k, of rows of pairs along the columns; missing values are zero.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
pub(in crate::kernel::tiles) unsafe fn interleave(m: Matrix<'_>, out: &mut [f32]) {
    assert!(
        m.column_stride == 1 && out.len() == COLUMNS * words::<Pair>(m.rows),
        "rows are contiguous, with room for all"
    );
    for (word, out) in out.chunks_exact_mut(COLUMNS).enumerate() {
        for (half, out) in out.chunks_exact_mut(16).enumerate() {
            let mask = lanes(m.columns.saturating_sub(8 * half).min(8)) as __mmask8;
            let second = if 2 * word + 1 < m.rows { mask } else { 0 };
            let at = m.data.as_ptr().wrapping_add(2 * word * m.row_stride + 8 * half);
            // SAFETY: masked lanes are not read, the others lie in both rows; `out` has 16.
            unsafe {
                let low = _mm256_maskz_loadu_epi32(mask, at.cast());
                let high = _mm256_maskz_loadu_epi32(second, at.wrapping_add(m.row_stride).cast());
                let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
                _mm512_storeu_si512(out.as_mut_ptr().cast(), interleaved(both));
            }
        }
    }
}

/// A row's values as lanes.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn lay_row<W: Wide>(values: &[f32], out: &mut [f32]) {
    let out = &mut out[..words::<W>(values.len())];
    let (whole, rest) = values.split_at(values.len() / (16 * W::VALUES) * 16 * W::VALUES);
    let (out, last) = out.split_at_mut(whole.len() / W::VALUES);
    for (values, out) in whole.chunks_exact(16 * W::VALUES).zip(out.chunks_exact_mut(16)) {
        // SAFETY: as many values as `whole` reads; 16 lanes are inside `out`.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), W::whole(values.as_ptr())) };
    }
    if !rest.is_empty() {
        // SAFETY: `along` reads what the slice has; lanes behind the last are not written.
        unsafe { _mm512_mask_storeu_epi32(last.as_mut_ptr().cast(), lanes(last.len()), W::along(rest)) };
    }
}

/// Lanes along k between the one that is laid out and the one that is sent for.
const AHEAD: usize = 16;

/// Panels of `WIDTH` neighbouring columns, lane after lane; missing values are zero. Writes whole 16 lanes, the last of which may
/// lie up to 16 behind the last panel.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn lay_across<W: Wide, const WIDTH: usize>(m: Matrix<'_>, out: &mut [f32]) {
    for (panel, from) in (0..m.columns).step_by(WIDTH).enumerate() {
        let part = m.part(0..m.rows, from..m.columns.min(from + WIDTH));
        let out = &mut out[panel * WIDTH * words::<W>(m.rows)..];
        // SAFETY: as the caller says. What is written behind a panel is written again with the next one.
        unsafe { lay_panel::<W, WIDTH>(part, out) };
    }
}

/// # Safety
/// As [`lay_across`].
#[inline]
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn lay_panel<W: Wide, const WIDTH: usize>(m: Matrix<'_>, out: &mut [f32]) {
    let (words, steps) = (words::<W>(m.rows), WIDTH.div_ceil(16));
    assert!(m.column_stride == 1, "rows are contiguous");
    assert!(words == 0 || out.len() >= (words - 1) * WIDTH + steps * 16, "room for the last lanes");
    for word in 0..words {
        // Rows lie too far apart for the CPU to expect the next ones.
        for value in 0..W::VALUES {
            let ahead = m.data.as_ptr().wrapping_add(((word + AHEAD) * W::VALUES + value) * m.row_stride);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            if WIDTH > 16 {
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(16).cast());
            }
        }
        for step in 0..steps {
            // SAFETY: the rows of a lane are inside the matrix; `out` has room (asserted).
            unsafe {
                let lanes = W::across(m, word, 16 * step);
                _mm512_storeu_si512(out.as_mut_ptr().add(word * WIDTH + 16 * step).cast(), lanes);
            }
        }
    }
}

/// Lanes of up to [`COLUMNS`] rows, lane after lane: rows become columns. Missing rows and values are zero.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn transpose<W: Wide>(m: Matrix<'_>, out: &mut [f32]) {
    assert!(m.column_stride == 1, "rows are contiguous");
    let words = words::<W>(m.columns);
    for half in (0..COLUMNS).step_by(16) {
        for start in (0..words).step_by(16) {
            let mut block = [_mm512_setzero_si512(); 16];
            let rows = m.rows.saturating_sub(half).min(16);
            for (row, block) in block.iter_mut().enumerate().take(rows) {
                let values = &m.data[(half + row) * m.row_stride..][W::VALUES * start..m.columns];
                for line in 0..W::VALUES {
                    _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(32 * W::VALUES + 16 * line).cast());
                }
                // SAFETY: reads what the slice has.
                *block = unsafe { W::along(values) };
            }
            for (i, lanes) in transposed(block).into_iter().enumerate().take(words - start) {
                let out = &mut out[(start + i) * COLUMNS + half..][..16];
                // SAFETY: 16 lanes, as many as the slice has.
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
