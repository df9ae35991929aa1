//! Searches and predictors against the best count: errors, costs, quality at the answer. Pooled over thresholds.

use super::{Cell, MEASURED, REPORTED, Report, Table, estimated, number, percent, text};
use crate::error::Result;
use crate::report::outcome::{Outcome, Outcomes, average, estimate, indicator, share};
use crate::report::table::{Column, column, noisy_column};
use crate::store::TrialId;

/// Trials of one variant and strategy, over thresholds and seeds.
struct Group<'a> {
    variant: &'a str,
    strategy: &'a str,
    trials: Vec<&'a Outcomes>,
}

impl<'a> Group<'a> {
    fn all(outcomes: &'a [Outcomes]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for trial in outcomes {
            match groups.iter_mut().find(|g| g.variant == trial.variant && g.strategy == trial.strategy) {
                Some(group) => group.trials.push(trial),
                None => {
                    groups.push(Self { variant: &trial.variant, strategy: &trial.strategy, trials: vec![trial] });
                }
            }
        }
        groups
    }

    fn blocks(&self) -> impl Iterator<Item = &Outcome> {
        self.trials.iter().flat_map(|trial| &trial.blocks)
    }

    fn mean(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        average(self.blocks(), value)
    }

    fn percent(&self, holds: impl Fn(&Outcome) -> Option<bool>) -> Cell {
        percent(share(self.blocks(), holds))
    }

    /// Share of blocks in per cent, where the interval would only repeat that of a neighbouring column.
    fn bare_percent(&self, holds: impl Fn(&Outcome) -> Option<bool>) -> Cell {
        number(self.mean(|outcome| holds(outcome).map(indicator)).map(|share| 100.0 * share))
    }

    /// Milliseconds a block: the search's and its predictor's; not available where it was replayed.
    fn milliseconds(&self) -> Option<f64> {
        self.mean(|outcome| Some(1e3 * (outcome.row.seconds? + outcome.row.prediction_seconds.unwrap_or(0.0))))
    }

    fn trials(&self) -> Vec<TrialId> {
        self.trials.iter().map(|trial| trial.trial).collect()
    }
}

fn evaluations(outcome: &Outcome) -> Option<f64> {
    Some(f64::from(outcome.row.decoder_evaluations))
}

fn caption(report: &Report, groups: &[Group<'_>], what: &str) -> String {
    let blocks = groups.first().map_or(0, |group| group.trials.first().map_or(0, |trial| trial.blocks.len()));
    let sources = groups.first().map_or(0, |group| {
        group.blocks().map(|block| block.row.source_id).collect::<std::collections::BTreeSet<_>>().len()
    });
    let thresholds: Vec<String> = report.thresholds().iter().map(f64::to_string).collect();
    let source = report.source();
    format!(
        "{}: {what}; {blocks} held-out blocks of {sources} {source}s, pooled over τ = {}. Missed: not the smallest \
         sufficient count. Violated: τ could be met and is not. Brackets: 95 % intervals, clustered by {source} (means: bootstrap; shares: Wilson)",
        report.experiment.name,
        thresholds.join(", ")
    )
}

const SEARCH: [Column; 14] = [
    column("source", "source", 0),
    column("variant", "variant", 0),
    column("strategy", "strategy", 0),
    column("optimum missed (%)", "optimum_missed_percent", 1),
    column("violated (%)", "threshold_violated_percent", 1),
    column("within 1 (%)", "within_1_percent", 1),
    column("over-allocation (tokens)", "over_allocation_tokens", 2),
    column("kept tokens", "kept_tokens", 2),
    column("evaluations", EVALUATIONS, 2),
    column("MFLOP/block", "mflop_per_block", 0),
    column("of full (%)", "flops_of_full_percent", 1),
    noisy_column("ms/block", "milliseconds_per_block", 1),
    column("PSNR (dB)", "psnr", 2),
    column("SSIM", "ssim", 4),
];

const EVALUATIONS: &str = "evaluations";

/// What each search costs and what it gives up.
pub(super) fn search(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let groups = Group::all(outcomes);
    let flops = |group: &Group<'_>| group.mean(|outcome| Some(outcome.row.flops));
    let rows = groups.iter().map(|group| {
        let full = groups.iter().find(|full| full.variant == group.variant && full.strategy == "full");
        let of_full = flops(group).zip(full.and_then(flops)).map(|(flops, full)| 100.0 * flops / full);
        vec![
            text(MEASURED),
            text(group.variant),
            text(group.strategy),
            group.percent(Outcome::optimum_missed),
            group.percent(Outcome::threshold_violated),
            group.bare_percent(|outcome| outcome.within(1.0)),
            number(group.mean(Outcome::over_allocation)),
            number(group.mean(|outcome| Some(f64::from(outcome.row.kept_tokens)))),
            number(group.mean(evaluations)),
            number(flops(group).map(|flops| flops / 1e6)),
            number(of_full),
            number(group.milliseconds()),
            number(group.mean(|outcome| Some(outcome.row.psnr))),
            number(group.mean(|outcome| Some(outcome.row.ssim))),
        ]
    });
    let mut rows: Vec<Vec<Cell>> = rows.collect();
    let mut trials: Vec<Vec<TrialId>> = groups.iter().map(Group::trials).collect();
    if !rows.is_empty() {
        // Third-party notes on the paper's search table, 4096 tokens a block.
        for (strategy, error, evaluations) in [
            ("full search", "0", Some(4096.0)),
            ("binned search", "up to 5", None),
            ("neural regression", "5–10", Some(1.0)),
        ] {
            let mut row = vec![text(REPORTED), text("the paper's FSQ, 4096 tokens"), text(strategy), text(error)];
            row.extend(SEARCH[row.len()..].iter().map(|column| match &*column.name {
                EVALUATIONS => number(evaluations),
                _ => Cell::Missing,
            }));
            rows.push(row);
            trials.push(Vec::new());
        }
    }
    let mut caption = caption(report, &groups, "what each search costs and what it gives up");
    if groups.iter().any(|group| group.milliseconds().is_none()) {
        caption.push_str("; without ms: replayed from stored curves");
    }
    Ok(Table { caption, columns: SEARCH.to_vec(), rows, trials })
}

const SEARCH_COST: [Column; 12] = [
    column("variant", "variant", 0),
    column("strategy", "strategy", 0),
    column("encoder", "encoder_evaluations", 2),
    column("decoder", "decoder_evaluations", 2),
    column("commit", "commit_evaluations", 2),
    column("final", "final_evaluations", 2),
    column("waits", "sequential_depth", 2),
    column("largest batch", "largest_batch", 2),
    column("MFLOP/block", "mflop_per_block", 0),
    column("predictor's MFLOP", "prediction_mflop", 2),
    noisy_column("search ms", "search_milliseconds", 2),
    noisy_column("predictor's ms", "prediction_milliseconds", 2),
];

/// What each search's cost is made of.
pub(super) fn search_cost(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let groups = Group::all(outcomes);
    let rows = groups.iter().map(|group| {
        let count = |value: fn(&Outcome) -> u32| number(group.mean(|outcome| Some(f64::from(value(outcome)))));
        vec![
            text(group.variant),
            text(group.strategy),
            count(|outcome| outcome.row.encoder_evaluations),
            count(|outcome| outcome.row.decoder_evaluations),
            count(|outcome| outcome.row.commit_evaluations),
            count(|outcome| outcome.row.final_evaluations),
            count(|outcome| outcome.row.sequential_depth),
            number(group.mean(|outcome| outcome.row.largest_batch.map(f64::from))),
            number(group.mean(|outcome| Some(outcome.row.flops / 1e6))),
            number(group.mean(|outcome| outcome.row.prediction_flops.map(|flops| flops / 1e6))),
            number(group.mean(|outcome| outcome.row.seconds.map(|seconds| 1e3 * seconds))),
            number(group.mean(|outcome| outcome.row.prediction_seconds.map(|seconds| 1e3 * seconds))),
        ]
    });
    let rows = rows.collect();
    let caption = caption(
        report,
        &groups,
        "what a search's cost is made of, mean over blocks. Encoder, decoder: runs for candidates; commit: runs that fix \
         the answer for later blocks; final: reconstructions of the answer; waits: batches asked one after another",
    );
    Ok(Table { caption, columns: SEARCH_COST.to_vec(), rows, trials: groups.iter().map(Group::trials).collect() })
}

const REGRESSOR: [Column; 14] = [
    column("variant", "variant", 0),
    column("predictor", "strategy", 0),
    column("error (tokens)", "mean_absolute_error_tokens", 2),
    column("exact (%)", "exact_percent", 1),
    column("within 4 (%)", "within_4_percent", 1),
    column("violated (%)", "threshold_violated_percent", 1),
    column("over-allocation (tokens)", "over_allocation_tokens", 2),
    column("kept tokens", "kept_tokens", 2),
    column("met (%)", "threshold_met_percent", 1),
    column("PSNR (dB)", "psnr", 2),
    column("SSIM", "ssim", 4),
    column("own MFLOP", "prediction_mflop", 2),
    column("evaluations", "evaluations", 2),
    column("saved against binary", "evaluations_saved", 2),
];

/// Predicted counts against the best ones, where these are known.
pub(super) fn regressor(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let mut groups = Group::all(outcomes);
    groups.retain(|group| group.blocks().all(|block| block.best.is_some()));
    let rows = groups.iter().map(|group| {
        let binary = groups.iter().find(|binary| binary.variant == group.variant && binary.strategy == "binary");
        let saved = binary.and_then(|binary| binary.mean(evaluations)).zip(group.mean(evaluations)).map(|(b, g)| b - g);
        vec![
            text(group.variant),
            text(group.strategy),
            estimated(estimate(group.blocks(), Outcome::absolute_error), 1.0),
            group.percent(|outcome| outcome.within(0.0)),
            group.bare_percent(|outcome| outcome.within(4.0)),
            group.percent(Outcome::threshold_violated),
            number(group.mean(Outcome::over_allocation)),
            number(group.mean(|outcome| Some(f64::from(outcome.row.kept_tokens)))),
            group.bare_percent(Outcome::met),
            number(group.mean(|outcome| Some(outcome.row.psnr))),
            number(group.mean(|outcome| Some(outcome.row.ssim))),
            number(group.mean(|outcome| outcome.row.prediction_flops).map(|flops| flops / 1e6)),
            number(group.mean(evaluations)),
            number(saved),
        ]
    });
    let caption = caption(report, &groups, "predicted counts against the best ones");
    Ok(Table {
        caption,
        columns: REGRESSOR.to_vec(),
        rows: rows.collect(),
        trials: groups.iter().map(Group::trials).collect(),
    })
}
