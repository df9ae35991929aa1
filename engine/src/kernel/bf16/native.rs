//! The product on a CPU with AVX512-BF16.
//!
//! An instruction multiplies 32 pairs and adds each two neighbours to one of 16 sums, at twice the rate of f32. It wants
//! neighbours along k in one lane, so factors are rounded and laid out first ([`layout`](super::layout)), block by block,
//! in the order in which [`tile`](super::tile) reads them.
//!
//! ```text
//! C (m, n) = A (m, k)·B (k, n)     k in blocks of DEPTH, one after the other
//!   B's block, in panels of COLUMNS columns      once for all rows
//!   A's block of STRIP rows                       once for all columns: one task
//!     TILE_ROWS × COLUMNS of C                    whose sums stay in registers for the whole block of k
//! ```

use super::layout::{self, Laid};
use super::tile::{COLUMNS, TILE_ROWS, Target};
use crate::kernel::matrix::{Matrix, MatrixMut, Threads};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements of k in one block: as many as let a panel of B, 64 KiB, stay in the second-level cache. Each block but the first
/// reads and writes all of C again: with 256 instead a product of 2048 × 2048 takes 1.5 times as long.
pub(super) const DEPTH: usize = 1024;

/// Rows of A that one task lays out: 120 KiB, which stay in the second-level cache, and few enough for tasks to be dealt
/// evenly.
pub(super) const STRIP: usize = 5 * TILE_ROWS;

/// Whether the CPU has the instructions.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// c = scale·a·b, or c += scale·a·b.
pub(super) fn product(c: MatrixMut<'_>, mut add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    assert!(is_there(), "asked for before");
    let MatrixMut { data, rows, columns, row_stride } = c;
    if rows == 0 || columns == 0 {
        return;
    }
    let data = &mut data[..(rows - 1) * row_stride + columns];
    let (depth, panels) = (a.columns, columns.div_ceil(COLUMNS));
    let mut laid_b = Vec::with_capacity(panels * COLUMNS * DEPTH.min(depth).div_ceil(2));
    for first in (0..depth.max(1)).step_by(DEPTH) {
        let deep = DEPTH.min(depth - first);
        let panel = COLUMNS * deep.div_ceil(2);
        let (a, b) = (a.part(0..rows, first..first + deep), b.part(first..first + deep, 0..columns));
        let laid_b = &mut laid_b.spare_capacity_mut()[..panels * panel];
        let lay_out = |(index, out): (usize, &mut [MaybeUninit<u32>])| {
            let from = index * COLUMNS;
            layout::columns(b.part(0..deep, from..columns.min(from + COLUMNS)), out);
        };
        match threads {
            Threads::One => laid_b.chunks_exact_mut(panel.max(1)).enumerate().for_each(lay_out),
            Threads::All => {
                laid_b.par_chunks_exact_mut(panel.max(1)).enumerate().with_min_len(4).for_each(lay_out);
            }
        }
        let laid_b = Laid::all(laid_b);
        let multiply = |(index, c): (usize, &mut [f32])| {
            let from = index * STRIP;
            let rows = STRIP.min(rows - from);
            let target = Target { data: c, stride: row_stride, rows, columns, scale, add };
            strip(target, a.part(from..from + rows, 0..deep), laid_b);
        };
        match threads {
            Threads::One => data.chunks_mut(STRIP * row_stride).enumerate().for_each(multiply),
            Threads::All => data.par_chunks_mut(STRIP * row_stride).enumerate().for_each(multiply),
        }
        add = true;
    }
}

/// Some rows of the product.
fn strip(mut c: Target<'_>, a: Matrix<'_>, laid_b: Laid<'_>) {
    let mut space = [const { MaybeUninit::uninit() }; layout::STRIP_PAIRS];
    let laid_a = layout::rows(a, &mut space);
    let panel = COLUMNS * a.columns.div_ceil(2);
    for column in (0..c.columns).step_by(COLUMNS) {
        let b = laid_b.from(column / COLUMNS * panel);
        for row in (0..c.rows).step_by(TILE_ROWS) {
            c.tile(row, column, &laid_a, b);
        }
    }
}
