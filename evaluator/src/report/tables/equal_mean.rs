//! Counts chosen block by block against one count for every block, at equal mean tokens: a global threshold can lose.
//!
//! Three comparisons on the same blocks. «Same model, one count»: the elastic model itself with every block at its mean
//! count, between two whole counts linearly. «Fixed model»: a model trained for one budget, against the elastic one at
//! the threshold where its mean is that budget.

use super::{Cell, Report, Table, text};
use crate::error::Result;
use crate::experiment::Criterion;
use crate::report::figures::common_counts;
use crate::report::outcome::{Outcomes, fewest};
use crate::report::table::{Column, column};
use crate::statistics::{BOOTSTRAP_SEED, holm, mean, paired};
use crate::store::{CurvePoint, CurveRow, SampleId, SourceId, TrialId};
use std::collections::BTreeMap;

const COLUMNS: [Column; 9] = [
    column("elastic", "elastic", 0),
    column("against", "against", 0),
    column("τ", "threshold", 4),
    column("mean tokens", "mean_tokens", 2),
    column("PSNR, chosen (dB)", "chosen_psnr", 2),
    column("PSNR, one count (dB)", "constant_psnr", 2),
    column("Δ (dB)", "difference_db", 2),
    column("p (Holm)", "p", 3),
    column("Δ of the worst tenth (dB)", "worst_tenth_difference_db", 2),
];

/// PSNR of both ways on one block.
struct Pair {
    source: SourceId,
    chosen: f64,
    constant: f64,
}

struct Row {
    elastic: String,
    against: String,
    threshold: f64,
    mean_tokens: f64,
    pairs: Vec<Pair>,
    trials: Vec<TrialId>,
}

/// Every elastic variant × threshold against itself, and × fixed budget against that.
pub(super) fn equal_mean(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let criterion = report.criterion();
    let mut found = Vec::new();
    for elastic in report.variants() {
        let curves = report.curves_of(elastic);
        let Some(most) = common_counts(&curves).last().copied() else { continue };
        for threshold in report.thresholds() {
            let limit = criterion.limit(threshold);
            let chosen: Vec<&CurvePoint> = curves.iter().map(|curve| chosen(curve, criterion, limit)).collect();
            let mean_tokens = mean(&chosen.iter().map(|point| f64::from(point.kept_tokens)).collect::<Vec<_>>());
            // Where every block keeps everything nothing is chosen.
            if mean_tokens > f64::from(most) - 0.5 {
                continue;
            }
            let pairs = curves.iter().zip(&chosen).map(|(curve, point)| Pair {
                source: curve.source_id,
                chosen: point.psnr,
                constant: psnr_at(curve, mean_tokens),
            });
            let (elastic, against) = (elastic.to_owned(), "same model, one count".to_owned());
            let (pairs, trials) = (pairs.collect(), report.trials_of(&elastic, None));
            found.push(Row { elastic, against, threshold, mean_tokens, pairs, trials });
        }
        for fixed in fixed_budgets(report, outcomes) {
            let Some(threshold) = threshold_for(&curves, criterion, fixed.budget) else { continue };
            let psnr: BTreeMap<SampleId, f64> = fixed.psnr;
            let pairs: Vec<(Pair, u32)> = curves
                .iter()
                .filter_map(|curve| {
                    let point = chosen(curve, criterion, threshold);
                    let constant = *psnr.get(&curve.sample_id)?;
                    Some((Pair { source: curve.source_id, chosen: point.psnr, constant }, point.kept_tokens))
                })
                .collect();
            let mean_tokens = mean(&pairs.iter().map(|(_, kept)| f64::from(*kept)).collect::<Vec<_>>());
            found.push(Row {
                elastic: elastic.to_owned(),
                against: fixed.variant.clone(),
                threshold,
                mean_tokens,
                pairs: pairs.into_iter().map(|(pair, _)| pair).collect(),
                trials: [report.trials_of(elastic, None), report.trials_of(&fixed.variant, None)].concat(),
            });
        }
    }
    let comparisons: Vec<_> = found
        .iter()
        .map(|row| paired(row.pairs.iter().map(|pair| (pair.source, pair.constant, pair.chosen)), BOOTSTRAP_SEED))
        .collect();
    let adjusted = holm(&comparisons.iter().flatten().map(|comparison| comparison.p_value).collect::<Vec<_>>());
    let mut adjusted = adjusted.into_iter();
    let rows = found.iter().zip(&comparisons).map(|(row, comparison)| {
        let of = |value: fn(&Pair) -> f64| row.pairs.iter().map(value).collect::<Vec<f64>>();
        let (chosen, constant) = (of(|pair| pair.chosen), of(|pair| pair.constant));
        let (difference, p) = match comparison {
            None => (Cell::Missing, Cell::Missing),
            Some(c) => {
                let p = adjusted.next().expect("one for each comparison");
                (Cell::Estimate(c.difference, c.interval.low, c.interval.high), Cell::Number(p))
            }
        };
        vec![
            text(row.elastic.clone()),
            text(row.against.clone()),
            Cell::Number(row.threshold),
            Cell::Number(row.mean_tokens),
            Cell::Number(mean(&chosen)),
            Cell::Number(mean(&constant)),
            difference,
            p,
            Cell::Number(worst_tenth(chosen) - worst_tenth(constant)),
        ]
    });
    let caption = format!(
        "{}: counts chosen block by block against one count for every block, at equal mean tokens; τ against a fixed \
         model is the one at which the means are equal. Δ: chosen less constant, 95 % interval clustered by {}; \
         worst tenth: the mean PSNR of the tenth of blocks that fares worst",
        report.experiment.name,
        report.source()
    );
    let rows = rows.collect();
    Ok(Table { caption, columns: COLUMNS.to_vec(), rows, trials: found.into_iter().map(|row| row.trials).collect() })
}

struct FixedBudget {
    variant: String,
    budget: f64,
    psnr: BTreeMap<SampleId, f64>,
}

/// Variants that keep one count for every block, and not all tokens.
fn fixed_budgets(report: &Report, outcomes: &[Outcomes]) -> Vec<FixedBudget> {
    let mut found: Vec<FixedBudget> = Vec::new();
    for trial in outcomes.iter().filter(|trial| report.curves_of(&trial.variant).is_empty()) {
        let Some(budget) = trial.blocks.first().map(|block| block.row.kept_tokens) else { continue };
        let is_known = found.iter().any(|fixed| fixed.variant == trial.variant);
        let constant = trial.blocks.iter().all(|block| block.row.kept_tokens == budget);
        if is_known || !constant || budget as usize == trial.max_tokens {
            continue;
        }
        let psnr = trial.blocks.iter().map(|block| (block.row.sample_id, block.row.psnr)).collect();
        found.push(FixedBudget { variant: trial.variant.clone(), budget: f64::from(budget), psnr });
    }
    found
}

/// The smallest sufficient point of a curve, or its last.
fn chosen(curve: &CurveRow, criterion: Criterion, limit: f64) -> &CurvePoint {
    fewest(curve, criterion, limit).expect("a curve holds at least one count").0
}

/// The threshold at which the mean of the chosen counts comes nearest to the budget from below.
fn threshold_for(curves: &[&CurveRow], criterion: Criterion, budget: f64) -> Option<f64> {
    let distortion = |point: &CurvePoint| criterion.distortion(point.distortion, point.ssim);
    let mean_at = |limit: f64| {
        mean(&curves.iter().map(|curve| f64::from(chosen(curve, criterion, limit).kept_tokens)).collect::<Vec<_>>())
    };
    let mut limits: Vec<f64> = curves.iter().flat_map(|curve| &curve.points).map(distortion).collect();
    limits.sort_by(f64::total_cmp);
    // The mean falls as the limit rises.
    let first = limits.partition_point(|limit| mean_at(*limit) > budget);
    limits.get(first).copied()
}

/// PSNR of a curve at a mean count, between two whole counts as the mean of blocks at either.
fn psnr_at(curve: &CurveRow, count: f64) -> f64 {
    let after = curve.points.partition_point(|point| f64::from(point.kept_tokens) < count);
    match (after.checked_sub(1).map(|before| curve.points[before]), curve.points.get(after)) {
        (Some(a), Some(b)) => {
            let (from, to) = (f64::from(a.kept_tokens), f64::from(b.kept_tokens));
            a.psnr + (b.psnr - a.psnr) * (count - from) / (to - from)
        }
        (Some(only), None) => only.psnr,
        (None, Some(only)) => only.psnr,
        (None, None) => f64::NAN,
    }
}

/// Mean of the worst tenth, at least one value.
fn worst_tenth(mut psnr: Vec<f64>) -> f64 {
    psnr.sort_by(f64::total_cmp);
    psnr.truncate(psnr.len().div_ceil(10));
    mean(&psnr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_tenth_is_at_least_one_block() {
        assert_eq!(worst_tenth(vec![30.0, 10.0, 20.0]), 10.0);
        assert_eq!(worst_tenth((1..=20).map(f64::from).collect()), 1.5);
    }
}
