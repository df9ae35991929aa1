//! Variants against the first one, on the same blocks: paired differences with intervals, and Holm over all of them.

use super::{Cell, MEASURED, REPORTED, Report, Table, estimated, number, percent, text};
use crate::error::Result;
use crate::report::outcome::{Outcome, Outcomes, estimate, indicator, share};
use crate::report::table::{Column, column};
use crate::statistics::{BOOTSTRAP_SEED, Comparison, holm, minimum_detectable_effect, paired};
use crate::store::TrialId;
use std::collections::BTreeMap;

/// Trials of one variant at one threshold, over seeds, under the strategy that searches best.
pub(super) struct Compared<'a> {
    pub(super) variant: &'a str,
    pub(super) threshold: f64,
    pub(super) trials: Vec<&'a Outcomes>,
}

impl<'a> Compared<'a> {
    /// Every variant × threshold: `full` where there is one, else the first strategy of the file.
    pub(super) fn all(report: &Report, outcomes: &'a [Outcomes]) -> Vec<Self> {
        let mut all = Vec::new();
        for threshold in report.thresholds() {
            let mut variants: Vec<&'a str> = Vec::new();
            for trial in outcomes {
                if !variants.contains(&trial.variant.as_str()) {
                    variants.push(&trial.variant);
                }
            }
            for variant in variants {
                let of =
                    || outcomes.iter().filter(move |trial| trial.variant == variant && trial.threshold == threshold);
                let strategy = of().find(|trial| trial.strategy == "full").or(of().next()).map(|trial| &trial.strategy);
                let trials: Vec<&Outcomes> = of().filter(|trial| Some(&trial.strategy) == strategy).collect();
                if !trials.is_empty() {
                    all.push(Self { variant, threshold, trials });
                }
            }
        }
        all
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Outcome> {
        self.trials.iter().flat_map(|trial| &trial.blocks)
    }

    /// Whether a model of one count was asked for that count.
    pub(super) fn has_fixed_budget(&self) -> bool {
        self.trials.iter().all(|trial| trial.strategy.starts_with("fixed("))
    }

    pub(super) fn ids(&self) -> Vec<TrialId> {
        self.trials.iter().map(|trial| trial.trial).collect()
    }

    /// A value of every block, mean over seeds.
    fn by_block(&self, value: impl Fn(&Outcome) -> Option<f64>) -> BTreeMap<(crate::store::SourceId, i64, u32), f64> {
        let mut sums: BTreeMap<_, (f64, f64)> = BTreeMap::new();
        for block in self.blocks() {
            if let Some(value) = value(block) {
                let sum = sums.entry((block.row.source_id, block.row.sample_id.0, block.row.block)).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
        sums.into_iter().map(|(key, (sum, count))| (key, sum / count)).collect()
    }

    /// Other less this, block by block.
    fn difference(&self, other: &Self, value: impl Fn(&Outcome) -> Option<f64> + Copy) -> Option<Difference> {
        let (a, b) = (self.by_block(value), other.by_block(value));
        let pairs: Vec<_> = a.iter().filter_map(|(key, a)| Some((key.0, *a, *b.get(key)?))).collect();
        let detectable = minimum_detectable_effect(pairs.iter().map(|(source, a, b)| (*source, b - a)));
        Some(Difference { comparison: paired(pairs, BOOTSTRAP_SEED)?, detectable })
    }
}

struct Difference {
    comparison: Comparison,
    detectable: Option<f64>,
}

impl Difference {
    fn cell(&self, scale: f64) -> Cell {
        let Comparison { difference, interval, .. } = self.comparison;
        Cell::Estimate(scale * difference, scale * interval.low, scale * interval.high)
    }
}

const COMPARED: [Column; 10] = [
    column("source", "source", 0),
    column("variant", "variant", 0),
    column("τ", "threshold", 4),
    column("met (%)", "threshold_met_percent", 1),
    column("Δ met (points)", "difference_met_points", 1),
    column("p (Holm)", "p_met", 3),
    column("kept tokens", "kept_tokens", 2),
    column("Δ tokens", "difference_tokens", 2),
    column("p (Holm)", "p_tokens", 3),
    column("detectable Δ tokens", "detectable_tokens", 2),
];

/// Variants against the first.
pub(super) fn variants(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let all = Compared::all(report, outcomes);
    let kept = |outcome: &Outcome| Some(f64::from(outcome.row.kept_tokens));
    let met = |outcome: &Outcome| outcome.met().map(indicator);
    let differences: Vec<Option<(Difference, Difference)>> = all
        .iter()
        .map(|compared| {
            let first = all.iter().find(|first| first.threshold == compared.threshold)?;
            if first.variant == compared.variant {
                return None;
            }
            Some((first.difference(compared, met)?, first.difference(compared, kept)?))
        })
        .collect();
    // One family: everything this table claims.
    let of = |pair: &(Difference, Difference)| [pair.0.comparison.p_value, pair.1.comparison.p_value];
    let adjusted = holm(&differences.iter().flatten().flat_map(of).collect::<Vec<_>>());
    let mut adjusted = adjusted.into_iter();
    let mut next = || number(adjusted.next());
    let rows = all.iter().zip(&differences).map(|(compared, difference)| {
        let mut row = vec![text(MEASURED), text(compared.variant), Cell::Number(compared.threshold)];
        let met = percent(share(compared.blocks(), Outcome::met));
        let tokens = estimated(estimate(compared.blocks(), kept), 1.0);
        match difference {
            None => {
                row.extend([met, Cell::Missing, Cell::Missing, tokens, Cell::Missing, Cell::Missing, Cell::Missing]);
            }
            Some((of_met, of_tokens)) => {
                let (p_met, p_tokens) = (next(), next());
                row.extend([met, of_met.cell(100.0), p_met, tokens, of_tokens.cell(1.0), p_tokens]);
                row.push(number(of_tokens.detectable));
            }
        }
        row
    });
    let (rows, source) = (rows.collect(), report.source());
    let caption = format!(
        "{}: every variant against {}, the same held-out blocks, all counts searched. Δ: paired difference with its 95 % \
         interval, clustered by {source}; p: sign-flip permutation of {source}s, Holm over all comparisons of the \
         table; detectable: the difference found with 80 % power",
        report.experiment.name,
        all.first().map_or("the first", |first| first.variant)
    );
    Ok(Table { caption, columns: COMPARED.to_vec(), rows, trials: all.iter().map(Compared::ids).collect() })
}

/// The same, beside what is reported of the paper's ablation.
pub(super) fn mask_conditioning(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let mut table = variants(report, outcomes)?;
    // Third-party notes on the paper: share of blocks that meet τ = 0.003 with and without.
    for (variant, met) in [("the paper's, told", 79.6), ("the paper's, not told", 75.3)] {
        let mut row = vec![text(REPORTED), text(variant), Cell::Number(0.003), Cell::Number(met)];
        row.resize(COMPARED.len(), Cell::Missing);
        table.rows.push(row);
        table.trials.push(Vec::new());
    }
    Ok(table)
}

const SATISFACTION: [Column; 6] = [
    column("variant", "variant", 0),
    column("τ", "threshold", 4),
    column("met (%)", "threshold_met_percent", 1),
    column("kept tokens", "kept_tokens", 2),
    column("tokens (%)", "token_percent", 1),
    column("PSNR (dB)", "psnr", 2),
];

/// Share of blocks that meet τ, and the tokens it takes.
pub(super) fn satisfaction(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let all = Compared::all(report, outcomes);
    let rows = all.iter().map(|compared| {
        let mean = |value: fn(&Outcome) -> Option<f64>| estimate(compared.blocks(), value);
        let kept = mean(|outcome| Some(f64::from(outcome.row.kept_tokens)));
        let max = compared.trials[0].max_tokens as f64;
        vec![
            text(compared.variant),
            Cell::Number(compared.threshold),
            percent(share(compared.blocks(), Outcome::met)),
            estimated(kept, 1.0),
            number(kept.map(|kept| 100.0 * kept.mean / max)),
            estimated(mean(|outcome| Some(outcome.row.psnr)), 1.0),
        ]
    });
    let caption = format!(
        "{}: share of held-out blocks that meet τ and the tokens they keep; brackets are 95 % intervals, clustered by {}",
        report.experiment.name,
        report.source()
    );
    Ok(Table {
        caption,
        columns: SATISFACTION.to_vec(),
        rows: rows.collect(),
        trials: all.iter().map(Compared::ids).collect(),
    })
}
