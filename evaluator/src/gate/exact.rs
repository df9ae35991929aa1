//! Counts and bytes: equal, or not.

use super::finding::{Finding, Verdict};
use crate::metric::Direction;
use crate::statistics::mean;

/// Compares what must be equal sample by sample, for `equal_percent` of them at least.
///
/// More samples that differ are a regression, unless the run is better in the mean: the gate fails when something gets
/// worse, and only then. What has no better direction must not change at all.
pub(super) fn compare(finding: Finding, baseline: &[f64], run: &[f64], equal_percent: f64) -> Finding {
    let unequal = baseline.iter().zip(run).filter(|(approved, now)| approved != now).count();
    let finding = Finding {
        effect: Some(100.0 * unequal as f64 / baseline.len() as f64),
        tolerance: 100.0 - equal_percent,
        effect_unit: "% of samples".to_owned(),
        ..finding
    };
    let (before, after) = (mean(baseline), mean(run));
    let is_better = match finding.better {
        Direction::Higher => after > before,
        Direction::Lower => after < before,
        Direction::Neither => false,
    };
    let verdict = match (unequal, finding.is_beyond(), is_better) {
        (0, ..) => Verdict::Unchanged,
        (_, false, _) => Verdict::WithinTolerance,
        (_, true, true) => Verdict::Improved,
        (_, true, false) => Verdict::Regression,
    };
    let detail = match unequal {
        0 => String::new(),
        _ => format!("{unequal} of {} samples differ", baseline.len()),
    };
    finding.decided(verdict, detail)
}
