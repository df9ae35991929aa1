//! What an experiment found, as tables and figures. The same database gives the same bytes.

mod context;
mod figures;
mod make;
mod named_figures;
mod outcome;
mod predictor_figures;
mod provenance;
mod satisfaction;
mod table;
mod tables;

pub use named_figures::{FIGURES, NamedFigure};
pub use outcome::{criterion, curve_key};
pub use table::{Cell, Column, Table};
pub use tables::{NamedTable, TABLES};

use crate::error::{EvaluatorError, Result};
use crate::experiment::Criterion;
use crate::metric::Protocol;
use crate::statistics::mean;
use crate::store::{ContentHash, CurveRow, ExperimentId, ExperimentRow, Reader, TrialId, TrialReport, TrialStatus};
use outcome::Outcomes;
use std::collections::BTreeMap;
use tokio::sync::OnceCell;

/// An experiment's finished trials, pooled over seeds, and the curves of its models.
#[derive(Clone, Debug)]
pub struct Report {
    /// The experiment.
    pub experiment: ExperimentRow,
    /// One row for each variant × strategy × threshold, in the order of the file.
    pub rows: Vec<Row>,
    /// Trials that are not finished yet.
    pub unfinished: usize,
    /// The finished trials, in the order of the file.
    trials: Vec<TrialReport>,
    /// Distortion curves of each variant and seed with an elastic budget.
    curves: Vec<VariantCurves>,
    outcomes: OnceCell<Vec<Outcomes>>,
}

/// The curves of one trained variant.
#[derive(Clone, Debug)]
struct VariantCurves {
    variant: String,
    weights: ContentHash,
    rows: Vec<CurveRow>,
}

/// One variant × strategy × threshold: means over the held-out samples, then over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// The search strategy.
    pub strategy: String,
    /// The largest acceptable distortion.
    pub threshold: Option<f64>,
    /// Trials pooled: one a seed.
    pub seeds: usize,
    /// Samples of one trial.
    pub samples: usize,
    /// Whether searches were replayed from stored curves.
    pub replayed: bool,
    /// All tokens of a block.
    pub max_tokens: usize,
    /// The trial of the first seed: where details are.
    pub trial: TrialReport,
    /// The trials pooled here.
    pub trials: Vec<TrialId>,
    means: BTreeMap<String, f64>,
}

impl Row {
    /// The mean of a metric, `None` where not every sample has it.
    pub fn mean(&self, metric: &str) -> Option<f64> {
        self.means.get(metric).copied()
    }

    /// Kept tokens over all tokens.
    fn share(&self) -> Option<f64> {
        self.mean("token_share")
    }
}

impl Report {
    /// Everything that is finished. Trials of different protocols are refused: their numbers cannot share a table.
    pub async fn load(reader: &Reader, experiment: ExperimentId) -> Result<Self> {
        let all = reader.trials(experiment).await?;
        let unfinished = all.iter().filter(|trial| trial.status != TrialStatus::Done).count();
        let trials: Vec<TrialReport> = all.into_iter().filter(|trial| trial.status == TrialStatus::Done).collect();
        check_protocols(reader, &trials).await?;
        let mut curves: Vec<VariantCurves> = Vec::new();
        for trial in &trials {
            let Some(weights) = trial.weights_hash else { continue };
            let is_seen = curves.iter().any(|c| c.variant == trial.variant && c.weights == weights);
            // Curves of a clip's blocks are each behind what one search kept: they tell of that search alone.
            if is_seen || outcome::is_of_clips(trial) {
                continue;
            }
            let of_weights = outcome::curves(reader, trial).await?;
            if !of_weights.is_empty() {
                curves.push(VariantCurves { variant: trial.variant.clone(), weights, rows: of_weights });
            }
        }
        let experiment = reader.experiment(experiment).await?;
        Ok(Self { experiment, rows: pool(&trials), unfinished, trials, curves, outcomes: OnceCell::new() })
    }

    /// A variant's curves, all seeds together; none for a fixed budget.
    fn curves_of(&self, variant: &str) -> Vec<&CurveRow> {
        self.curves.iter().filter(|curves| curves.variant == variant).flat_map(|curves| &curves.rows).collect()
    }

    /// The trials of a variant, of one threshold or of all.
    fn trials_of(&self, variant: &str, threshold: Option<f64>) -> Vec<TrialId> {
        let of_variant = self.rows.iter().filter(|row| row.variant == variant);
        let wanted = of_variant.filter(|row| threshold.is_none() || row.threshold == threshold);
        wanted.flat_map(|row| row.trials.clone()).collect()
    }

    /// What thresholds are of: one thing in an experiment, or its variants could not share a table.
    fn criterion(&self) -> Criterion {
        self.trials.first().map_or(Criterion::Mse, outcome::criterion)
    }

    /// Whether its samples are clips of videos.
    fn is_of_clips(&self) -> bool {
        self.trials.iter().any(outcome::is_of_clips)
    }

    /// What its samples are cut from: intervals are clustered by it.
    fn source(&self) -> &'static str {
        if self.is_of_clips() { "video" } else { "photograph" }
    }

    /// The thresholds of the rows, rising.
    fn thresholds(&self) -> Vec<f64> {
        let mut thresholds: Vec<f64> = self.rows.iter().filter_map(|row| row.threshold).collect();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        thresholds
    }

    /// The variants in the order of the file.
    fn variants(&self) -> Vec<&str> {
        let mut variants: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !variants.contains(&row.variant.as_str()) {
                variants.push(&row.variant);
            }
        }
        variants
    }
}

/// Fails if two trials were measured under different protocols, naming the fields that differ.
async fn check_protocols(reader: &Reader, trials: &[TrialReport]) -> Result<()> {
    let Some(first) = trials.first() else { return Ok(()) };
    let Some(other) = trials.iter().find(|trial| trial.protocol_id != first.protocol_id) else {
        return Ok(());
    };
    let description = |row: crate::store::ProtocolRow| serde_json::from_value::<Protocol>(row.description).ok();
    let a = description(reader.protocol(first.protocol_id).await?);
    let b = description(reader.protocol(other.protocol_id).await?);
    let difference = a.zip(b).and_then(|(a, b)| a.difference(&b));
    Err(EvaluatorError::Protocols {
        variant: other.variant.clone(),
        difference: difference.unwrap_or_else(|| "one of them is of another version of elastictok".to_owned()),
    })
}

/// Trials that differ only in their seed become one row.
fn pool(trials: &[TrialReport]) -> Vec<Row> {
    let mut groups: Vec<Vec<&TrialReport>> = Vec::new();
    for trial in trials {
        let same = |group: &&mut Vec<&TrialReport>| {
            let first = group[0];
            first.variant == trial.variant && first.strategy == trial.strategy && first.threshold == trial.threshold
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(trial),
            None => groups.push(vec![trial]),
        }
    }
    groups.into_iter().map(row).collect()
}

fn row(group: Vec<&TrialReport>) -> Row {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for summary in group.iter().flat_map(|trial| &trial.summaries) {
        values.entry(summary.metric.clone()).or_default().push(summary.mean);
    }
    let complete = values.into_iter().filter(|(_, values)| values.len() == group.len());
    let means = complete.map(|(metric, values)| (metric, mean(&values))).collect();
    let seeds = group.len();
    let trials = group.iter().map(|trial| trial.id).collect();
    let first = group.into_iter().next().expect("a group holds at least one trial").clone();
    Row {
        variant: first.variant.clone(),
        strategy: first.strategy.clone(),
        threshold: first.threshold,
        seeds,
        samples: first.samples as usize,
        replayed: first.replayed,
        max_tokens: outcome::max_tokens(&first),
        trials,
        means,
        trial: first,
    }
}
