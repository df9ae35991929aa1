//! `/experiments/{id}`: the question, what was found, and everything that led to it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::EvaluatorError;
use evaluator::report::Report;
use evaluator::store::{
    ExperimentId, ExperimentRow, ExperimentTrainingRow, ProvenanceRow, Reader, TrialReport, TrialStatus,
};
use serde::Deserialize;

use super::notes::Notes;
use super::tags::Tags;
use super::training::{self, Runs};
use super::{compute, downloads, render, tables};
use crate::charts::Figure;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::format;
use crate::listing::Listing;
use crate::live::Section;
use crate::paging::Pager;

const TRIALS_ON_A_PAGE: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    page: usize,
}

#[derive(Template)]
#[template(path = "experiment.html")]
struct Page {
    experiment: ExperimentRow,
    tags: Tags,
    notes: Notes,
    running_now: Section,
    findings: Findings,
    running: usize,
    failed: usize,
    /// Those on this page of the list.
    trials: Vec<TrialReport>,
    pager: Pager,
    training: Vec<ExperimentTrainingRow>,
    loss: Option<Figure>,
    provenance: Vec<ProvenanceRow>,
    /// Whether counts were predicted.
    has_predictors: bool,
}

/// What the finished trials say.
enum Findings {
    /// No trial is finished.
    None,
    /// Figures and table.
    Report { figures: Vec<Figure>, table: Listing },
    /// They cannot be put together; why not.
    Refused(String),
}

/// The experiment.
pub async fn page(
    State(reader): State<Reader>,
    Path(id): Path<ExperimentId>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Problem> {
    let experiment = reader.experiment(id).await?;
    let trials = reader.trials(id).await?;
    let training = reader.training_runs(id).await?;
    let pager = Pager::new("trials", trials.len(), TRIALS_ON_A_PAGE, asked.page).keeping("", "#trials");
    let count = |status| trials.iter().filter(|trial| trial.status == status).count();
    let page = Page {
        has_predictors: trials.iter().any(|trial| Report::is_predicted(&trial.strategy)),
        running: count(TrialStatus::Running),
        failed: count(TrialStatus::Failed),
        tags: Tags::read(&reader, id).await?,
        notes: Notes::of_experiment(&reader, id, &trials).await?,
        running_now: Section::read(&reader, id).await?,
        findings: findings(&reader, id).await?,
        loss: loss(&reader, id, &training).await?,
        provenance: provenance(&reader, &trials, &training).await?,
        trials: pager.slice(&trials).to_vec(),
        experiment,
        pager,
        training,
    };
    render(&page)
}

async fn findings(reader: &Reader, id: ExperimentId) -> Result<Findings, Problem> {
    let report = match Report::load(reader, id).await {
        Ok(report) if report.rows.is_empty() => return Ok(Findings::None),
        Ok(report) => report,
        Err(error @ EvaluatorError::Protocols { .. }) => return Ok(Findings::Refused(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let draw = move || {
        let figure = |chart, name: &str| Figure::of(&chart).with_files(&downloads::figure_address(id, name), "");
        Findings::Report {
            figures: vec![
                figure(report.satisfaction_figure(), "satisfaction"),
                figure(report.quality_figure(), "quality"),
            ],
            table: Listing::of(&report.table())
                .leading_to(report.rows.iter().map(|row| format!("/experiments/{id}/trials/{}", row.trial.id)))
                .with_files(&tables::of_experiment_at(id, "results")),
        }
    };
    Ok(compute(draw).await)
}

async fn loss(
    reader: &Reader,
    id: ExperimentId,
    training: &[ExperimentTrainingRow],
) -> Result<Option<Figure>, Problem> {
    let runs = Runs::read(reader, id, training, &[]).await?;
    let draw = move || {
        let (name, chart) = runs.charts().next()?;
        Some(Figure::of(&chart).with_files(&training::address(id, name), ""))
    };
    Ok(compute(draw).await)
}

/// Every program and machine that made a number here.
async fn provenance(
    reader: &Reader,
    trials: &[TrialReport],
    training: &[ExperimentTrainingRow],
) -> Result<Vec<ProvenanceRow>, Problem> {
    let of_trials = trials.iter().map(|trial| trial.provenance_id);
    let ids: BTreeSet<_> = of_trials.chain(training.iter().map(|linked| linked.run.provenance_id)).flatten().collect();
    let mut rows = Vec::new();
    for id in ids {
        rows.push(reader.provenance(id).await?);
    }
    Ok(rows)
}
