//! `/experiments/{id}/training`: how the runs of an experiment were, or are, trained.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use evaluator::chart::Chart;
use evaluator::store::{ExperimentId, ExperimentRow, ExperimentTrainingRow, Reader, TrainingRunId};

use super::{compute, render, training_title};
use crate::charts::Figure;
use crate::error::Problem;
use crate::extract::{MOST_CHARACTERS, Path, Query};
use crate::live::Section;
use crate::saved::FigureFile;
use crate::training_charts::{Curve, charts, steps_of_a_point};

/// Of the longest query: a figure's file has a path of its own before it.
const MOST_QUERY: usize = MOST_CHARACTERS - 80;

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

/// The training runs, or those of `?run=1,2`. A form says `?run=1&run=2`: it leads to the short address.
pub async fn page(
    State(reader): State<Reader>,
    Path(id): Path<ExperimentId>,
    RawQuery(raw): RawQuery,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let wanted = wanted(&asked)?;
    let query = query(&wanted)?;
    if raw.is_some_and(|raw| raw != query.trim_start_matches('?')) {
        return Ok(Redirect::to(&format!("/experiments/{id}/training{query}")).into_response());
    }
    let experiment = reader.experiment(id).await?;
    let runs = Runs::read(&reader, id, &reader.training_runs(id).await?, &wanted).await?;
    let draw = move || {
        let figures = runs.charts().map(|(name, chart)| Figure::of(&chart).with_files(&address(id, name), &query));
        (figures.collect(), runs.choices)
    };
    let (figures, choices) = compute(draw).await;
    let running_now = Section::read(&reader, id).await?.following_training();
    Ok(render(&Page { experiment, running_now, choices, figures })?.into_response())
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
    let mut wanted = Vec::new();
    for (name, value) in asked {
        if name != "run" {
            return Err(Problem::bad_request(format!("{name}: this page knows run=NUMBER,NUMBER")));
        }
        for run in value.split(',') {
            let run = run.parse();
            let run = run.map_err(|_| Problem::bad_request(format!("run={value}: a training run has a number")))?;
            if !wanted.contains(&run) {
                wanted.push(run);
            }
        }
    }
    Ok(wanted)
}

/// With its question mark; nothing for all runs.
fn query(wanted: &[TrainingRunId]) -> Result<String, Problem> {
    let runs: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let query = if runs.is_empty() { String::new() } else { format!("?run={}", runs.join(",")) };
    if query.len() > MOST_QUERY {
        let runs = runs.len();
        return Err(Problem::bad_request(format!(
            "{runs} training runs are more than an address holds: choose fewer."
        )));
    }
    Ok(query)
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
