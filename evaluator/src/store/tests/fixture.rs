//! A small store in a temporary folder: one experiment, one trial, two sources with two samples each.

use crate::metric::Direction;
use tempfile::TempDir;

use crate::store::{
    BlockRecord, ContentHash, DatasetId, ExperimentId, MetricId, NewDataset, NewExperiment, NewMetric, NewPredictor,
    NewSample, NewSource, NewSummary, NewTrainingRun, NewTrial, ProtocolId, SampleId, SampleRecord, SourceId, Split,
    Store, TrainingPoint, TrainingRunId, TrialId,
};

/// A store with one row of each kind that a trial needs.
pub(in crate::store) struct Workbench {
    pub store: Store,
    pub experiment: ExperimentId,
    pub dataset: DatasetId,
    /// `b.png`, then `a.png`: ids and names are in opposite orders on purpose.
    pub sources: Vec<SourceId>,
    /// Two crops of `b.png`, two of `a.png`.
    pub samples: Vec<SampleId>,
    pub psnr: MetricId,
    pub tokens: MetricId,
    pub protocol: ProtocolId,
    pub run: TrainingRunId,
    /// Ordinal 0, variant `base`, four samples, pending.
    pub trial: TrialId,
    pub folder: TempDir,
}

/// The hash of some words, where a test needs a key.
pub(in crate::store) fn key(words: &str) -> ContentHash {
    ContentHash::of(words.as_bytes())
}

impl Workbench {
    pub(in crate::store) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("results.db")).await.unwrap();
        Self::found(store, folder).await
    }

    /// The same workbench in a store that has it already: every `put` finds its row.
    pub(in crate::store) async fn found(store: Store, folder: TempDir) -> Self {
        let experiment = NewExperiment {
            key: key("experiment"),
            name: "first".into(),
            question: "Does it work?".into(),
            source: "name = \"first\"".into(),
            config: serde_json::json!({ "name": "first" }),
        };
        let experiment = store.put_experiment(&experiment).await.unwrap().id;
        let dataset = NewDataset { key: key("dataset"), name: "photos".into(), split: Split::Test, sources: 2 };
        let dataset = store.put_dataset(&dataset).await.unwrap().id;
        let source = |name: &str| NewSource { hash: key(name), name: name.into(), width: 640, height: 480, frames: 1 };
        let sources = store.put_sources(dataset, &[source("b.png"), source("a.png")]).await.unwrap();
        let sources: Vec<_> = sources.iter().map(|source| source.id).collect();
        let new_samples: Vec<_> = sources
            .iter()
            .zip(["b.png", "a.png"])
            .flat_map(|(&source, name)| {
                [0, 1].map(|ordinal| NewSample {
                    key: key(&format!("sample {ordinal} of {name}")),
                    source,
                    ordinal,
                    x: 0,
                    y: 0,
                    width: 256,
                    height: 256,
                    frames: 1,
                    blocks: 1,
                    artifact: None,
                })
            })
            .collect();
        let samples = store.put_samples(&new_samples).await.unwrap().iter().map(|sample| sample.id).collect();
        let psnr = metric(&store, "psnr", "dB", Direction::Higher).await;
        let tokens = metric(&store, "tokens", "tokens", Direction::Lower).await;
        let protocol = store.put_protocol(key("protocol"), &serde_json::json!({ "crop": 256 })).await.unwrap().id;
        let run = NewTrainingRun {
            key: key("run"),
            config: serde_json::json!({ "width": 64 }),
            seed: 1,
            dataset,
            provenance: None,
            steps: 100,
            parameters: 1_000_000,
        };
        let run = store.put_training_run(&run).await.unwrap().id;
        store.link_training_run(experiment, 0, "base", run).await.unwrap();
        let trial = TrialId(0); // replaced in the next lines: `new_trial` needs the other ids
        let mut bench =
            Self { store, experiment, dataset, sources, samples, psnr, tokens, protocol, run, trial, folder };
        bench.trial = bench.store.put_trial(&bench.new_trial("trial")).await.unwrap().id;
        bench.store.link_trial(experiment, 0, "base", bench.trial).await.unwrap();
        bench
    }

    /// A trial over the four samples.
    pub(in crate::store) fn new_trial(&self, words: &str) -> NewTrial {
        NewTrial {
            key: key(words),
            config: serde_json::json!({ "strategy": "binary" }),
            training_run: Some(self.run),
            dataset: self.dataset,
            protocol: self.protocol,
            provenance: None,
            weights: Some(key("weights")),
            evaluator_version: 1,
            strategy: "binary".into(),
            threshold: Some(0.05),
            seed: 7,
            replayed: false,
            samples: 4,
        }
    }
}

async fn metric(store: &Store, name: &str, unit: &str, direction: Direction) -> MetricId {
    let new = NewMetric { name: name.into(), version: 1, unit: unit.into(), direction, noisy: false };
    store.put_metric(&new).await.unwrap().id
}

/// A record of one block and two measurements.
pub(in crate::store) fn record(bench: &Workbench, sample: SampleId) -> SampleRecord {
    record_of(sample, bench.psnr, bench.tokens)
}

pub(in crate::store) fn record_of(sample: SampleId, psnr: MetricId, tokens: MetricId) -> SampleRecord {
    SampleRecord {
        sample,
        reconstruction: None,
        blocks: vec![BlockRecord {
            block: 0,
            kept_tokens: 128,
            distortion: 0.04,
            threshold_met: Some(true),
            encoder_evaluations: 1,
            decoder_evaluations: 2,
            commit_evaluations: 3,
            final_evaluations: 4,
            sequential_depth: 5,
            largest_batch: Some(6),
            flops: 6e9,
            seconds: Some(0.7),
            prediction_flops: Some(1e6),
            prediction_seconds: Some(0.01),
            probes: vec![(64, 0.06), (128, 0.04)],
            codes: Some(vec![1, 0, 0, 0]),
        }],
        measurements: vec![(psnr, 30.0), (tokens, 128.0)],
    }
}

/// A regressor trained on pictures of this set.
pub(in crate::store) fn new_predictor(dataset: DatasetId) -> NewPredictor {
    NewPredictor {
        key: key("predictor"),
        config: serde_json::json!({ "layers": 2 }),
        weights: key("weights"),
        dataset,
        provenance: None,
        curves: 5000,
        sources: 269,
        parameters: 1000,
        seconds: 12.5,
        file: "checkpoints/predictor-0/regressor.safetensors".to_owned(),
        file_hash: key("file"),
    }
}

/// A summary around this mean.
pub(in crate::store) fn summary(metric: MetricId, mean: f64) -> NewSummary {
    NewSummary {
        metric,
        samples: 4,
        mean,
        deviation: 0.5,
        interval: Some((mean - 1.0, mean + 1.0)),
        minimum: mean - 2.0,
        maximum: mean + 2.0,
    }
}

/// A point of training.
pub(in crate::store) fn point(step: u32) -> TrainingPoint {
    TrainingPoint {
        step,
        loss: 1.0 / f64::from(step),
        mse: 0.5,
        kl: 0.1,
        perceptual: 0.05,
        learning_rate: 1e-4,
        gradient_norm: 1.0,
        tokens_per_second: 1000.0,
    }
}
