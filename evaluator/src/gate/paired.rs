//! Deterministic floats, sample by sample.
//!
//! On one machine they are equal to the last bit; on another CPU sums are rounded otherwise. So a sample that differs by no
//! more than rounding does counts as equal, and what is left is tested as any paired comparison is.

use super::finding::{Finding, ROUNDING};
use crate::metric::Direction;
use crate::statistics::{BOOTSTRAP_SEED, mean, paired};

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
        let counts = if difference.abs() <= rounding * (1.0 + ROUNDING) { 0.0 } else { difference };
        (*source, 0.0, worse(finding.better, counts))
    });
    let observations: Vec<_> = observations.collect();
    let compared = paired(observations.iter().copied(), BOOTSTRAP_SEED);
    let finding = Finding {
        tolerance: tolerance.minimum_effect,
        effect_unit: finding.unit.clone(),
        samples: observations.len(),
        detail: if largest > 0.0 { format!("largest difference {largest:.2e}") } else { String::new() },
        ..finding
    };
    match compared {
        Some(compared) => finding.tested(&compared),
        None => finding.untested(mean(&observations.iter().map(|(_, _, worse)| *worse).collect::<Vec<_>>())),
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
