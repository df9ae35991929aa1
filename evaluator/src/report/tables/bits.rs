//! What the kept tokens cost to store, and how much of the codebook they speak: FSQ only.

use super::{Cell, Report, Table, number, text};
use crate::report::table::{Column, column};

const COLUMNS: [Column; 12] = [
    column("variant", "variant", 0),
    column("strategy", "strategy", 0),
    column("τ", "threshold", 4),
    column("kept tokens", "kept_tokens", 2),
    column("bits/block", "bits", 1),
    column("adaptive bits/block", "adaptive_bits", 1),
    column("bits/pixel", "bits_per_pixel", 4),
    column("codebook used (%)", "codebook_usage_percent", 2),
    column("perplexity (codes)", "codebook_perplexity", 0),
    column("PSNR (dB)", "psnr", 2),
    column("SSIM", "ssim", 4),
    column("MS-SSIM", "ms_ssim", 4),
];

/// Every variant with a codebook × strategy × threshold.
pub(super) fn bits(report: &Report) -> Table {
    let with_codes = || report.rows.iter().filter(|row| row.mean("bits").is_some());
    let rows = with_codes().map(|row| {
        let mean = |metric: &str| number(row.mean(metric));
        vec![
            text(row.variant.clone()),
            text(row.strategy.clone()),
            number(row.threshold),
            mean("kept_tokens"),
            mean("bits"),
            mean("adaptive_bits"),
            mean("bits_per_pixel"),
            row.mean("codebook_usage").map_or(Cell::Missing, |usage| Cell::Number(100.0 * usage)),
            mean("codebook_perplexity"),
            mean("psnr"),
            mean("ssim"),
            mean("ms_ssim"),
        ]
    });
    let caption = format!(
        "{}: what the kept tokens cost. Bits: the count and an index into the codebook for every kept token; adaptive: \
         as an arithmetic coder that learns within the block writes them. Codebook used and perplexity are estimated \
         from the kept tokens of a trial, too low where these are few",
        report.experiment.name
    );
    let (rows, trials) = (rows.collect(), with_codes().map(|row| row.trials.clone()).collect());
    Table { caption, columns: COLUMNS.to_vec(), rows, trials }
}
