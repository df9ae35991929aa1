//! With AVX2, in f32: registers of 8 lanes, 16 of them.

#![allow(unsafe_code)] // Loads, stores and instructions the compiler does not choose by itself.

use super::tile::{FEWEST_ROWS, Rows, TILE_ROWS, Target};
use super::words::Words;
use crate::kernel::matrix::Matrix;
use crate::kernel::simd::has_avx2;
use std::arch::x86_64::*;

/// A value a lane.
pub(super) struct Narrow;

/// Lanes of a register.
const LANES: usize = 8;

/// Columns of a tile: two registers.
const COLUMNS: usize = 2 * LANES;

/// Rows whose sums are in registers at once, 12 of them; two of B and one of A leave one of 16 to the compiler.
const ROWS: usize = TILE_ROWS / 2;

/// Lanes along k in one turn of the loop. A lane takes 20 instructions, and each turn three that only count. Where something else
/// of a machine takes turns with a core, tiles wait for instructions (a loop of bare multiply-adds keeps its rate), so there are no
/// others. Four lanes a turn with a hint for the next ones of B reached 77 to 81 GFLOP/s in a disturbed tenth of runs, in the
/// shapes of attention's products, and 96 to 100 in an undisturbed one; this reaches 79 to 87, and 95 to 99 (an AMD EPYC of family
/// 25, model 1).
const TOGETHER: usize = 8;

impl Words for Narrow {
    const VALUES: usize = 1;
    const COLUMNS: usize = COLUMNS;
    /// They come from a line of a cache each, twice: a product reaches 0.75 to 0.92 of what it does when they are laid out.
    const READS_COLUMNS: bool = false;

    fn are_there() -> bool {
        has_avx2()
    }

    unsafe fn lay_row(values: &[f32], out: &mut [f32]) {
        out[..values.len()].copy_from_slice(values);
    }

    unsafe fn lay_panels_of_left(transposed: Matrix<'_>, out: &mut [f32]) {
        // SAFETY: the CPU has the instructions, as the caller says.
        unsafe { lay_across::<TILE_ROWS, 5>(transposed, out) }
    }

    unsafe fn lay_panels_of_right(m: Matrix<'_>, out: &mut [f32]) {
        // SAFETY: as above.
        unsafe { lay_across::<COLUMNS, 4>(m, out) }
    }

    unsafe fn transpose(m: Matrix<'_>, out: &mut [f32]) {
        // SAFETY: the CPU has the instructions, as the caller says.
        unsafe { transpose(m, out) }
    }

    unsafe fn tiles<const ROW_STEP: usize, const WORD_STEP: usize>(c: &mut Target<'_>, a: Rows<'_>, b: &[f32]) {
        // SAFETY: as the caller says.
        unsafe { tiles::<ROW_STEP, WORD_STEP>(c, a, b) }
    }
}

/// Lanes along k between the one that is laid out and the one that is sent for.
const AHEAD: usize = 8;

/// Panels of `WIDTH` neighbouring columns, lane after lane; missing columns are zero. So many `PANELS` are laid out side by side as
/// span some lines of a cache: rows lie too far apart for the CPU to expect the next ones, and where they are 1024 values
/// apart all compete for the same lines.
#[target_feature(enable = "avx2")]
fn lay_across<const WIDTH: usize, const PANELS: usize>(m: Matrix<'_>, out: &mut [f32]) {
    let panel = m.rows * WIDTH;
    assert!(
        m.column_stride == 1 && out.len() >= m.columns.div_ceil(WIDTH) * panel,
        "rows are contiguous, with room for all"
    );
    let whole = m.columns / (PANELS * WIDTH) * PANELS * WIDTH;
    for from in (0..whole).step_by(PANELS * WIDTH) {
        let out = &mut out[from / WIDTH * panel..][..PANELS * panel];
        for row in 0..m.rows {
            send_for(m, row + AHEAD, from, PANELS * WIDTH);
            let (values, _) = m.data[row * m.row_stride + from..][..PANELS * WIDTH].as_chunks::<WIDTH>();
            for (at, values) in values.iter().enumerate() {
                out[at * panel + row * WIDTH..][..WIDTH].copy_from_slice(values);
            }
        }
    }
    for from in (whole..m.columns).step_by(WIDTH) {
        let columns = WIDTH.min(m.columns - from);
        let out = &mut out[from / WIDTH * panel..][..panel];
        for (row, out) in out.chunks_exact_mut(WIDTH).enumerate() {
            send_for(m, row + AHEAD, from, columns);
            let values = &m.data[row * m.row_stride + from..][..columns];
            match values.first_chunk::<WIDTH>() {
                Some(values) => out.copy_from_slice(values),
                None => {
                    let (there, missing) = out.split_at_mut(columns);
                    there.copy_from_slice(values);
                    missing.fill(0.0);
                }
            }
        }
    }
}

/// Sends for some columns of a row, if it is there.
#[inline(always)]
fn send_for(m: Matrix<'_>, row: usize, from: usize, columns: usize) {
    let values = m.data.as_ptr().wrapping_add(row * m.row_stride + from);
    for line in (0..columns).step_by(16) {
        // SAFETY: a hint, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.wrapping_add(line).cast()) };
    }
}

/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose(m: Matrix<'_>, out: &mut [f32]) {
    assert!(m.column_stride == 1 && out.len() >= m.columns * COLUMNS, "rows are contiguous, with room for all");
    for first in (0..COLUMNS).step_by(LANES) {
        for start in (0..m.columns).step_by(LANES) {
            let count = LANES.min(m.columns - start);
            let mut block = [_mm256_setzero_ps(); LANES];
            for (row, block) in block.iter_mut().enumerate().take(m.rows.saturating_sub(first)) {
                let values = &m.data[(first + row) * m.row_stride + start..][..count];
                // SAFETY: reads what the slice has; a hint may point anywhere.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(4 * LANES).cast());
                    *block = _mm256_maskload_ps(values.as_ptr(), mask(count));
                }
            }
            for (i, lanes) in transposed(block).into_iter().enumerate().take(count) {
                let out = &mut out[(start + i) * COLUMNS + first..][..LANES];
                // SAFETY: 8 lanes, as many as the slice has.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), lanes) };
            }
        }
    }
}

/// The transpose of 8 × 8 lanes.
#[target_feature(enable = "avx2")]
fn transposed(r: [__m256; LANES]) -> [__m256; LANES] {
    // Within 128 bits: lanes of two rows, then of four.
    let two: [__m256; LANES] = std::array::from_fn(|i| match i % 2 {
        0 => _mm256_unpacklo_ps(r[i], r[i + 1]),
        _ => _mm256_unpackhi_ps(r[i - 1], r[i]),
    });
    let four: [__m256; LANES] = std::array::from_fn(|i| {
        let first = i / 4 * 4 + i % 4 / 2;
        match i % 2 {
            0 => _mm256_shuffle_ps::<0b01_00_01_00>(two[first], two[first + 2]),
            _ => _mm256_shuffle_ps::<0b11_10_11_10>(two[first], two[first + 2]),
        }
    });
    // four[4g + j] has, in its q-th 128 bits, column 4q + j of rows 4g … 4g + 3.
    std::array::from_fn(|i| match i / 4 {
        0 => _mm256_permute2f128_ps::<0x20>(four[i], four[4 + i]),
        _ => _mm256_permute2f128_ps::<0x31>(four[i - 4], four[i]),
    })
}

/// # Safety
/// As [`Words::tiles`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tiles<const ROW_STEP: usize, const WORD_STEP: usize>(c: &mut Target<'_>, a: Rows<'_>, b: &[f32]) {
    let &mut Target { ref mut data, stride, rows, columns, scale, add } = c;
    let (words, step) = (a.words, a.step());
    let (a, b, c) = (a.lanes.as_ptr(), b.as_ptr(), data.as_mut_ptr());
    for column in (0..columns).step_by(COLUMNS) {
        for row in (0..rows).step_by(TILE_ROWS) {
            let rows = TILE_ROWS.min(rows - row);
            let shape = Shape { words, columns: COLUMNS.min(columns - column), stride, scale, add };
            // SAFETY: the tile lies in C, its rows in A and its panel in B, as the caller says.
            unsafe {
                let (a, b, c) = (a.wrapping_add(row * step), b.add(column * words), c.add(row * stride + column));
                let below = |rows: usize| (a.wrapping_add(rows * ROW_STEP), c.wrapping_add(rows * stride));
                if rows > 2 * FEWEST_ROWS {
                    sums::<ROW_STEP, WORD_STEP, ROWS>(a, b, c, ROWS, &shape);
                    let (a, c) = below(ROWS);
                    sums::<ROW_STEP, WORD_STEP, ROWS>(a, b, c, rows - ROWS, &shape);
                } else {
                    sums::<ROW_STEP, WORD_STEP, FEWEST_ROWS>(a, b, c, rows.min(FEWEST_ROWS), &shape);
                    if rows > FEWEST_ROWS {
                        let (a, c) = below(FEWEST_ROWS);
                        sums::<ROW_STEP, WORD_STEP, FEWEST_ROWS>(a, b, c, rows - FEWEST_ROWS, &shape);
                    }
                }
            }
        }
    }
}

struct Shape {
    words: usize,
    columns: usize,
    stride: usize,
    scale: f32,
    add: bool,
}

/// Sums over all lanes of `ROWS` rows, of which C has `rows`; lane w of row r of A lies at a + r · `ROW_STEP` + w · `WORD_STEP`.
///
/// # Safety
/// The CPU has the instructions; A has `ROWS` rows and B a panel of `words` lanes, C the rows and columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const ROW_STEP: usize, const WORD_STEP: usize, const ROWS: usize>(
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    rows: usize,
    shape: &Shape,
) {
    let Shape { words, columns, stride, scale, add } = *shape;
    // C arrives while the sums are made: its rows lie too far apart for the CPU to expect them.
    for row in 0..rows {
        _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(row * stride).cast());
    }
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let mut add_lane = |word: usize| {
        // SAFETY: inside the panel and the rows, as the caller says.
        unsafe {
            let b = b.add(word * COLUMNS);
            let b = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(LANES))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_ps(a.add(row * ROW_STEP + word * WORD_STEP).read());
                sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
            }
        }
    };
    let whole = words / TOGETHER * TOGETHER;
    for first in (0..whole).step_by(TOGETHER) {
        // Written out, since the compiler leaves a loop of so much a loop.
        add_lane(first);
        add_lane(first + 1);
        add_lane(first + 2);
        add_lane(first + 3);
        add_lane(first + 4);
        add_lane(first + 5);
        add_lane(first + 6);
        add_lane(first + 7);
    }
    (whole..words).for_each(add_lane);
    let scale = _mm256_set1_ps(scale);
    // Most tiles are whole; the constants make their loop straight.
    // SAFETY: as the caller says.
    unsafe {
        match (rows, columns) {
            (rows, COLUMNS) if rows == ROWS => store(sums, c, stride, ROWS, COLUMNS, scale, add),
            _ => store(sums, c, stride, rows, columns, scale, add),
        }
    }
}

/// C = scale·sums, or C += scale·sums.
///
/// # Safety
/// The CPU has the instructions; C has so many rows and columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store<const ROWS: usize>(
    sums: [[__m256; 2]; ROWS],
    c: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    scale: __m256,
    add: bool,
) {
    for (row, sums) in sums.into_iter().enumerate().take(rows) {
        for (register, sum) in sums.into_iter().enumerate() {
            let at = c.wrapping_add(row * stride + LANES * register);
            let columns = columns.saturating_sub(LANES * register);
            // SAFETY: masked lanes are neither read nor written, the others lie in C, as the caller says.
            unsafe {
                if columns >= LANES {
                    let sum = match add {
                        true => _mm256_fmadd_ps(sum, scale, _mm256_loadu_ps(at)),
                        false => _mm256_mul_ps(sum, scale),
                    };
                    _mm256_storeu_ps(at, sum);
                } else {
                    let mask = mask(columns);
                    let sum = match add {
                        true => _mm256_fmadd_ps(sum, scale, _mm256_maskload_ps(at, mask)),
                        false => _mm256_mul_ps(sum, scale),
                    };
                    _mm256_maskstore_ps(at, mask, sum);
                }
            }
        }
    }
}

/// The first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(count: usize) -> __m256i {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(LANES) as i32), lanes)
}
