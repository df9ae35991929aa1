//! `/api/experiments/{experiment}/trials` and `…/trials/{trial}`.

use evaluator::store::{ContentHash, DatasetRow, ExperimentId, ProtocolRow, Reader, SummaryRow, TrialId, TrialReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::endpoint::Nothing;
use super::experiments;
use super::notes::Note;
use super::paging::{Page, Paging};
use super::states::{Better, State};
use crate::error::Problem;
use crate::format;

/// Which trial.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Named {
    /// The experiment's number.
    #[param(value_type = i64, example = 1)]
    pub experiment: ExperimentId,
    /// The trial's number.
    #[param(value_type = i64, example = 1)]
    pub trial: TrialId,
}

/// One variant × strategy × threshold × seed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trial {
    /// Its number. Variants that come to the same share a trial.
    #[schema(value_type = i64, example = 1)]
    id: TrialId,
    /// blake3 hash of configuration, data, weights, seed and evaluator version: the same in every store.
    #[schema(value_type = String, example = "2db0c4…")]
    key: ContentHash,
    /// Its place in the experiment, from 0.
    #[schema(example = 0)]
    ordinal: u32,
    /// The variant's name in the experiment.
    #[schema(example = "elastic")]
    variant: String,
    /// The search strategy.
    #[schema(example = "binary")]
    strategy: String,
    /// What thresholds are of: `mse`, of values in [−1, 1] and at most the threshold, or `ssim`, at least.
    #[schema(value_type = String, example = "mse")]
    criterion: evaluator::experiment::Criterion,
    /// The threshold that every block has to meet, in the criterion's unit; null if the strategy asks for none.
    #[schema(required, example = 0.01)]
    threshold: Option<f64>,
    /// Seed of the strategy.
    #[schema(example = 0)]
    seed: i64,
    /// Whether probes were answered from stored distortion curves.
    #[schema(example = false)]
    replayed: bool,
    /// Where it stands.
    status: State,
    /// Why it failed; null if it did not.
    #[schema(required, example = "the disk is full")]
    error: Option<String>,
    /// How many samples it has when done.
    #[schema(example = 64)]
    samples: u32,
    /// How many samples are recorded.
    #[schema(example = 64)]
    samples_done: u32,
    /// When it first started; null if it has not.
    #[schema(required, format = DateTime, example = "2026-03-01T09:30:00.125Z")]
    started_at: Option<String>,
    /// When it was done or failed; null before that.
    #[schema(required, format = DateTime, example = "2026-03-01T09:31:02.000Z")]
    finished_at: Option<String>,
    /// The test set's number. Only numbers of one test set and one protocol can be compared.
    #[schema(example = 1)]
    dataset: i64,
    /// The number of the protocol: how it is measured.
    #[schema(example = 1)]
    protocol: i64,
    /// The training run whose weights are evaluated; null for a codec.
    #[schema(required, example = 1)]
    training_run: Option<i64>,
    /// blake3 hash of those weights; null for a codec.
    #[schema(required, value_type = Option<String>, example = "1eb0c4…")]
    weights: Option<ContentHash>,
    /// Raised whenever the evaluator's numbers change.
    #[schema(example = 2)]
    evaluator_version: u32,
    /// The resolved configuration.
    #[schema(value_type = BTreeMap<String, Value>, example = json!({ "max_tokens": 256 }))]
    config: Value,
    /// Every metric over all samples; empty until the trial is done.
    summaries: Vec<Summary>,
}

/// A metric over the samples of a trial.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// The metric's name.
    #[schema(example = "psnr")]
    metric: String,
    /// Raised whenever its arithmetic changes: values of different versions are of different metrics.
    #[schema(example = 1)]
    version: u32,
    /// The unit of the values below; empty for a pure number.
    #[schema(example = "dB")]
    unit: String,
    /// What it measures, in a sentence; empty for a metric that this version does not know.
    #[schema(example = "Peak signal-to-noise ratio of 8-bit pictures.")]
    description: &'static str,
    /// Which values are better.
    better: Better,
    /// Whether another run of the same trial may give another value: times.
    #[schema(example = false)]
    noisy: bool,
    /// How many samples it covers.
    #[schema(example = 64)]
    samples: u32,
    /// Their mean.
    #[schema(example = 27.31)]
    mean: f64,
    /// Lower end of the mean's 95 % bootstrap interval, clustered by source; null if there is none.
    #[schema(required, example = 26.4)]
    low: Option<f64>,
    /// Upper end of that interval.
    #[schema(required, example = 28.2)]
    high: Option<f64>,
    /// Their sample standard deviation; 0 for one sample.
    #[schema(example = 3.1)]
    deviation: f64,
    /// The smallest.
    #[schema(example = 19.8)]
    minimum: f64,
    /// The largest.
    #[schema(example = 34.0)]
    maximum: f64,
}

/// One trial with what it was evaluated on and how.
#[derive(Debug, Serialize, ToSchema)]
pub struct Whole {
    /// What the list says of it.
    trial: Trial,
    /// The test set.
    dataset: Dataset,
    /// How it is measured.
    protocol: Protocol,
    /// What was written about it in this experiment, oldest first.
    notes: Vec<Note>,
}

/// A test set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dataset {
    /// Its number.
    #[schema(example = 1)]
    id: i64,
    /// blake3 hash of its split and of its sources.
    #[schema(value_type = String, example = "3cb0c4…")]
    key: ContentHash,
    /// The folder as the experiment named it.
    #[schema(example = "photographs/test")]
    name: String,
    /// How many files it has: what intervals are clustered by.
    #[schema(example = 32)]
    sources: u32,
}

/// Crop, range, rounding, window, averaging: all that was fixed while measuring.
#[derive(Debug, Serialize, ToSchema)]
pub struct Protocol {
    /// Its number.
    #[schema(example = 1)]
    id: i64,
    /// blake3 hash of the description.
    #[schema(value_type = String, example = "4bb0c4…")]
    key: ContentHash,
    /// What was fixed, by name.
    #[schema(value_type = BTreeMap<String, Value>, example = json!({ "crop": "center" }))]
    description: Value,
}

/// The trials of an experiment, in the order of its file.
pub async fn list(
    reader: Reader,
    experiments::Named { experiment }: experiments::Named,
    paging: Paging,
) -> Result<Page<Trial>, Problem> {
    let id = reader.experiment(experiment).await?.id;
    let all = reader.trials(id).await?;
    let items = paging.of(&all)?.iter().cloned().map(Trial::from).collect();
    Ok(paging.page(all.len(), items, &format!("/api/experiments/{id}/trials")))
}

/// One trial.
pub async fn one(reader: Reader, Named { experiment, trial }: Named, _: Nothing) -> Result<Whole, Problem> {
    let id = reader.experiment(experiment).await?.id;
    let trial = reader.trial_of(id, trial).await?;
    Ok(Whole {
        dataset: reader.dataset(trial.dataset_id).await?.into(),
        protocol: reader.protocol(trial.protocol_id).await?.into(),
        notes: reader.notes_about(id, trial.id).await?.into_iter().map(Note::from).collect(),
        trial: trial.into(),
    })
}

impl From<TrialReport> for Trial {
    fn from(trial: TrialReport) -> Self {
        let mut summaries: Vec<Summary> = trial.summaries.iter().map(Summary::from).collect();
        summaries.sort_by_key(|summary| format::metric_order(&summary.metric));
        Self {
            criterion: evaluator::report::criterion(&trial),
            id: trial.id,
            key: trial.key,
            ordinal: trial.ordinal,
            variant: trial.variant,
            strategy: trial.strategy,
            threshold: trial.threshold,
            seed: trial.seed,
            replayed: trial.replayed,
            status: trial.status.into(),
            error: trial.error,
            samples: trial.samples,
            samples_done: trial.samples_done,
            started_at: trial.started_at,
            finished_at: trial.finished_at,
            dataset: trial.dataset_id.0,
            protocol: trial.protocol_id.0,
            training_run: trial.training_run_id.map(|run| run.0),
            weights: trial.weights_hash,
            evaluator_version: trial.evaluator_version,
            config: trial.config,
            summaries,
        }
    }
}

impl From<&SummaryRow> for Summary {
    fn from(row: &SummaryRow) -> Self {
        Self {
            metric: row.metric.clone(),
            version: row.version,
            unit: row.unit.clone(),
            description: format::description(&row.metric),
            better: row.direction.into(),
            noisy: row.noisy,
            samples: row.samples,
            mean: row.mean,
            low: row.low,
            high: row.high,
            deviation: row.deviation,
            minimum: row.minimum,
            maximum: row.maximum,
        }
    }
}

impl From<DatasetRow> for Dataset {
    fn from(row: DatasetRow) -> Self {
        Self { id: row.id.0, key: row.key, name: row.name, sources: row.sources }
    }
}

impl From<ProtocolRow> for Protocol {
    fn from(row: ProtocolRow) -> Self {
        Self { id: row.id.0, key: row.key, description: row.description }
    }
}
