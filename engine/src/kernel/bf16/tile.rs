//! A tile of the product: sums that stay in registers.

#![allow(unsafe_code)] // Loads, stores and instructions the compiler does not choose by itself.

use super::layout::{Laid, LaidRows, ROW};
use super::native::is_there;
use std::arch::x86_64::*;

/// Rows of a tile. Its 24 registers of sums, two of B and one of A leave five of the 32 to the compiler.
pub(super) const TILE_ROWS: usize = 12;

/// Columns of a tile: two registers.
pub(super) const COLUMNS: usize = 32;

/// Some rows of C, and what is done to them.
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    /// Elements from one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) scale: f32,
    /// Whether what is there is added to.
    pub(super) add: bool,
}

impl Target<'_> {
    /// The tile whose first element is (row, column): rows of `a` from there on times the panel `b`.
    pub(super) fn tile(&mut self, row: usize, column: usize, a: &LaidRows<'_>, b: Laid<'_>) {
        let rows = TILE_ROWS.min(self.rows - row);
        let columns = COLUMNS.min(self.columns - column);
        let c = &mut self.data[row * self.stride + column..];
        assert!(is_there() && c.len() >= (rows - 1) * self.stride + columns, "the tile reaches past its matrix");
        let Place { a, pairs, is_rows } = Place::of(a, row);
        assert!(b.len() >= pairs * COLUMNS, "the panel is too short");
        let shape = Shape { rows, columns, stride: self.stride, scale: self.scale, add: self.add };
        let (c, b) = (c.as_mut_ptr(), b.as_ptr());
        // SAFETY: the CPU has the instructions, and c and b have what is read and written (asserted); `Place` checked A.
        unsafe {
            match is_rows {
                true => sums::<ROW, 1>(pairs, a, b, c, &shape),
                false => sums::<1, TILE_ROWS>(pairs, a, b, c, &shape),
            }
        }
    }
}

/// Where a tile's rows of A begin.
struct Place {
    a: *const u32,
    pairs: usize,
    is_rows: bool,
}

impl Place {
    fn of(a: &LaidRows<'_>, row: usize) -> Self {
        match *a {
            LaidRows::Rows(laid, pairs) => {
                let a = laid.from(row * ROW);
                assert!(a.len() >= TILE_ROWS * ROW && pairs <= ROW);
                Self { a: a.as_ptr(), pairs, is_rows: true }
            }
            LaidRows::Panels(laid, pairs) => {
                let a = laid.from(row * pairs);
                assert!(a.len() >= TILE_ROWS * pairs);
                Self { a: a.as_ptr(), pairs, is_rows: false }
            }
        }
    }
}

struct Shape {
    rows: usize,
    columns: usize,
    stride: usize,
    scale: f32,
    add: bool,
}

/// Sums over all pairs; pair p of row r of A lies at a + r · `ROW_STEP` + p · `PAIR_STEP`.
///
/// # Safety
/// The CPU has the instructions; A has [`TILE_ROWS`] rows and B a panel of `pairs` pairs, C the rows and columns of `shape`.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl,avx512dq")]
unsafe fn sums<const ROW_STEP: usize, const PAIR_STEP: usize>(
    pairs: usize,
    a: *const u32,
    b: *const u32,
    c: *mut f32,
    shape: &Shape,
) {
    // C arrives while the sums are made: its rows lie too far apart for the CPU to expect them.
    for row in 0..shape.rows {
        let at = c.wrapping_add(row * shape.stride);
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(16).cast());
    }
    let mut sums = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
    for pair in 0..pairs {
        // SAFETY: inside the panel and the rows, as the caller says.
        unsafe {
            let b = b.add(pair * COLUMNS);
            let b: [__m512bh; 2] = [0, 16].map(|at| std::mem::transmute(_mm512_loadu_si512(b.add(at).cast())));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(a.add(row * ROW_STEP + pair * PAIR_STEP).read() as i32);
                let a: __m512bh = std::mem::transmute(a);
                sums[0] = _mm512_dpbf16_ps(sums[0], a, b[0]);
                sums[1] = _mm512_dpbf16_ps(sums[1], a, b[1]);
            }
        }
    }
    let Shape { rows, columns, stride, scale, add } = *shape;
    let scale = _mm512_set1_ps(scale);
    let masks = [0, 16].map(|first| if columns >= first + 16 { !0 } else { (1 << columns.saturating_sub(first)) - 1 });
    for (row, sums) in sums.into_iter().enumerate().take(rows) {
        for (half, sum) in sums.into_iter().enumerate() {
            let (at, mask): (_, __mmask16) = (c.wrapping_add(row * stride + 16 * half), masks[half]);
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
