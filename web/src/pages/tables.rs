//! `…/tables/{file}` below an experiment, a trial or a sample: the tables of their pages as files, with all rows.

use axum::extract::State;
use axum::response::Response;
use evaluator::report::{NamedTable, Report};
use evaluator::store::{ExperimentId, Reader, SampleId, TrialId};
use serde::Deserialize;

use super::{predictors, trial_of, trial_title};
use crate::download::File;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::sample::Sample;
use crate::samples::{self, Arrangement};
use crate::{format, tables};

/// A table of an experiment's page. The names are those of the address, as below.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfExperiment {
    /// What the finished trials say.
    Results,
    /// Every trial.
    Trials,
    /// Every training run.
    Training,
    /// How well predictors do, of the experiment's page about them.
    Regressor,
}

/// A table of a trial's page.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfTrial {
    /// Its metrics over all samples.
    Summary,
    /// Every sample.
    Samples,
}

/// A table of a sample's page.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfSample {
    /// Every block.
    Blocks,
    /// Every metric.
    Measurements,
}

/// Where an experiment's table is, without its ending.
pub fn of_experiment_at(experiment: ExperimentId, table: &str) -> String {
    format!("/experiments/{experiment}/tables/{table}")
}

/// One of an experiment.
pub async fn of_experiment(
    State(reader): State<Reader>,
    Path((id, File { name, format })): Path<(ExperimentId, File<OfExperiment>)>,
) -> Result<Response, Problem> {
    let named = |ending: &str| format!("experiment-{id}{ending}");
    Ok(match name {
        OfExperiment::Results => format.answer(&Report::load(&reader, id).await?.table(), named("")),
        OfExperiment::Regressor => {
            let report = Report::load(&reader, id).await?.of_predictors();
            let table = NamedTable::find(predictors::TABLE)?.of(&report, &reader).await?;
            format.answer(&table, named("-regressor"))
        }
        OfExperiment::Trials => {
            let experiment = reader.experiment(id).await?;
            format.answer(&tables::trials(&experiment, &reader.trials(id).await?), named("-trials"))
        }
        OfExperiment::Training => {
            let experiment = reader.experiment(id).await?;
            format.answer(&tables::training(&experiment, &reader.training_runs(id).await?), named("-training"))
        }
    })
}

/// One of a trial; its samples come in the order that the page shows.
pub async fn of_trial(
    State(reader): State<Reader>,
    Path((experiment, trial, File { name, format })): Path<(ExperimentId, TrialId, File<OfTrial>)>,
    Query(arrangement): Query<Arrangement>,
) -> Result<Response, Problem> {
    let (_, mut trial) = trial_of(&reader, experiment, trial).await?;
    trial.summaries.sort_by_key(|summary| format::metric_order(&summary.metric));
    let title = trial_title(&trial);
    Ok(match name {
        OfTrial::Summary => format.answer(&tables::summary(&title, &trial), format_args!("trial-{}", trial.id)),
        OfTrial::Samples => {
            let metrics = samples::metrics(&reader).await?;
            let samples = samples::load(&reader, trial.id, &arrangement, &metrics).await?;
            let table = tables::samples(&title, &samples, &metrics);
            format.answer(&table, format_args!("trial-{}-samples", trial.id))
        }
    })
}

/// One of a sample.
pub async fn of_sample(
    State(reader): State<Reader>,
    Path((experiment, trial, id, File { name, format })): Path<(ExperimentId, TrialId, SampleId, File<OfSample>)>,
) -> Result<Response, Problem> {
    let sample = Sample::load(&reader, (experiment, trial, id), &Arrangement::default()).await?;
    let title = format!("{}, {} #{}", trial_title(&sample.trial), sample.cut.source_name, sample.cut.ordinal);
    let named = |what: &str| format!("trial-{trial}-sample-{id}-{what}");
    Ok(match name {
        OfSample::Blocks => {
            let records: Vec<_> = sample.search.blocks.iter().map(|(block, _)| block.record.clone()).collect();
            format.answer(&tables::blocks(&title, &records), named("blocks"))
        }
        OfSample::Measurements => {
            let table = tables::measurements(&title, &sample.measured, &sample.metrics);
            format.answer(&table, named("measurements"))
        }
    })
}
