//! A tile of the product in registers of AVX-512.

#![allow(unsafe_code)] // Loads, stores and instructions the compiler does not choose by itself.

use super::{COLUMNS, Wide, lanes};
use crate::kernel::tiles::tile::{FEWEST_ROWS, Rows, TILE_ROWS, Target};
use std::arch::x86_64::*;

/// Lanes along k between the one of B that is multiplied and the one that is sent for. A panel of B is larger than a
/// first-level cache, and not every CPU brings it by itself in time: on an Intel Xeon (family 6, model 207) a product of 2048
/// × 2048 in f32 takes 0.93 of the time that it takes without.
const AHEAD_OF_B: usize = 16;

/// Every tile.
///
/// # Safety
/// As [`sums`], for every tile.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn tiles<W: Wide, const ROW_STEP: usize, const WORD_STEP: usize>(
    c: &mut Target<'_>,
    a: Rows<'_>,
    b: &[f32],
) {
    let &mut Target { ref mut data, stride, rows, columns, scale, add } = c;
    let (words, step) = (a.words, a.step());
    let (a, b, c) = (a.lanes.as_ptr().cast::<i32>(), b.as_ptr().cast::<i32>(), data.as_mut_ptr());
    for column in (0..columns).step_by(COLUMNS) {
        for row in (0..rows).step_by(TILE_ROWS) {
            let (rows, columns) = (TILE_ROWS.min(rows - row), COLUMNS.min(columns - column));
            let shape = Shape { words, rows, columns, stride, scale, add };
            // SAFETY: the tile lies in C, its rows in A and its panel in B, as the caller says.
            unsafe {
                let (a, b, c) = (a.wrapping_add(row * step), b.add(column * words), c.add(row * stride + column));
                match rows.div_ceil(FEWEST_ROWS) {
                    1 => sums::<W, ROW_STEP, WORD_STEP, FEWEST_ROWS>(a, b, c, &shape),
                    2 => sums::<W, ROW_STEP, WORD_STEP, { 2 * FEWEST_ROWS }>(a, b, c, &shape),
                    _ => sums::<W, ROW_STEP, WORD_STEP, TILE_ROWS>(a, b, c, &shape),
                }
            };
        }
    }
}

struct Shape {
    words: usize,
    rows: usize,
    columns: usize,
    stride: usize,
    scale: f32,
    add: bool,
}

/// Sums over all lanes of `ROWS` rows; lane w of row r of A lies at a + r · `ROW_STEP` + w · `WORD_STEP`.
///
/// # Safety
/// The CPU has the instructions; A has `ROWS` rows and B a panel of `words` lanes, C the rows and columns of `shape`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn sums<W: Wide, const ROW_STEP: usize, const WORD_STEP: usize, const ROWS: usize>(
    a: *const i32,
    b: *const i32,
    c: *mut f32,
    shape: &Shape,
) {
    // C arrives while the sums are made: its rows lie too far apart for the CPU to expect them.
    for row in 0..shape.rows {
        let at = c.wrapping_add(row * shape.stride);
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(16).cast());
    }
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for word in 0..shape.words {
        // SAFETY: inside the panel and the rows, as the caller says.
        unsafe {
            let b = b.add(word * COLUMNS);
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD_OF_B * COLUMNS).cast());
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(AHEAD_OF_B * COLUMNS + 16).cast());
            let b = [_mm512_loadu_si512(b.cast()), _mm512_loadu_si512(b.add(16).cast())];
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(a.add(row * ROW_STEP + word * WORD_STEP).read());
                sums[0] = W::multiply_add(sums[0], a, b[0]);
                sums[1] = W::multiply_add(sums[1], a, b[1]);
            }
        }
    }
    let Shape { rows, columns, stride, scale, add, .. } = *shape;
    let scale = _mm512_set1_ps(scale);
    // Most tiles are whole; the constants make their loop straight.
    // SAFETY: as the caller says.
    unsafe {
        match (rows, columns) {
            (rows, COLUMNS) if rows == ROWS => store(sums, c, stride, ROWS, [!0; 2], scale, add),
            _ => {
                let masks = [lanes(columns), lanes(columns.saturating_sub(16))];
                store(sums, c, stride, rows, masks, scale, add);
            }
        }
    }
}

/// C = scale·sums, or C += scale·sums, in the lanes of both `masks`.
///
/// # Safety
/// The CPU has the instructions; C has so many rows, with all lanes of the masks.
#[inline(always)]
unsafe fn store<const ROWS: usize>(
    sums: [[__m512; 2]; ROWS],
    c: *mut f32,
    stride: usize,
    rows: usize,
    masks: [__mmask16; 2],
    scale: __m512,
    add: bool,
) {
    for (row, sums) in sums.into_iter().enumerate().take(rows) {
        for (half, sum) in sums.into_iter().enumerate() {
            let (at, mask) = (c.wrapping_add(row * stride + 16 * half), masks[half]);
            // SAFETY: masked lanes are neither read nor written, the others lie in C, as the caller says.
            unsafe {
                let sum = match add {
                    true => _mm512_fmadd_ps(sum, scale, _mm512_maskz_loadu_ps(mask, at)),
                    false => _mm512_mul_ps(sum, scale),
                };
                _mm512_mask_storeu_ps(at, mask, sum);
            }
        }
    }
}
