//! Matrix products on a CPU with AVX512-BF16, in f32 and of factors that are rounded to bfloat16.
//!
//! Factors are laid out first ([`layout`]), in lanes of 32 bits ([`words`]) and in the order in which a tile of the product
//! reads them ([`tile`]), but for left ones of f32 that lie so already: rows, or columns, with a stride that tiles know. A
//! product lays out its own, block by block ([`product`]); a factor of several small products is laid out once for all of
//! them ([`LaidLeft`], [`LaidRight`]).

mod laid;
mod layout;
mod product;
mod tile;
mod words;

pub(super) use laid::{LaidLeft, LaidRight};
pub(super) use layout::{pack, stride};
pub(super) use product::{DEPTH, product};

/// Whether the CPU has the instructions: those of bfloat16 too, so that one set serves both precisions. Other CPUs, with AVX-512
/// or without, have the `gemm` crate.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(test)]
mod tests;
