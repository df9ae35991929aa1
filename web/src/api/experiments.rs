//! `/api/experiments` and `/api/experiments/{experiment}`.

use evaluator::store::{
    ContentHash, ExperimentId, ExperimentRow, ExperimentTrainingRow, Reader, TrialCounts, TrialReport,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::endpoint::Nothing;
use super::notes::Note;
use super::paging::{Page, Paging};
use super::states::State;
use crate::error::Problem;

/// Which experiment.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Named {
    /// The experiment's number.
    #[param(value_type = i64, example = 1)]
    pub experiment: ExperimentId,
}

/// An experiment in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Experiment {
    /// Its number.
    #[schema(value_type = i64, example = 1)]
    id: ExperimentId,
    /// blake3 hash of its resolved configuration, in hexadecimal digits: the same in every store.
    #[schema(value_type = String, example = "0fb0c4…")]
    key: ContentHash,
    /// Its name; a changed configuration makes a new experiment under the old name.
    #[schema(example = "quickstart")]
    name: String,
    /// What it is to answer; may be empty.
    #[schema(example = "How many tokens does a photograph need?")]
    question: String,
    /// Its tags by name.
    #[schema(example = json!(["paper"]))]
    tags: Vec<String>,
    /// Where it stands, by its trials and training runs: running if any is, else failed if any has, else done if all are.
    status: State,
    /// How many of its trials stand where.
    trials: Counts,
    /// When it was first stored.
    #[schema(format = DateTime, example = "2026-03-01T09:30:00.125Z")]
    created_at: String,
    /// When something of it last began or ended.
    #[schema(format = DateTime, example = "2026-03-01T10:12:45.050Z")]
    last_activity: String,
}

/// How many trials stand where; those that have not begun are the rest.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Counts {
    /// All of them.
    #[schema(example = 6)]
    all: u32,
    /// Being evaluated, or their process was killed while they were.
    #[schema(example = 1)]
    running: u32,
    /// Stopped by an error.
    #[schema(example = 0)]
    failed: u32,
    /// Finished.
    #[schema(example = 5)]
    done: u32,
}

/// One experiment with all that led to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Whole {
    /// What the list says of it.
    experiment: Experiment,
    /// Its variants, in the order of the file.
    variants: Vec<Variant>,
    /// Its training runs, in the order of the file; one that several variants share is there for each of them.
    training_runs: Vec<TrainingRun>,
    /// What was written about it and its trials, oldest first.
    notes: Vec<Note>,
    /// The resolved configuration.
    #[schema(value_type = BTreeMap<String, Value>, example = json!({ "name": "quickstart" }))]
    config: Value,
    /// The experiment's file as it was written: TOML.
    #[schema(example = "name = \"quickstart\"")]
    source: String,
}

/// One trained or fixed thing that an experiment compares with others.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Variant {
    /// Its name.
    #[schema(example = "elastic")]
    name: String,
    /// How many trials it has.
    #[schema(example = 4)]
    trials: u32,
    /// How many of them are done.
    #[schema(example = 4)]
    trials_done: u32,
}

/// How weights came to be.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrainingRun {
    /// Its number.
    #[schema(example = 1)]
    id: i64,
    /// The variant that it belongs to here.
    #[schema(example = "elastic")]
    variant: String,
    /// Seed of initialization and of the order of the data.
    #[schema(example = 0)]
    seed: i64,
    /// Where it stands.
    status: State,
    /// Steps taken.
    #[schema(example = 200)]
    step: u32,
    /// Steps until it is done.
    #[schema(example = 200)]
    steps: u32,
    /// Numbers in the model.
    #[schema(example = 1_234_567)]
    parameters: u32,
    /// Seconds spent training, over all its starts.
    #[schema(example = 61.5)]
    seconds: f64,
    /// blake3 hash of the finished weights; null before that.
    #[schema(required, value_type = Option<String>, example = "1eb0c4…")]
    weights: Option<ContentHash>,
    /// Why it failed; null if it did not.
    #[schema(required, example = "the loss is not a number")]
    error: Option<String>,
    /// When it first started; null if it has not.
    #[schema(required, format = DateTime, example = "2026-03-01T09:30:00.125Z")]
    started_at: Option<String>,
    /// When it was done, stopped or failed; null before that.
    #[schema(required, format = DateTime, example = "2026-03-01T09:31:02.000Z")]
    finished_at: Option<String>,
    /// The resolved model and training configuration.
    #[schema(value_type = BTreeMap<String, Value>, example = json!({ "model": { "width": 64 } }))]
    config: Value,
}

/// All experiments, newest first.
pub async fn list(reader: Reader, _: Nothing, paging: Paging) -> Result<Page<Experiment>, Problem> {
    let all = reader.experiments().await?;
    let mut items = Vec::new();
    for row in paging.of(&all)? {
        let runs = reader.training_runs(row.id).await?;
        items.push(Experiment::load(&reader, row.clone(), &runs).await?);
    }
    Ok(paging.page(all.len(), items, "/api/experiments"))
}

/// One experiment.
pub async fn one(reader: Reader, Named { experiment }: Named, _: Nothing) -> Result<Whole, Problem> {
    let row = reader.experiment(experiment).await?;
    let (config, source) = (row.config.clone(), row.source.clone());
    let trials = reader.trials(experiment).await?;
    let runs = reader.training_runs(experiment).await?;
    Ok(Whole {
        experiment: Experiment::load(&reader, row, &runs).await?,
        variants: variants(&trials, &runs),
        training_runs: runs.into_iter().map(TrainingRun::from).collect(),
        notes: reader.notes(experiment).await?.into_iter().map(Note::from).collect(),
        config,
        source,
    })
}

impl Experiment {
    async fn load(reader: &Reader, row: ExperimentRow, runs: &[ExperimentTrainingRow]) -> Result<Self, Problem> {
        let trials = reader.trial_counts(row.id).await?;
        Ok(Self {
            last_activity: reader.last_activity(row.id).await?,
            tags: reader.tags(row.id).await?,
            status: status(&trials, runs),
            trials: Counts { all: trials.all, running: trials.running, failed: trials.failed, done: trials.done },
            id: row.id,
            key: row.key,
            name: row.name,
            question: row.question,
            created_at: row.created_at,
        })
    }
}

fn status(trials: &TrialCounts, runs: &[ExperimentTrainingRow]) -> State {
    let states: Vec<State> = runs.iter().map(|linked| linked.run.status.into()).collect();
    let any = |state| states.contains(&state);
    // Trials follow the training of their variant: while there are none, an experiment is not done.
    let all_done = trials.all > 0 && trials.done == trials.all && states.iter().all(|state| *state == State::Done);
    match trials {
        _ if trials.running > 0 || any(State::Running) => State::Running,
        _ if trials.failed > 0 || any(State::Failed) => State::Failed,
        _ if all_done => State::Done,
        _ if any(State::Stopped) => State::Stopped,
        _ => State::Pending,
    }
}

fn variants(trials: &[TrialReport], runs: &[ExperimentTrainingRow]) -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    let trained = runs.iter().map(|linked| (&linked.variant, None));
    for (name, trial) in trained.chain(trials.iter().map(|trial| (&trial.variant, Some(trial)))) {
        let index = variants.iter().position(|variant| variant.name == *name).unwrap_or_else(|| {
            variants.push(Variant { name: name.clone(), trials: 0, trials_done: 0 });
            variants.len() - 1
        });
        variants[index].trials += u32::from(trial.is_some());
        variants[index].trials_done += u32::from(trial.is_some_and(|trial| State::from(trial.status) == State::Done));
    }
    variants
}

impl From<ExperimentTrainingRow> for TrainingRun {
    fn from(linked: ExperimentTrainingRow) -> Self {
        let ExperimentTrainingRow { variant, run, .. } = linked;
        Self {
            id: run.id.0,
            variant,
            seed: run.seed,
            status: run.status.into(),
            step: run.step,
            steps: run.steps,
            parameters: run.parameters,
            seconds: run.seconds,
            weights: run.weights_hash,
            error: run.error,
            started_at: run.started_at,
            finished_at: run.finished_at,
            config: run.config,
        }
    }
}
