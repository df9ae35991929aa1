//! How many times fewer tokens an elastic model spends than a fixed budget, at equal satisfaction.
//!
//! A fixed budget of n tokens satisfies a share s of the blocks. The elastic model is capped (every block keeps
//! min(n*, cap)) until it satisfies the same share, in between two caps linearly; n over its mean tokens is the factor.
//! Photographs, or videos, are resampled for both together.
//!
//! n* comes from the stored curves; where there are none, as for the blocks of a clip, from what the search found. Of a
//! clip the cap is then a thought: really capped, a block would leave later ones another past.

use super::compared::Compared;
use super::{Cell, MEASURED, REPORTED, Report, Table, number, text};
use crate::error::Result;
use crate::report::outcome::{Best, Outcomes, indicator};
use crate::report::satisfaction::capped;
use crate::report::table::{Column, column};
use crate::statistics::{BOOTSTRAP_SEED, resampled_interval};
use crate::store::SourceId;
use std::collections::BTreeMap;

const COLUMNS: [Column; 7] = [
    column("source", "source", 0),
    column("elastic", "elastic", 0),
    column("fixed budget", "fixed", 0),
    column("τ", "threshold", 4),
    column("met by the fixed (%)", "fixed_met_percent", 1),
    column("tokens of the elastic", "elastic_tokens", 2),
    column("× fewer", "times_fewer", 2),
];

/// One photograph's blocks: the elastic model's fewest sufficient tokens, and how the fixed budget did.
struct Photograph {
    sufficient: Vec<Option<usize>>,
    fixed_met: Vec<f64>,
}

/// Every elastic variant × every variant of a fixed budget × threshold.
pub(super) fn fewer_tokens(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let all = Compared::all(report, outcomes);
    let (mut rows, mut trials) = (Vec::new(), Vec::new());
    let is_elastic = |variant: &str| {
        let chooses = |compared: &Compared<'_>| compared.variant == variant && !compared.has_fixed_budget();
        all.iter().any(chooses)
    };
    for elastic in report.variants().into_iter().filter(|variant| is_elastic(variant)) {
        for fixed in all.iter().filter(|compared| compared.has_fixed_budget()) {
            let max_tokens = fixed.trials[0].max_tokens;
            let budget = fixed.blocks().next().map_or(0, |block| block.row.kept_tokens as usize);
            // A budget of all tokens leaves nothing to choose, and other strategies no budget to compare.
            if budget == max_tokens || fixed.blocks().any(|block| block.row.kept_tokens as usize != budget) {
                continue;
            }
            let of_elastic = |compared: &&Compared<'_>| {
                compared.variant == elastic
                    && compared.threshold == fixed.threshold
                    && report.curves_of(elastic).is_empty()
            };
            let mut photographs: BTreeMap<SourceId, Photograph> = BTreeMap::new();
            let empty = || Photograph { sufficient: Vec::new(), fixed_met: Vec::new() };
            for curve in report.curves_of(elastic) {
                let best = Best::of(curve, report.criterion(), fixed.threshold).filter(|best| best.attainable);
                let photograph = photographs.entry(curve.source_id).or_insert_with(empty);
                photograph.sufficient.push(best.map(|best| best.kept_tokens));
            }
            for block in all.iter().find(of_elastic).iter().flat_map(|compared| compared.blocks()) {
                let photograph = photographs.entry(block.row.source_id).or_insert_with(empty);
                photograph.sufficient.push(block.met().and_then(|met| met.then_some(block.row.kept_tokens as usize)));
            }
            for block in fixed.blocks() {
                let photograph = photographs.entry(block.row.source_id).or_insert_with(empty);
                photograph.fixed_met.push(indicator(block.met() == Some(true)));
            }
            let photographs: Vec<Photograph> = photographs.into_values().collect();
            let whole: Vec<&Photograph> = photographs.iter().collect();
            let met = share(&whole);
            let tokens = elastic_tokens(&whole, max_tokens);
            let factor = |sample: &[&Photograph]| Some(budget as f64 / elastic_tokens(sample, max_tokens)?);
            let cell = match (factor(&whole), resampled_interval(&photographs, factor, BOOTSTRAP_SEED)) {
                (Some(factor), Some(interval)) => Cell::Estimate(factor, interval.low, interval.high),
                (factor, _) => number(factor),
            };
            rows.push(vec![
                text(MEASURED),
                text(elastic),
                text(fixed.variant),
                Cell::Number(fixed.threshold),
                Cell::Number(100.0 * met),
                number(tokens),
                cell,
            ]);
            trials.push([report.trials_of(elastic, Some(fixed.threshold)), fixed.ids()].concat());
        }
    }
    if !rows.is_empty() {
        for (what, factor) in [
            ("the paper, images, first threshold", 3.5),
            ("the paper, images, second threshold", 1.3),
            ("the paper, video, first threshold", 5.0),
            ("the paper, video, second threshold", 2.4),
        ] {
            let mut row = vec![text(REPORTED), text(what)];
            row.resize(COLUMNS.len() - 1, Cell::Missing);
            row.push(Cell::Number(factor));
            rows.push(row);
            trials.push(Vec::new());
        }
    }
    let caption = format!(
        "{}: times fewer mean tokens than a fixed budget when as many blocks meet τ; brackets are 95 % intervals over \
         {}s; – where the elastic model never satisfies as many",
        report.experiment.name,
        report.source()
    );
    Ok(Table { caption, columns: COLUMNS.to_vec(), rows, trials })
}

/// Share of the blocks that the fixed budget satisfies.
fn share(photographs: &[&Photograph]) -> f64 {
    let met: f64 = photographs.iter().flat_map(|photograph| &photograph.fixed_met).sum();
    let blocks: usize = photographs.iter().map(|photograph| photograph.fixed_met.len()).sum();
    met / blocks as f64
}

/// Mean tokens with which the capped elastic model satisfies the same share; `None` if it never does.
fn elastic_tokens(photographs: &[&Photograph], max_tokens: usize) -> Option<f64> {
    let target = share(photographs);
    let sufficient: Vec<Option<usize>> = photographs.iter().flat_map(|p| p.sufficient.iter().copied()).collect();
    if sufficient.is_empty() || target == 0.0 {
        return None;
    }
    let caps: Vec<usize> = (1..=max_tokens).collect();
    let mut before: Option<(f64, f64)> = None;
    for (_, outcome) in capped(&sufficient, &caps, max_tokens) {
        let (tokens, met) = (outcome.token_share * max_tokens as f64, outcome.met_share);
        if met >= target {
            return Some(match before {
                Some((tokens0, met0)) => tokens0 + (tokens - tokens0) * (target - met0) / (met - met0),
                None => tokens,
            });
        }
        before = Some((tokens, met));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_at_equal_satisfaction_by_hand() {
        // Blocks need 2, 4, 8 and more than all; a fixed budget satisfies half of them.
        let photograph =
            Photograph { sufficient: vec![Some(2), Some(4), Some(8), None], fixed_met: vec![1.0, 1.0, 0.0, 0.0] };
        // Capped at 4 two are satisfied: (2 + 4 + 4 + 4) / 4 = 3.5 tokens; at 3 one: (2 + 3 + 3 + 3) / 4 = 2.75.
        assert_eq!(elastic_tokens(&[&photograph], 8), Some(3.5));
        // Three eighths lie halfway between.
        let fewer = Photograph { fixed_met: vec![1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], ..photograph };
        assert_eq!(elastic_tokens(&[&fewer], 8), Some(3.125));
        let all = Photograph { fixed_met: vec![1.0], ..fewer };
        assert_eq!(elastic_tokens(&[&all], 8), None, "one block is never satisfied");
    }
}
