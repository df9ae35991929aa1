//! Deterministic floats, sample by sample.
//!
//! On one machine they are equal to the last bit; on another CPU sums are rounded otherwise. So a sample that differs by no
//! more than rounding does counts as equal, and what is left is tested as any paired comparison is.

use super::finding::Finding;
use crate::metric::Direction;
use crate::statistics::{BOOTSTRAP_SEED, paired};

/// What a sample may differ by, and what the mean of those that do must reach.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) absolute: f64,
    pub(super) relative: f64,
    pub(super) minimum_effect: f64,
}

/// Compares values of the same samples; `sources` names the file of each.
pub(super) fn compare(
    finding: Finding,
    sources: &[&str],
    baseline: &[f64],
    run: &[f64],
    tolerance: Tolerance,
) -> Finding {
    let mut largest = 0.0_f64;
    let observations = sources.iter().zip(baseline.iter().zip(run)).map(|(source, (&approved, &now))| {
        let difference = now - approved;
        largest = largest.max(difference.abs());
        let rounding = tolerance.absolute + tolerance.relative * approved.abs();
        let counts = if difference.abs() <= rounding * (1.0 + 1e-9) { 0.0 } else { difference };
        (*source, 0.0, worse(finding.better, counts))
    });
    let observations: Vec<_> = observations.collect();
    let compared = paired(observations.iter().copied(), BOOTSTRAP_SEED);
    let detail = match (largest, &compared) {
        (0.0, _) => String::new(),
        (_, None) => format!("largest difference {largest:.2e}; one file alone tells nothing about others"),
        (_, Some(_)) => format!("largest difference {largest:.2e}"),
    };
    let mean = observations.iter().map(|(_, _, worse)| worse).sum::<f64>() / observations.len() as f64;
    let finding = Finding {
        effect: Some(mean),
        tolerance: tolerance.minimum_effect,
        effect_unit: finding.unit.clone(),
        samples: observations.len(),
        sources: 1,
        detail,
        ..finding
    };
    match compared {
        Some(compared) => finding.tested(&compared),
        None => finding,
    }
}

/// How much worse a difference (now − approved) is. Where neither direction is better, any change is worse.
pub(super) fn worse(better: Direction, difference: f64) -> f64 {
    match better {
        Direction::Higher => -difference,
        Direction::Lower => difference,
        Direction::Neither => difference.abs(),
    }
}
