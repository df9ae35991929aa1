//! How often distortion rises with more tokens, and what that costs bisection.

use super::{Cell, Report, Table, number, text};
use crate::error::Result;
use crate::report::table::{Column, column};
use crate::search::{audit, bisection_loss};

const COLUMNS: [Column; 8] = [
    column("variant", "variant", 0),
    column("τ", "threshold", 4),
    column("rising steps (%)", "rising_steps_percent", 1),
    column("rising curves (%)", "rising_curves_percent", 1),
    column("largest rise (%)", "largest_rise_percent", 1),
    column("binary ≠ full (%)", "binary_differs_percent", 1),
    column("extra tokens then", "extra_tokens", 2),
    column("at most", "most_extra_tokens", 0),
];

/// Every variant with curves × threshold.
pub(super) fn monotonicity(report: &Report) -> Result<Table> {
    let criterion = report.criterion();
    let (mut rows, mut trials) = (Vec::new(), Vec::new());
    for variant in report.variants() {
        let curves: Vec<Vec<(usize, f64)>> = report
            .curves_of(variant)
            .iter()
            .map(|curve| {
                let point =
                    |p: &crate::store::CurvePoint| (p.kept_tokens as usize, criterion.distortion(p.distortion, p.ssim));
                curve.points.iter().map(point).collect()
            })
            .collect();
        if curves.is_empty() {
            continue;
        }
        let found = audit(&curves)?;
        for threshold in report.thresholds() {
            let loss = bisection_loss(&curves, criterion.limit(threshold))?;
            let percent = |share: Option<f64>| number(share.map(|share| 100.0 * share));
            rows.push(vec![
                text(variant),
                Cell::Number(threshold),
                percent(found.rising_step_share()),
                percent(found.rising_curve_share()),
                percent(Some(found.largest_relative_rise).filter(|rise| rise.is_finite())),
                percent(loss.differing_share()),
                number(loss.mean_extra_tokens()),
                Cell::Number(loss.most_extra_tokens as f64),
            ]);
            trials.push(report.trials_of(variant, Some(threshold)));
        }
    }
    let caption = format!(
        "{}: how often one more token makes a block worse, and what that costs bisection against all counts",
        report.experiment.name
    );
    Ok(Table { caption, columns: COLUMNS.to_vec(), rows, trials })
}
