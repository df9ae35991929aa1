//! A store as a sweep leaves it, with pictures drawn by formula: what the tests ask for and the demo shows.
//!
//! The «model» blends a patch's mean colour with the patch: by 1 − e^(−n/k) when n tokens are kept. Distortions are
//! those of the pictures it makes, so every number in a page fits the others.
#![allow(dead_code, reason = "tests and demo use different parts")]

use std::path::Path;

use evaluator::metric::{self, MetricDef};
use evaluator::statistics::{clustered_interval, mean, sample_deviation};
use evaluator::store::*;
use image::{Rgb, RgbImage};
use serde_json::json;

/// Side of a picture and of a patch, and tokens of a block.
const SIDE: u32 = 64;
const PATCH: u32 = 8;
pub const TOKENS: u32 = 64;

/// What to fill a store with.
pub struct Plan {
    pub name: String,
    pub question: String,
    pub sources: usize,
    pub blocks: u32,
    pub thresholds: Vec<f64>,
    /// Trials left unfinished at the end of the list: one failed, one under way.
    pub unfinished: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: "quickstart".into(),
            question: "How many tokens does a photograph need, and what does finding out cost?".into(),
            sources: 3,
            blocks: 1,
            thresholds: vec![0.01, 0.03],
            unfinished: false,
        }
    }
}

/// What was stored.
pub struct Filled {
    pub experiment: ExperimentId,
    pub trials: Vec<TrialId>,
    pub samples: Vec<SampleId>,
    pub originals: Vec<ContentHash>,
    pub reconstructions: Vec<ContentHash>,
}

pub fn key(words: &str) -> ContentHash {
    ContentHash::of(words.as_bytes())
}

/// A new store in this folder.
pub async fn open(folder: &Path) -> Store {
    Store::open(folder.join("results.db")).await.unwrap()
}

/// Two variants, trained and evaluated at every threshold.
pub async fn fill(store: &Store, plan: &Plan) -> Filled {
    let bench = Bench::new(store, plan).await;
    let mut filled = Filled {
        experiment: bench.experiment,
        trials: Vec::new(),
        samples: bench.samples.iter().map(|sample| sample.id).collect(),
        originals: bench.samples.iter().map(|sample| sample.original).collect(),
        reconstructions: Vec::new(),
    };
    let variants = [("elastic", vec!["full", "binary"], 18.0), ("fixed 25 %", vec!["fixed(0.25)"], 14.0)];
    for (ordinal, (variant, strategies, half)) in variants.into_iter().enumerate() {
        let (run, weights) = bench.train(ordinal as u32, variant).await;
        for strategy in strategies {
            for &threshold in &plan.thresholds {
                let trial = Trial { variant, strategy, threshold, half, weights };
                let ordinal = filled.trials.len() as u32;
                let stop = plan.unfinished && strategy.starts_with("fixed") && threshold == plan.thresholds[0];
                filled.trials.push(bench.evaluate(ordinal, run, &trial, stop, &mut filled.reconstructions).await);
            }
        }
    }
    if plan.unfinished {
        store.fail_trial(filled.trials[filled.trials.len() - 2], "the disk is full: free some space and run again").await.unwrap();
    }
    filled
}

struct Sample {
    id: SampleId,
    source: SourceId,
    picture: RgbImage,
    flat: RgbImage,
    original: ContentHash,
}

struct Trial<'a> {
    variant: &'a str,
    strategy: &'a str,
    threshold: f64,
    half: f64,
    weights: ContentHash,
}

struct Bench<'a> {
    store: &'a Store,
    plan: &'a Plan,
    experiment: ExperimentId,
    dataset: DatasetId,
    protocol: ProtocolId,
    provenance: ProvenanceId,
    samples: Vec<Sample>,
}

impl<'a> Bench<'a> {
    async fn new(store: &'a Store, plan: &'a Plan) -> Self {
        let name = &plan.name;
        let experiment = NewExperiment {
            key: key(name),
            name: name.clone(),
            question: plan.question.clone(),
            source: format!("name = \"{name}\"\nquestion = \"{}\"\n", plan.question),
            config: json!({ "name": name, "seeds": [0], "variants": [{ "name": "elastic", "model": { "width": 96 } }] }),
        };
        let dataset = NewDataset { key: key(&format!("{name} photos")), name: "data/photos/test".into(), split: Split::Test, sources: plan.sources as u32 };
        let dataset = store.put_dataset(&dataset).await.unwrap().id;
        let protocol = metric::Protocol::fixed_crops(128, SIDE as usize, 2);
        let protocol = store.put_protocol(protocol.key().parse().unwrap(), &serde_json::to_value(protocol).unwrap()).await;
        let provenance = NewProvenance {
            key: key("machine"),
            version: "0.1.0".into(),
            git_commit: Some("5f3a9c1d2b7e".into()),
            git_dirty: Some(false),
            rustc: "1.95.0".into(),
            cpu: "a processor with a name".into(),
            cpu_features: "avx2 fma avx512f".into(),
            threads: 2,
            os: "linux".into(),
            host: key("host").to_string(),
        };
        Self {
            store,
            plan,
            experiment: store.put_experiment(&experiment).await.unwrap().id,
            dataset,
            protocol: protocol.unwrap().id,
            provenance: store.put_provenance(&provenance).await.unwrap().id,
            samples: samples(store, plan, dataset).await,
        }
    }

    async fn train(&self, ordinal: u32, variant: &str) -> (TrainingRunId, ContentHash) {
        let (store, name) = (self.store, &self.plan.name);
        let run = NewTrainingRun {
            key: key(&format!("{name} {variant}")),
            config: json!({ "width": 96, "variant": variant }),
            seed: 0,
            dataset: self.dataset,
            provenance: Some(self.provenance),
            steps: 800,
            parameters: 731_904,
        };
        let run = store.put_training_run(&run).await.unwrap().id;
        store.link_training_run(self.experiment, ordinal, variant, run).await.unwrap();
        store.start_training(run, 0).await.unwrap();
        let point = |step: u32| {
            let wobble = f64::from(step * 7919 % 97) / 97.0 - 0.5;
            let mse = (0.03 + 0.004 * f64::from(ordinal)) * (1.0 + 12.0 * (-f64::from(step) / 90.0).exp()) * (1.0 + 0.15 * wobble);
            TrainingPoint { step, loss: mse, mse, kl: 0.0, learning_rate: 3e-3, gradient_norm: 1.0 + wobble, tokens_per_second: 2.1e4 }
        };
        store.report_training(run, 800, 92.4, &(1..=800).map(point).collect::<Vec<_>>()).await.unwrap();
        let weights = key(&format!("{name} weights of {variant}"));
        store.finish_training(run, weights, "checkpoints/a.safetensors").await.unwrap();
        (run, weights)
    }

    async fn evaluate(&self, ordinal: u32, run: TrainingRunId, trial: &Trial<'_>, stop: bool, kept: &mut Vec<ContentHash>) -> TrialId {
        let Trial { variant, strategy, threshold, weights, .. } = *trial;
        let config = json!({ "strategy": strategy, "threshold": threshold, "min_tokens": 4, "max_tokens": TOKENS });
        let new = NewTrial {
            key: key(&format!("{} {variant} {strategy} {threshold}", self.plan.name)),
            config,
            training_run: Some(run),
            dataset: self.dataset,
            protocol: self.protocol,
            provenance: Some(self.provenance),
            weights: Some(weights),
            evaluator_version: 1,
            strategy: strategy.into(),
            threshold: Some(threshold),
            seed: 0,
            replayed: false,
            samples: self.samples.len() as u32,
        };
        let id = self.store.put_trial(&new).await.unwrap().id;
        self.store.link_trial(self.experiment, ordinal, variant, id).await.unwrap();
        self.store.start_trial(id).await.unwrap();
        let mut all: Vec<(MetricId, SourceId, f64)> = Vec::new();
        for sample in self.samples.iter().take(if stop { 2 } else { usize::MAX }) {
            let record = self.record(trial, sample).await;
            all.extend(record.measurements.iter().map(|(metric, value)| (*metric, sample.source, *value)));
            kept.extend(record.reconstruction);
            self.store.record_sample(id, &record).await.unwrap();
        }
        if !stop {
            self.store.finish_trial(id, &summaries(&all)).await.unwrap();
        }
        id
    }

    async fn record(&self, trial: &Trial<'_>, sample: &Sample) -> SampleRecord {
        let point = |kept: u32| {
            let distortion = distortion(&sample.picture, &reconstruct(sample, kept, trial.half));
            CurvePoint { kept_tokens: kept, distortion, psnr: psnr(distortion), ssim: ssim(distortion) }
        };
        let curve: Vec<CurvePoint> = (4..=TOKENS).map(point).collect();
        let fixed = trial.strategy.starts_with("fixed");
        let (kept, probes) = if fixed { (16, Vec::new()) } else { bisect(&curve, trial.threshold) };
        let mut history = Vec::new();
        let mut blocks = Vec::new();
        for block in 0..self.plan.blocks {
            if !fixed {
                let new = NewCurve { weights: trial.weights, sample: sample.id, block, history: history.clone(), protocol: self.protocol, seconds: 0.4, points: curve.clone() };
                self.store.put_curve(&new).await.unwrap();
            }
            history.push(kept);
            blocks.push(block_record(block, kept, &curve, trial.threshold, &probes));
        }
        let picture = reconstruct(sample, kept, trial.half);
        let reconstruction = self.store.put_artifact(png(&picture), MediaType::Png).await.unwrap().id;
        let at = curve[kept as usize - 4];
        let values = [
            (&metric::MSE, at.distortion),
            (&metric::PSNR, at.psnr),
            (&metric::SSIM, at.ssim),
            (&metric::MEAN_COLOUR_PSNR, psnr(distortion(&sample.picture, &sample.flat))),
            (&metric::KEPT_TOKENS, f64::from(kept)),
            (&metric::TOKEN_SHARE, f64::from(kept) / f64::from(TOKENS)),
            (&metric::THRESHOLD_MET, f64::from(u8::from(at.distortion <= trial.threshold))),
            (&metric::EVALUATIONS, probes.len() as f64 + 1.0),
            (&metric::FLOPS, 6.1e8 * (probes.len() as f64 + 1.0)),
            (&metric::SEARCH_SECONDS, 0.004 * (probes.len() as f64 + 1.0)),
        ];
        let mut measurements = Vec::new();
        for (definition, value) in values {
            measurements.push((metric_id(self.store, definition).await, value));
        }
        SampleRecord { sample: sample.id, reconstruction: Some(reconstruction), blocks, measurements }
    }
}

fn block_record(block: u32, kept: u32, curve: &[CurvePoint], threshold: f64, probes: &[(u32, f64)]) -> BlockRecord {
    let distortion = curve[kept as usize - 4].distortion;
    BlockRecord {
        block,
        kept_tokens: kept,
        distortion,
        threshold_met: Some(distortion <= threshold),
        encoder_evaluations: probes.len() as u32,
        decoder_evaluations: probes.len() as u32,
        commit_evaluations: 0,
        final_evaluations: 1,
        sequential_depth: probes.len() as u32,
        flops: 6.1e8 * (probes.len() as f64 + 1.0),
        seconds: Some(0.004 * (probes.len() as f64 + 1.0)),
        probes: probes.to_vec(),
    }
}

fn bisect(curve: &[CurvePoint], threshold: f64) -> (u32, Vec<(u32, f64)>) {
    let (mut low, mut high, mut probes) = (4, TOKENS, Vec::new());
    while low < high {
        let middle = low.midpoint(high);
        let distortion = curve[middle as usize - 4].distortion;
        probes.push((middle, distortion));
        if distortion <= threshold { high = middle } else { low = middle + 1 }
    }
    (low, probes)
}

async fn samples(store: &Store, plan: &Plan, dataset: DatasetId) -> Vec<Sample> {
    let names = ["astronaut", "chelsea", "coffee", "rocket", "seeding", "heron", "harbour", "lichen"];
    let name = |index: usize| format!("{}{}.png", names[index % 8], if index < 8 { "" } else { " again" });
    let source = |index| NewSource { hash: key(&name(index)), name: name(index), width: 512, height: 384, frames: 1 };
    let sources = store.put_sources(dataset, &(0..plan.sources).map(source).collect::<Vec<_>>()).await.unwrap();
    let mut samples = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        for ordinal in 0..2 {
            let picture = scene(index as u32 * 2 + ordinal);
            let original = store.put_artifact(png(&picture), MediaType::Png).await.unwrap().id;
            let new = NewSample {
                key: key(&format!("{} {index} {ordinal}", plan.name)),
                source: source.id,
                ordinal,
                x: 32 * ordinal,
                y: 16,
                width: SIDE,
                height: SIDE,
                frames: 1,
                blocks: plan.blocks,
                artifact: Some(original),
            };
            let id = store.put_samples(&[new]).await.unwrap()[0].id;
            let flat = flat(&picture);
            samples.push(Sample { id, source: source.id, picture, flat, original });
        }
    }
    samples
}

async fn metric_id(store: &Store, definition: &MetricDef) -> MetricId {
    let MetricDef { name, version, unit, direction, noisy, .. } = *definition;
    let new = NewMetric { name: name.into(), version, unit: unit.into(), direction, noisy };
    store.put_metric(&new).await.unwrap().id
}

fn summaries(all: &[(MetricId, SourceId, f64)]) -> Vec<NewSummary> {
    let mut metrics: Vec<MetricId> = all.iter().map(|(metric, ..)| *metric).collect();
    metrics.sort();
    metrics.dedup();
    let summary = |metric: MetricId| {
        let of_metric = || all.iter().filter(move |row| row.0 == metric);
        let values: Vec<f64> = of_metric().map(|row| row.2).collect();
        NewSummary {
            metric,
            samples: values.len() as u32,
            mean: mean(&values),
            deviation: sample_deviation(&values),
            interval: clustered_interval(of_metric().map(|row| (row.1, row.2)), 0).map(|i| (i.low, i.high)),
            minimum: values.iter().copied().fold(f64::INFINITY, f64::min),
            maximum: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    };
    metrics.into_iter().map(summary).collect()
}

/// Hills under a sky, striped, with a sun.
fn scene(seed: u32) -> RgbImage {
    let s = f64::from(seed);
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (u, v) = (f64::from(x) / 64.0, f64::from(y) / 64.0);
        let hill = 0.55 + 0.15 * (5.0 * u + s).sin() + 0.06 * (17.0 * u * (1.0 + s % 3.0)).sin();
        let sun = (u - 0.3 - 0.1 * (s % 5.0)).hypot(v - 0.25) < 0.12;
        let stripe = 0.5 + 0.5 * ((14.0 + 5.0 * (s % 4.0)) * (u + 0.6 * v)).sin();
        let [r, g, b] = match (sun, v > hill) {
            (true, false) => [0.98, 0.85, 0.45],
            (_, true) => [0.2 + 0.25 * stripe, 0.35 + 0.2 * stripe * (s % 2.0), 0.18 + 0.2 * v],
            _ => [0.45 + 0.3 * v, 0.6 + 0.2 * v, 0.85 - 0.1 * v],
        };
        Rgb([r, g, b].map(|value: f64| (value * 255.0) as u8))
    })
}

/// Each patch in its mean colour.
fn flat(picture: &RgbImage) -> RgbImage {
    let mut flat = picture.clone();
    for (left, top) in (0..SIDE * SIDE / PATCH / PATCH).map(|patch| (patch % PATCH * PATCH, patch / PATCH * PATCH)) {
        let places = || (0..PATCH * PATCH).map(move |pixel| (left + pixel % PATCH, top + pixel / PATCH));
        let mean = |channel: usize| places().map(|(x, y)| u32::from(picture.get_pixel(x, y)[channel])).sum::<u32>() / (PATCH * PATCH);
        let colour = Rgb([0, 1, 2].map(|channel| mean(channel) as u8));
        places().for_each(|(x, y)| flat.put_pixel(x, y, colour));
    }
    flat
}

fn reconstruct(sample: &Sample, kept: u32, half: f64) -> RgbImage {
    let detail = (256.0 * (1.0 - (-f64::from(kept) / half).exp())) as i32;
    let mut picture = sample.flat.clone();
    for (value, original) in picture.iter_mut().zip(sample.picture.iter()) {
        *value = (i32::from(*value) + detail * (i32::from(*original) - i32::from(*value)) / 256) as u8;
    }
    picture
}

/// Mean squared error in [−1, 1].
fn distortion(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
    (squares as f64 / f64::from(SIDE * SIDE * 3) / 127.5_f64.powi(2)).max(1e-6)
}

fn psnr(distortion: f64) -> f64 {
    10.0 * (4.0 / distortion).log10()
}

fn ssim(distortion: f64) -> f64 {
    1.0 / (1.0 + 12.0 * distortion)
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
