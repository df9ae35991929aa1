//! `/experiments/{id}`: the question, what was found, and everything that led to it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::EvaluatorError;
use evaluator::report::{Report, Table};
use evaluator::store::{
    ExperimentId, ExperimentRow, ExperimentTrainingRow, ProvenanceRow, Reader, TrialReport, TrialStatus,
};
use serde::Deserialize;

use super::{compute, render, training_title};
use crate::charts::{self, Figure};
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::format;
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
}

/// What the finished trials say.
enum Findings {
    /// No trial is finished.
    None,
    /// Figures and table.
    Report { figures: Vec<Figure>, table: ResultTable },
    /// They cannot be put together; why not.
    Refused(String),
}

/// The report's table as HTML needs it.
struct ResultTable {
    caption: String,
    headings: Vec<String>,
    rows: Vec<(i64, Vec<Field>)>,
}

struct Field {
    text: String,
    numeric: bool,
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
        running: count(TrialStatus::Running),
        failed: count(TrialStatus::Failed),
        running_now: Section::read(&reader, id).await?,
        findings: findings(&reader, id).await?,
        loss: loss(&reader, &training).await?,
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
        let address = |name: &str| format!("/experiments/{id}/figures/{name}.svg");
        let figure = |chart, name: &str| Figure::of(&chart).with_downloads(&address(name));
        Findings::Report {
            figures: vec![
                figure(report.satisfaction_figure(), "satisfaction"),
                figure(report.quality_figure(), "quality"),
            ],
            table: ResultTable::new(&report, &report.table()),
        }
    };
    Ok(compute(draw).await)
}

async fn loss(reader: &Reader, training: &[ExperimentTrainingRow]) -> Result<Option<Figure>, Problem> {
    let mut runs = Vec::new();
    for linked in training {
        let points = reader.training_points(linked.run.id, 0).await?;
        if !points.is_empty() {
            runs.push((training_title(linked, training), points));
        }
    }
    match runs.is_empty() {
        true => Ok(None),
        false => Ok(Some(compute(move || Figure::of(&charts::loss(&runs))).await)),
    }
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

impl ResultTable {
    fn new(report: &Report, table: &Table) -> Self {
        let fields = |cells: &Vec<_>| {
            let field = |(cell, column): (&evaluator::report::Cell, &evaluator::report::Column)| Field {
                text: cell.to_text(column.digits),
                numeric: cell.is_number(),
            };
            cells.iter().zip(&table.columns).map(field).collect()
        };
        let trials = report.rows.iter().map(|row| row.trial.id.0);
        Self {
            caption: table.caption.clone(),
            headings: table.columns.iter().map(|column| column.heading.to_string()).collect(),
            rows: trials.zip(table.rows.iter().map(fields)).collect(),
        }
    }

    /// Whether a column is set to the right.
    fn is_numeric(&self, column: &usize) -> bool {
        self.rows.iter().all(|(_, fields)| fields[*column].numeric)
    }
}
