//! Seconds and memory: the ratio of two programs that ran one right behind the other, over several such pairs.

use super::cost::Pair;
use super::finding::{Finding, Verdict};
use crate::statistics::{BOOTSTRAP_SEED, Comparison, median, paired, resampled_interval};

/// Compares the medians of ratios; worse is a larger one.
///
/// The sign-flip test gives the p-value, on the logarithms: without a difference each ratio could as well be its inverse.
pub(super) fn compare(finding: Finding, pairs: &[Pair], percent: f64) -> Finding {
    let finding = Finding {
        tolerance: percent,
        effect_unit: "%".to_owned(),
        samples: pairs.len(),
        sources: pairs.len(),
        ..finding
    };
    let both = |pair: &Pair| Some((*pair.before.get(&finding.metric)?, *pair.after.get(&finding.metric)?));
    let Some(costs) = pairs.iter().map(both).collect::<Option<Vec<(f64, f64)>>>() else {
        return finding.decided(Verdict::Missing, "not every run of both programs has it");
    };
    let has_ratio = |(before, after): &(f64, f64)| *before > 0.0 && *after > 0.0 && (after / before).is_normal();
    if let Some((before, after)) = costs.iter().find(|costs| !has_ratio(costs)) {
        return finding.decided(Verdict::Missing, format!("{before} and {after} have no ratio"));
    }
    let of = |part: fn(&(f64, f64)) -> f64| Some(median(&costs.iter().map(part).collect::<Vec<_>>()));
    let finding = Finding { baseline: of(|pair| pair.0), run: of(|pair| pair.1), ..finding };
    let ratios: Vec<f64> = costs.iter().map(|(before, after)| after / before).collect();
    let percent_more = |ratios: &[f64]| 100.0 * (median(ratios) - 1.0);
    let of_drawn = |drawn: &[&f64]| Some(percent_more(&drawn.iter().map(|ratio| **ratio).collect::<Vec<_>>()));
    let logarithms = ratios.iter().enumerate().map(|(pair, ratio)| (pair, 0.0, ratio.ln()));
    let test = paired(logarithms, BOOTSTRAP_SEED).zip(resampled_interval(&ratios, of_drawn, BOOTSTRAP_SEED));
    let detail = format!("medians of {} pairs, run in turn", pairs.len());
    match test {
        Some((of_logarithms, interval)) => {
            let compared = Comparison { difference: percent_more(&ratios), interval, ..of_logarithms };
            Finding { detail, ..finding.tested(&compared) }
        }
        None => Finding { detail, ..finding.untested(percent_more(&ratios)) },
    }
}

/// What is said of a cost that no other program was run beside: on the machine where it was approved it is advice; the cost
/// of another machine is no measure, and where none was approved there is nothing to compare.
pub(super) fn alone(finding: Finding, is_same_machine: bool) -> Finding {
    let (verdict, detail) = match (finding.baseline, finding.run) {
        (None, _) => (Verdict::Advice, "no costs were approved: --against BINARY compares them"),
        (Some(_), _) if !is_same_machine => {
            (Verdict::NotComparable, "approved on another machine: compare it with --against BINARY")
        }
        (Some(_), None) => (Verdict::Missing, "the run does not have it"),
        (Some(_), Some(_)) => (Verdict::Advice, "approved at another time: only --against BINARY compares it"),
    };
    finding.decided(verdict, detail)
}
