//! BD-rate and BD-PSNR of variants against the first, tokens as rate: one number for two whole curves.

use super::{Cell, Report, Table, text};
use crate::error::{EvaluatorError, Result};
use crate::rate_distortion::{BdPsnr, BdRate, Point, RateDistortionError, RateQualityCurve, bd_psnr, bd_rate};
use crate::report::figures::common_counts;
use crate::report::table::{Column, column};
use crate::statistics::mean;

const COLUMNS: [Column; 7] = [
    column("variant", "variant", 0),
    column("against", "anchor", 0),
    column("BD-rate (% tokens)", "bd_rate_percent", 1),
    column("over PSNR (dB)", "rate_overlap_db", 2),
    column("BD-PSNR (dB)", "bd_psnr", 2),
    column("over tokens", "psnr_overlap_tokens", 1),
    column("counts dropped", "dropped", 0),
];

/// Every variant with curves against the first of them.
pub(super) fn rate(report: &Report) -> Result<Table> {
    let variants = report.variants().into_iter().filter(|variant| !report.curves_of(variant).is_empty());
    let variants: Vec<&str> = variants.collect();
    let (mut rows, mut trials) = (Vec::new(), Vec::new());
    if let Some((anchor, others)) = variants.split_first() {
        let of_anchor = curve(report, anchor).map_err(|source| refused(anchor, anchor, source))?;
        for variant in others {
            let failed = |source| refused(anchor, variant, source);
            let compared = curve(report, variant).map_err(failed)?;
            let over = |low: f64, high: f64, digits: usize, share: f64| {
                text(format!("{low:.digits$}–{high:.digits$} ({:.0} % of the union)", 100.0 * share))
            };
            let mut row = vec![text(*variant), text(*anchor)];
            // Without a common interval there is no number: the row says so.
            match bd_rate(&of_anchor, &compared) {
                Ok(BdRate { rate_percent, overlap }) => {
                    row.push(Cell::Number(rate_percent));
                    row.push(over(overlap.low, overlap.high, 2, overlap.share_of_union));
                }
                Err(RateDistortionError::NoOverlap { .. }) => row.extend([Cell::Missing, text("no PSNR in common")]),
                Err(error) => return Err(failed(error)),
            }
            match bd_psnr(&of_anchor, &compared) {
                Ok(BdPsnr { quality_difference, overlap }) => row.extend([
                    Cell::Number(quality_difference),
                    over(overlap.low, overlap.high, 0, overlap.share_of_union),
                ]),
                Err(RateDistortionError::NoOverlap { .. }) => row.extend([Cell::Missing, text("no count in common")]),
                Err(error) => return Err(failed(error)),
            }
            row.push(Cell::Number((of_anchor.dropped() + compared.dropped()) as f64));
            rows.push(row);
            trials.push([report.trials_of(anchor, None), report.trials_of(variant, None)].concat());
        }
    }
    let caption = format!(
        "{}: mean PSNR of the held-out blocks against kept tokens, as Bjøntegaard deltas (PCHIP over ln tokens). BD-rate: \
         tokens more (+) or fewer (−) at equal PSNR; dropped: counts that more tokens do not better",
        report.experiment.name
    );
    Ok(Table { caption, columns: COLUMNS.to_vec(), rows, trials })
}

fn refused(anchor: &str, variant: &str, source: RateDistortionError) -> EvaluatorError {
    EvaluatorError::Rate { anchor: anchor.to_owned(), variant: variant.to_owned(), source }
}

/// Mean PSNR at every count that all blocks were measured at.
fn curve(report: &Report, variant: &str) -> std::result::Result<RateQualityCurve, RateDistortionError> {
    let curves = report.curves_of(variant);
    let points = common_counts(&curves).into_iter().map(|count| {
        let psnr = curves.iter().filter_map(|curve| curve.points.iter().find(|point| point.kept_tokens == count));
        Point { rate: f64::from(count), quality: mean(&psnr.map(|point| point.psnr).collect::<Vec<_>>()) }
    });
    RateQualityCurve::new(&points.collect::<Vec<_>>())
}
