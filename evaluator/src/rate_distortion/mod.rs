//! What quality a rate buys, and how far apart two such curves are.
//!
//! A single rate rarely shows which of two tokenizers is better: one spends less and looks worse. Curves of several
//! rates do, and Bjøntegaard's measures sum a pair of them up in one number ([`bd_rate`], [`bd_psnr`]).

mod bjontegaard;
mod curve;
mod error;
mod pchip;
#[cfg(test)]
mod tests;

pub use bjontegaard::{BdPsnr, BdRate, Overlap, bd_psnr, bd_rate};
pub use curve::{Point, RateQualityCurve};
pub use error::RateDistortionError;
pub use pchip::Pchip;
