//! A large product, block by block.
//!
//! ```text
//! C (m, n) = A (m, k)·B (k, n)     k in blocks of DEPTH lanes, one after the other
//!   B's block, in panels of COLUMNS columns      once for all rows
//!   A's block of STRIP rows                       once for all columns: one task
//!     TILE_ROWS × COLUMNS of C, or half of it     whose sums stay in registers for the whole block of k
//! ```

use super::laid;
use super::layout::{self, words};
use super::narrow::Narrow;
use super::tile::{Rows, TILE_ROWS, Target};
use super::wide::{Pair, Single};
use super::words::{Kind, Words};
use crate::kernel::matrix::{Matrix, MatrixMut, Threads};
use crate::kernel::scratch::Scratch;
use rayon::prelude::*;

/// Lanes of k in one block: as many as let a panel of B, up to 64 KiB, stay in the second-level cache. Each block but the first
/// reads and writes all of C again: with a quarter of it a product of 2048 × 2048 in bf16 takes 1.5 times as long.
pub(in crate::kernel) const DEPTH: usize = 512;

/// Rows of A that one task lays out, if it must: 120 KiB, which stay in the second-level cache, and few enough for tasks
/// to be dealt evenly.
const STRIP: usize = 5 * TILE_ROWS;

/// Columns of B that one task lays out: several whole panels.
const COLUMNS_OF_TASK: usize = 128;

/// c = scale·a·b, or c += scale·a·b, of matrices whose shapes fit.
pub(in crate::kernel) fn product(
    kind: Kind,
    c: MatrixMut<'_>,
    add: bool,
    scale: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    match kind {
        Kind::Single => product_of::<Single>(c, add, scale, a, b, threads),
        Kind::Pair => product_of::<Pair>(c, add, scale, a, b, threads),
        Kind::Narrow => product_of::<Narrow>(c, add, scale, a, b, threads),
    }
}

fn product_of<W: Words>(c: MatrixMut<'_>, mut add: bool, scale: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    const { assert!(COLUMNS_OF_TASK.is_multiple_of(W::COLUMNS)) };
    let MatrixMut { data, rows, columns, row_stride } = c;
    if rows == 0 || columns == 0 {
        return;
    }
    let data = &mut data[..(rows - 1) * row_stride + columns];
    let (depth, filled, block) = (a.columns, columns.next_multiple_of(W::COLUMNS), DEPTH * W::VALUES);
    let mut space = Scratch::of(filled * words::<W>(block.min(depth)));
    for first in (0..depth.max(1)).step_by(block) {
        let deep = block.min(depth - first);
        let words = words::<W>(deep);
        let (a, b) = (a.part(0..rows, first..first + deep), b.part(first..first + deep, 0..columns));
        let laid_b = &mut space[..filled * words];
        match threads {
            Threads::One => layout::columns::<W>(b, laid_b),
            Threads::All => {
                laid_b.par_chunks_mut((COLUMNS_OF_TASK * words).max(1)).enumerate().for_each(|(index, out)| {
                    let from = index * COLUMNS_OF_TASK;
                    layout::columns::<W>(b.part(0..deep, from..columns.min(from + COLUMNS_OF_TASK)), out);
                });
            }
        }
        let laid_b = &laid_b[..];
        let multiply = |(index, c): (usize, &mut [f32])| {
            let from = index * STRIP;
            let rows = STRIP.min(rows - from);
            let a = a.part(from..from + rows, 0..deep);
            let (lanes, order) = laid::left::<W>(a);
            let mut target = Target { data: c, stride: row_stride, rows, columns, scale, add };
            target.multiply::<W>(Rows { lanes: &lanes, words, order }, laid_b);
        };
        match threads {
            Threads::One => data.chunks_mut(STRIP * row_stride).enumerate().for_each(multiply),
            Threads::All => data.par_chunks_mut(STRIP * row_stride).enumerate().for_each(multiply),
        }
        add = true;
    }
}
