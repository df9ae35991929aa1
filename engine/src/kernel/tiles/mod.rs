//! Matrix products by our own tiles: in f32 and of factors that are rounded to bfloat16 on a CPU with AVX512-BF16 ([`wide`]), in
//! f32 on one with AVX2 and no AVX-512 ([`narrow`]).
//!
//! Factors are laid out first ([`layout`]), in lanes of 32 bits ([`words`]) and in the order in which a tile of the product
//! reads them ([`tile`]), but for left ones of f32 that lie so already: rows, or (wide tiles) columns, with a stride that
//! tiles know. A product lays out its own, block by block ([`product`]); a factor of several small products is laid out once
//! for all of them ([`LaidLeft`], [`LaidRight`]).

mod laid;
mod layout;
mod narrow;
mod product;
mod tile;
mod wide;
mod words;

pub(super) use laid::{LaidLeft, LaidRight};
pub(super) use layout::{pack, stride};
pub(super) use product::{DEPTH, product};
pub(super) use words::Kind;

#[cfg(test)]
mod tests;
