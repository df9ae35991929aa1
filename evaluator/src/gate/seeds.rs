//! What training makes of a few seeds, against the spread of many.
//!
//! On one machine a seed gives the same weights to the last bit. On another CPU, or after a change that rounds otherwise,
//! it gives weights as different as another seed's. A run trains a few seeds; what they differ by is judged by the spread
//! of all seeds that the baseline was approved with.

use super::finding::Finding;
use super::paired::worse;
use crate::statistics::{against_spread, mean, sample_deviation};

/// Compares the means of seeds: `approved` of all in the baseline, `pairs` (approved, now) of those that were run.
pub(super) fn compare(finding: Finding, approved: &[f64], pairs: &[(f64, f64)], minimum_effect: f64) -> Finding {
    let differences: Vec<f64> = pairs.iter().map(|(before, after)| worse(finding.better, after - before)).collect();
    let spread = sample_deviation(approved);
    let finding = Finding {
        tolerance: minimum_effect,
        effect_unit: finding.unit.clone(),
        samples: pairs.len(),
        detail: format!("{} of {} seeds, which deviate by {spread:.3}", pairs.len(), approved.len()),
        ..finding
    };
    match against_spread(&differences, spread, approved.len() - 1) {
        Some(compared) => finding.tested(&compared),
        None => finding.untested(mean(&differences)),
    }
}
