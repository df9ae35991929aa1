//! `/experiments/{id}/training`: how the runs of an experiment were, or are, trained.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Response};
use evaluator::chart::Chart;
use evaluator::store::{ExperimentId, ExperimentRow, ExperimentTrainingRow, Reader, TrainingRunId};

use super::{compute, render, training_title};
use crate::charts::Figure;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::live::Section;
use crate::saved::FigureFile;
use crate::training_charts::{Curve, charts, steps_of_a_point};

#[derive(Template)]
#[template(path = "training.html")]
struct Page {
    experiment: ExperimentRow,
    running_now: Section,
    choices: Vec<Choice>,
    figures: Vec<Figure>,
}

/// A run that may be shown.
struct Choice {
    run: TrainingRunId,
    name: String,
    is_shown: bool,
}

/// The training runs; of several `?run=` only those.
pub async fn page(
    State(reader): State<Reader>,
    Path(id): Path<ExperimentId>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Html<String>, Problem> {
    let experiment = reader.experiment(id).await?;
    let runs = Runs::read(&reader, id, &reader.training_runs(id).await?, &wanted(&asked)?).await?;
    let query: String = asked.iter().map(|(_, run)| format!("&run={run}")).collect();
    let query = query.replacen('&', "?", 1);
    let draw = move || {
        let figures = runs.charts().map(|(name, chart)| Figure::of(&chart).with_files(&address(id, name), &query));
        (figures.collect(), runs.choices)
    };
    let (figures, choices) = compute(draw).await;
    let running_now = Section::read(&reader, id).await?.following_training();
    render(&Page { experiment, running_now, choices, figures })
}

/// One of the page's figures as a file.
pub async fn figure(
    State(reader): State<Reader>,
    Path((id, file)): Path<(ExperimentId, FigureFile)>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    reader.experiment(id).await?;
    let runs = Runs::read(&reader, id, &reader.training_runs(id).await?, &wanted(&asked)?).await?;
    let name = file.name.clone();
    let found = compute(move || runs.charts().find(|(known, _)| *known == name)).await;
    let (name, chart) =
        found.ok_or_else(|| Problem::not_found(format_args!("figure {} of this training", file.name)))?;
    file.answer(&format!("experiment-{id}-{name}"), move || chart).await
}

/// Where a figure's files are, without their endings.
pub fn address(experiment: ExperimentId, figure: &str) -> String {
    format!("/experiments/{experiment}/training/{figure}")
}

/// An experiment's training runs, and what is drawn of those that are wanted.
pub struct Runs {
    choices: Vec<Choice>,
    curves: Vec<Curve>,
    /// That one point of a curve stands for.
    steps: u32,
}

impl Runs {
    /// All `runs` of the experiment, with the curves of those that are wanted, or of all.
    pub async fn read(
        reader: &Reader,
        id: ExperimentId,
        runs: &[ExperimentTrainingRow],
        wanted: &[TrainingRunId],
    ) -> Result<Self, Problem> {
        let choices = choices(id, runs, wanted)?;
        let longest = runs.iter().map(|linked| linked.run.step).max().unwrap_or_default();
        let steps = steps_of_a_point(longest);
        let mut curves = Vec::new();
        for (slot, choice) in choices.iter().enumerate().filter(|(_, choice)| choice.is_shown) {
            let points = reader.training_points(choice.run, 0).await?;
            if !points.is_empty() {
                curves.push(Curve::new(choice.name.clone(), slot, &points, steps));
            }
        }
        Ok(Self { choices, curves, steps })
    }

    /// A chart of every quantity, with its name, the loss first; none before the first point.
    pub fn charts(&self) -> impl Iterator<Item = (&'static str, Chart)> {
        charts(&self.curves, self.steps)
    }
}

fn wanted(asked: &[(String, String)]) -> Result<Vec<TrainingRunId>, Problem> {
    let run = |(name, value): &(String, String)| match (name.as_str(), value.parse()) {
        ("run", Ok(run)) => Ok(run),
        ("run", Err(_)) => Err(Problem::bad_request(format!("run={value}: a training run has a number"))),
        _ => Err(Problem::bad_request(format!("{name}: this page knows run=NUMBER, once or several times"))),
    };
    asked.iter().map(run).collect()
}

/// Each run once, by the names of all variants that share it.
fn choices(
    experiment: ExperimentId,
    training: &[ExperimentTrainingRow],
    wanted: &[TrainingRunId],
) -> Result<Vec<Choice>, Problem> {
    if let Some(unknown) = wanted.iter().find(|wanted| training.iter().all(|linked| linked.run.id != **wanted)) {
        return Err(Problem::not_found(format_args!("training run {unknown} in experiment {experiment}")));
    }
    let mut choices: Vec<Choice> = Vec::new();
    for linked in training {
        let (run, name) = (linked.run.id, training_title(linked, training));
        match choices.iter_mut().find(|choice| choice.run == run) {
            Some(known) => known.name = format!("{} = {name}", known.name),
            None => choices.push(Choice { run, name, is_shown: wanted.is_empty() || wanted.contains(&run) }),
        }
    }
    Ok(choices)
}
