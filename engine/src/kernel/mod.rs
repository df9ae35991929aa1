//! Arithmetic on plain slices: what the fused operations are made of.
//!
//! Nothing here knows tensors or tapes. Work is split in chunks of fixed size, never by the number of threads, so that
//! sums are added in the same order on every machine.

pub(crate) mod bf16;
pub(crate) mod exp;
pub(crate) mod matrix;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod simd;
