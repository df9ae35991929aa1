//! What is measured: one definition of every number this project reports.
//!
//! «PSNR» and «SSIM» name families of numbers: rounding, window, averaging over frames and the crop all move them by
//! more than the differences people publish. So each metric's arithmetic stands beside its [`MetricDef`], whose
//! version is raised when the arithmetic changes, and what was done before it is the [`Protocol`]; two numbers share a
//! table only if both are equal.
//!
//! Of a sample with several blocks, every metric of tokens or cost is the mean over its blocks, so that clips of
//! different length can be compared.
use crate::content::{HIGH_FREQUENCY_ENERGY, JPEG_BYTES};
use crate::statistics::mean;
use serde::{Deserialize, Serialize};

mod adaptive_bits;
mod codebook;
mod cost;
mod ms_ssim;
mod mse;
mod perceptual;
mod pictures;
mod protocol;
mod psnr;
mod rate;
mod ssim;

pub use adaptive_bits::{ADAPTIVE_BITS, adaptive_bits};
pub use codebook::{CODEBOOK_PERPLEXITY, CODEBOOK_USAGE, CodebookUse, codebook_use};
pub use cost::{
    EVALUATIONS, FLOPS, PREDICTION_FLOPS, PREDICTION_SECONDS, SEARCH_SECONDS, SEQUENTIAL_DEPTH, evaluations, flops,
    search_seconds, sequential_depth,
};
pub use ms_ssim::{MS_SSIM, MS_SSIM_SMALLEST_SIDE, ms_ssim};
pub use mse::{MSE, mse};
pub use perceptual::{LPIPS, PerceptualJudge, ST_LPIPS, perceptual, perceptual_metric};
pub use pictures::{MetricError, Pictures};
pub use protocol::{Averaging, Crop, Protocol, Resize, Rounding, SsimWindow, ValueRange};
pub use psnr::{MEAN_COLOUR_PSNR, PSNR, PSNR_CAP, psnr, psnr_of};
pub use rate::{
    BITS, BITS_PER_PIXEL, KEPT_TOKENS, THRESHOLD_MET, TOKEN_SHARE, bits, bits_per_pixel, block_bits, kept_tokens,
    threshold_met, token_share,
};
pub use ssim::{SSIM, ssim};

/// A metric's identity and how to read its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDef {
    /// Its name in results, unique.
    pub name: &'static str,
    /// Raised whenever its arithmetic changes: values of different versions are different metrics.
    pub version: u32,
    /// Unit of its values; empty for a pure number.
    pub unit: &'static str,
    /// Which values are better.
    pub direction: Direction,
    /// Whether another run of the same trial may give another value (times).
    pub noisy: bool,
    /// What it measures, in a sentence.
    pub description: &'static str,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Direction {
    /// Larger values.
    Higher,
    /// Smaller values.
    Lower,
    /// Neither: the metric describes.
    Neither,
}

/// Every metric of a sample, in the order of tables.
pub static ALL: &[MetricDef] = &[
    MSE,
    PSNR,
    SSIM,
    MS_SSIM,
    LPIPS,
    ST_LPIPS,
    MEAN_COLOUR_PSNR,
    HIGH_FREQUENCY_ENERGY,
    JPEG_BYTES,
    KEPT_TOKENS,
    TOKEN_SHARE,
    BITS,
    BITS_PER_PIXEL,
    ADAPTIVE_BITS,
    THRESHOLD_MET,
    EVALUATIONS,
    SEQUENTIAL_DEPTH,
    SEARCH_SECONDS,
    FLOPS,
    PREDICTION_FLOPS,
    PREDICTION_SECONDS,
];

/// Metrics of a whole trial, which no single sample has.
pub static OF_TRIALS: &[MetricDef] = &[CODEBOOK_USAGE, CODEBOOK_PERPLEXITY];

/// The metric of that name.
pub fn by_name(name: &str) -> Option<&'static MetricDef> {
    ALL.iter().chain(OF_TRIALS).find(|metric| metric.name == name)
}

/// Mean over a sample's blocks, of which there is at least one.
fn mean_over_blocks(values: impl Iterator<Item = f64>) -> f64 {
    mean(&values.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_found_by_its_own_name() {
        for metric in ALL {
            assert_eq!(by_name(metric.name), Some(metric), "two metrics are called {}", metric.name);
            assert!(metric.version > 0 && metric.description.ends_with('.'), "{}", metric.name);
        }
        assert_eq!(by_name("dists"), None);
    }

    #[test]
    fn only_times_are_noisy() {
        assert!(ALL.iter().all(|metric| metric.noisy == (metric.unit == "s")));
    }
}
