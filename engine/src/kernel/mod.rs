//! Arithmetic on plain slices: what the fused operations are made of.
//!
//! Nothing here knows tensors or tapes. Work is split in chunks of fixed size, never by the number of threads, so that
//! sums are added in the same order on every machine.

mod bf16;
pub(crate) mod exp;
pub(crate) mod exponentials;
pub(crate) mod factor;
pub(crate) mod matrix;
pub(crate) mod packed;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod simd;
#[cfg(target_arch = "x86_64")]
mod tiles;

use crate::precision::Precision;

/// The most lanes that a thread keeps laid out of right factors with so many columns, where products lay out theirs.
pub(crate) fn most_laid_out(columns: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        tiles::DEPTH * columns
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = columns;
        0
    }
}

/// Whether this CPU multiplies bfloat16.
pub(crate) fn multiplies_bf16() -> bool {
    has_tiles(Precision::Bf16)
}

/// Whether products in a precision are made by our own tiles on this CPU, which lay factors out.
pub(crate) fn has_tiles(precision: Precision) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        tiles::Kind::of(precision).is_some()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = precision;
        false
    }
}
