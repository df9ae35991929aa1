//! Arithmetic on plain slices: what the fused operations are made of.
//!
//! Nothing here knows tensors or tapes. Work is split in chunks of fixed size, never by the number of threads, so that
//! sums are added in the same order on every machine.

mod bf16;
pub(crate) mod exp;
pub(crate) mod factor;
pub(crate) mod matrix;
pub(crate) mod packed;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod simd;
#[cfg(target_arch = "x86_64")]
mod tiles;

use crate::precision::Precision;
use matrix::{Matrix, MatrixMut};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Whether products of bfloat16 are faster than those of f32, on one thread, now. An AMD Zen 4 takes half the time for them;
/// an Intel Xeon of family 6, model 207, which has AVX512-BF16 too, 1.7 times as long.
pub(crate) fn multiplies_bf16_faster() -> bool {
    const SIDE: usize = 256;
    const ROUNDS: usize = 5;
    if !multiplies_bf16() {
        return false;
    }
    let [a, b] = [0.5; 2].map(|value| vec![value; SIDE * SIDE]);
    let [a, b] = [&a, &b].map(|values| Matrix::new(values, SIDE, SIDE));
    let mut c = vec![0.0; SIDE * SIDE];
    let mut seconds = |precision: Precision| {
        let began = Instant::now();
        MatrixMut::new(&mut c, SIDE, SIDE).set_product(1.0, a, b, precision.alone());
        black_box(&mut c);
        began.elapsed()
    };
    // The shortest of a few, in turn: what else the machine does only makes them longer.
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (shortest, precision) in shortest.iter_mut().zip(Precision::ALL) {
            *shortest = seconds(precision).min(*shortest);
        }
    }
    let [f32, bf16] = shortest;
    bf16 < f32
}

/// The most numbers that a thread keeps laid out of right factors with so many columns.
pub(crate) fn laid_out(columns: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if tiles::is_there() { tiles::DEPTH * columns } else { 0 }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = columns;
        0
    }
}

/// Whether this CPU multiplies bfloat16.
pub(crate) fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        tiles::is_there()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
