//! What a run measured, as the gate compares it.

use super::cost::Costs;
use super::error::GateError;
use super::rule::definition;
use crate::error::Result;
use crate::store::{ContentHash, ExperimentId, MeasurementRow, Reader, TrialReport, TrialStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The finished trials of an experiment, and what their numbers are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The held-out files, by their content.
    pub data: ContentHash,
    /// How samples were cut and compared: a [`Protocol`](crate::metric::Protocol).
    pub protocol: Value,
    /// Version of the evaluator's numbers.
    pub evaluator: u32,
    /// Each held-out file with the number of its samples. Values are in this order.
    pub sources: BTreeMap<String, usize>,
    /// Every trial, in the order of the experiment.
    pub trials: Vec<ObservedTrial>,
    /// What a process cost that ran it with its first seed; empty if nobody asked for it.
    pub costs: Costs,
}

/// One variant × search × threshold with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedTrial {
    /// Variant, search and threshold.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// What was asked and how the model was made, by its content.
    pub configuration: ContentHash,
    /// The weights, where they were given; those of a trained model are another CPU's others.
    pub weights: Option<ContentHash>,
    /// Values of each metric, sample by sample.
    pub values: BTreeMap<String, Vec<f64>>,
}

impl Observed {
    /// Reads what `gates` says yes to of an experiment's finished trials, without costs.
    ///
    /// # Errors
    /// [`GateError::Nothing`], [`GateError::Mixed`], or the store's.
    pub async fn read(reader: &Reader, experiment: ExperimentId, gates: impl Fn(&str) -> bool) -> Result<Self> {
        let all = reader.trials(experiment).await?;
        let finished: Vec<&TrialReport> = all.iter().filter(|trial| trial.status == TrialStatus::Done).collect();
        let Some(first) = finished.first() else {
            let experiment = reader.experiment(experiment).await?.name;
            return Err(GateError::Nothing { experiment }.into());
        };
        let of_first = (first.dataset_id, first.protocol_id, first.evaluator_version);
        if finished.iter().any(|trial| (trial.dataset_id, trial.protocol_id, trial.evaluator_version) != of_first) {
            let experiment = reader.experiment(experiment).await?.name;
            return Err(GateError::Mixed { experiment }.into());
        }
        let data = reader.dataset(first.dataset_id).await?.key;
        let protocol = reader.protocol(first.protocol_id).await?.description;
        let (mut sources, mut trials) = (BTreeMap::new(), Vec::new());
        for trial in &finished {
            let rows = reader.measurements(trial.id).await?;
            if sources.is_empty() {
                sources = samples_by_source(&rows);
            }
            trials.push(observed(trial, rows, &gates));
        }
        Ok(Self { data, protocol, evaluator: first.evaluator_version, sources, trials, costs: Costs::new() })
    }

    /// The file of every sample, in the order of values.
    pub(super) fn source_of_samples(&self) -> Vec<&str> {
        self.sources.iter().flat_map(|(source, samples)| std::iter::repeat_n(source.as_str(), *samples)).collect()
    }

    /// How many samples a trial has.
    pub(super) fn samples(&self) -> usize {
        self.sources.values().fold(0, |all, samples| all.saturating_add(*samples))
    }

    /// The trial of this name and seed.
    pub(super) fn trial(&self, name: &str, seed: u64) -> Option<&ObservedTrial> {
        self.trials.iter().find(|trial| trial.name == name && trial.seed == seed)
    }

    /// The names of trials, in the order of the experiment; seeds share one.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for trial in &self.trials {
            if !names.contains(&trial.name.as_str()) {
                names.push(&trial.name);
            }
        }
        names
    }

    /// The seeds of trials, in the order of the experiment.
    pub fn seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = Vec::new();
        for trial in &self.trials {
            if !seeds.contains(&trial.seed) {
                seeds.push(trial.seed);
            }
        }
        seeds
    }

    /// Whether its models were trained, and not given.
    pub fn trains(&self) -> bool {
        self.trials.iter().any(|trial| trial.weights.is_none())
    }
}

fn observed(trial: &TrialReport, rows: Vec<MeasurementRow>, gates: impl Fn(&str) -> bool) -> ObservedTrial {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let is_current = definition(&row.metric).is_some_and(|metric| metric.version == row.version && !metric.noisy);
        if is_current && gates(&row.metric) {
            values.entry(row.metric).or_default().push(row.value);
        }
    }
    let threshold = trial.threshold.map_or_else(String::new, |threshold| format!(" · τ = {threshold}"));
    ObservedTrial {
        name: format!("{} · {}{threshold}", trial.variant, trial.strategy),
        seed: trial.seed as u64,
        configuration: ContentHash::of(trial.config.to_string().as_bytes()),
        weights: trial.weights_hash.filter(|_| trial.training_run_id.is_none()),
        values,
    }
}

/// Samples of each file, counted by their places.
fn samples_by_source(rows: &[MeasurementRow]) -> BTreeMap<String, usize> {
    let mut samples: Vec<_> = rows.iter().map(|row| (&row.source_name, row.ordinal, row.sample_id)).collect();
    samples.dedup();
    let mut sources = BTreeMap::new();
    for (source, ..) in samples {
        *sources.entry(source.clone()).or_default() += 1;
    }
    sources
}
