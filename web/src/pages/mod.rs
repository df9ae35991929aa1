//! One file a page: extract, query, render.

pub mod compare;
pub mod downloads;
pub mod experiment;
pub mod experiments;
pub mod notes;
pub mod pictures;
pub mod predictors;
pub mod sample;
pub mod tables;
pub mod tags;
pub mod trade_offs;
pub mod training;
pub mod trial;

use std::sync::LazyLock;

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use evaluator::store::{ExperimentId, ExperimentRow, ExperimentTrainingRow, Reader, TrialId, TrialReport};
use tokio::sync::Semaphore;

use crate::error::Problem;

/// A page, or the news that a template is wrong.
fn render(page: &impl Template) -> Result<Html<String>, Problem> {
    page.render().map(Html).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be written", error.to_string())
    })
}

/// The trial in its place in the experiment.
async fn trial_of(
    reader: &Reader,
    experiment: ExperimentId,
    trial: TrialId,
) -> Result<(ExperimentRow, TrialReport), Problem> {
    Ok((reader.experiment(experiment).await?, reader.trial_of(experiment, trial).await?))
}

/// An answer that a browser saves under this name, or with `inline` shows.
pub fn file(inline: bool, name: &str, media_type: &'static str, content: impl Into<Vec<u8>>) -> Response {
    let place = if inline { "inline" } else { "attachment" };
    let disposition = format!("{place}; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, content.into()).into_response()
}

/// As many computations at once as there are cores: more would only hold memory for longer.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Computes away from the tasks that answer requests, when a core is free.
pub async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let core = CORES.acquire().await.expect("the semaphore is never closed");
    // Who asked may be gone before it is done: the core is busy for as long.
    let work = move || {
        let _core = core;
        work()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What a trial is, in a heading.
pub fn trial_title(trial: &TrialReport) -> String {
    let threshold = trial.threshold.map(|threshold| format!(", τ = {threshold}"));
    format!("{}, {}{}", trial.variant, trial.strategy, threshold.unwrap_or_default())
}

/// What one of an experiment's training runs is called: its seed matters where there are several.
fn training_title(linked: &ExperimentTrainingRow, all: &[ExperimentTrainingRow]) -> String {
    match all.iter().any(|other| other.run.seed != linked.run.seed) {
        true => format!("{}, seed {}", linked.variant, linked.run.seed),
        false => linked.variant.clone(),
    }
}
