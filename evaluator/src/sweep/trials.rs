//! Trials: one trained variant × threshold × strategy, over every held-out block.

use super::curves::Curves;
use super::live::{Live, Quality, flops, mean_colour, quality};
use super::pictures::{HeldOut, Pictures, png};
use super::training::Trained;
use super::{MetricIds, Run};
use crate::error::{EvaluatorError, Result};
use crate::experiment::{SearchMode, Variant};
use crate::metric;
use crate::search::{Cost, DistortionSource, Encoding, Found, Probe, Question, Replay, SearchStrategy, meets};
use crate::statistics::{BOOTSTRAP_SEED, clustered_interval, mean, sample_deviation};
use crate::store::{
    BlockRecord, ContentHash, Lease, MediaType, NewSummary, NewTrial, ProtocolId, SampleRecord, TrialId, TrialStatus,
};
use engine::data::Picture;
use engine::{BlockSequence, ElasticTok};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Raised when the same trial would measure other numbers.
pub const EVALUATOR_VERSION: u32 = 1;

/// A trial to run.
pub(super) struct Planned<'a> {
    pub(super) id: TrialId,
    pub(super) title: String,
    pub(super) variant: &'a Variant,
    pub(super) strategy: Arc<dyn SearchStrategy>,
    pub(super) threshold: f64,
}

/// A model and everything its trials are run on.
pub(super) struct Bench<'a> {
    pub(super) variant: &'a Variant,
    pub(super) seed: u64,
    pub(super) trained: &'a Trained,
    pub(super) pictures: &'a Pictures,
    pub(super) protocol: ProtocolId,
    pub(super) curves: &'a Curves,
}

impl Run<'_> {
    /// Registers every threshold × strategy of the bench; trials done before are counted, not returned.
    pub(super) async fn plan_trials<'a>(&self, bench: &Bench<'a>, first: u32) -> Result<(Vec<Planned<'a>>, usize)> {
        let (variant, sweep) = (bench.variant, &bench.variant.sweep);
        let (mut planned, mut reused) = (Vec::new(), 0);
        let samples: Vec<String> = bench.pictures.held_out.iter().map(|sample| sample.key.to_string()).collect();
        let pairs = sweep.strategies.iter().flat_map(|strategy| sweep.thresholds.iter().map(move |t| (strategy, *t)));
        for (offset, (strategy, threshold)) in pairs.enumerate() {
            // What was asked, of which weights, on which pictures: equal keys mean equal numbers.
            let config = json!({
                "strategy": strategy.name(), "threshold": threshold, "search": sweep.search,
                "min_tokens": variant.range().min(), "max_tokens": variant.range().max(),
                "training": variant.training_config(),
            });
            let identity = json!({
                "config": config, "seed": bench.seed, "weights": bench.trained.weights, "samples": samples,
                "protocol": bench.pictures.protocol.key(), "version": EVALUATOR_VERSION,
            });
            let new = NewTrial {
                key: ContentHash::of(identity.to_string().as_bytes()),
                config,
                training_run: Some(bench.trained.run),
                dataset: bench.pictures.test_dataset,
                protocol: bench.protocol,
                provenance: Some(self.provenance),
                weights: Some(bench.trained.weights),
                evaluator_version: EVALUATOR_VERSION,
                strategy: strategy.name(),
                threshold: Some(threshold),
                seed: bench.seed as i64,
                // A fixed budget has no curve to replay, and no search.
                replayed: sweep.search == SearchMode::Replay && !bench.curves.is_empty(),
                samples: bench.pictures.held_out.len() as u32,
            };
            let id = self.store.put_trial(&new).await?.id;
            self.store.link_trial(self.experiment, first + offset as u32, &variant.name, id).await?;
            if self.store.trial_status(id).await? == TrialStatus::Done {
                reused += 1;
                continue;
            }
            let title = format!("{} τ={threshold}", strategy.name());
            planned.push(Planned { id, title, variant, strategy: strategy.clone(), threshold });
        }
        Ok((planned, reused))
    }

    /// Runs one trial, unless another process has it: then `false`. `finished` counts the model's samples so far.
    pub(super) async fn run_trial(&self, trial: &Planned<'_>, bench: &Bench<'_>, finished: &mut u64) -> Result<bool> {
        match self.store.acquire(trial.id).await? {
            Lease::HeldBy { .. } => return Ok(false),
            Lease::Acquired { .. } if self.store.trial_status(trial.id).await? == TrialStatus::Done => {
                self.store.release(trial.id).await?;
                return Ok(true);
            }
            Lease::Acquired { .. } => {}
        }
        self.store.start_trial(trial.id).await?;
        let outcome = self.evaluate_samples(trial, bench, finished).await;
        match &outcome {
            Ok(()) => {}
            Err(EvaluatorError::Stopped) => self.store.pause_trial(trial.id).await?,
            Err(error) => self.store.fail_trial(trial.id, &error.to_string()).await?,
        }
        self.store.release(trial.id).await?;
        outcome.map(|()| true)
    }

    async fn evaluate_samples(&self, trial: &Planned<'_>, bench: &Bench<'_>, finished: &mut u64) -> Result<()> {
        let done = self.store.done_samples(trial.id).await?;
        *finished += done.len() as u64;
        for held_out in bench.pictures.held_out.iter().filter(|held_out| !done.contains(&held_out.sample)) {
            if self.options.stop.is_asked() {
                return Err(EvaluatorError::Stopped);
            }
            let record = self.evaluate(trial, bench, held_out).await?;
            self.store.record_sample(trial.id, &record).await?;
            *finished += 1;
            self.progress.advance(*finished, &trial.title);
        }
        let summaries = self.summarize(trial.id, bench).await?;
        self.store.finish_trial(trial.id, &summaries).await?;
        Ok(())
    }

    /// Searches one sample and measures the final reconstruction.
    async fn evaluate(&self, trial: &Planned<'_>, bench: &Bench<'_>, held_out: &HeldOut) -> Result<SampleRecord> {
        let answer = answer(trial, bench, held_out)?;
        let shape = bench.trained.model.config().block;
        let picture = Picture { width: shape.width, height: shape.height, pixels: answer.quality.pixels.clone() };
        let reconstruction = self.store.put_artifact(png(&picture)?, MediaType::Png).await?.id;
        let (quality, cost) = (&answer.quality, &answer.cost);
        let met = meets(quality.distortion, trial.threshold);
        let block = BlockRecord {
            block: 0,
            kept_tokens: answer.found.kept_tokens as u32,
            distortion: quality.distortion,
            threshold_met: Some(met),
            encoder_evaluations: cost.evaluations.encoder as u32,
            decoder_evaluations: cost.evaluations.decoder as u32,
            commit_evaluations: cost.evaluations.commit as u32,
            final_evaluations: cost.evaluations.final_reconstruction as u32,
            sequential_depth: cost.sequential_depth as u32,
            flops: cost.flops,
            seconds: cost.seconds,
            probes: answer.trace.iter().map(|(kept, distortion)| (*kept as u32, *distortion)).collect(),
        };
        let measurements = measurements(&self.metrics, trial, bench, held_out, &answer)?;
        Ok(SampleRecord {
            sample: held_out.sample,
            reconstruction: Some(reconstruction),
            blocks: vec![block],
            measurements,
        })
    }

    /// One row for each metric that every sample has.
    async fn summarize(&self, trial: TrialId, bench: &Bench<'_>) -> Result<Vec<NewSummary>> {
        let source: HashMap<_, _> = bench.pictures.held_out.iter().map(|h| (h.sample, h.source)).collect();
        let mut by_metric: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
        for row in self.store.measurements(trial).await? {
            by_metric.entry(row.metric).or_default().push((source[&row.sample_id], row.value));
        }
        let complete = by_metric.into_iter().filter(|(_, values)| values.len() == bench.pictures.held_out.len());
        let summaries = complete.map(|(name, observations)| {
            let values: Vec<f64> = observations.iter().map(|(_, value)| *value).collect();
            NewSummary {
                metric: self.metrics.by_name(&name),
                samples: values.len() as u32,
                mean: mean(&values),
                deviation: sample_deviation(&values),
                interval: clustered_interval(observations, BOOTSTRAP_SEED).map(|i| (i.low, i.high)),
                minimum: values.iter().copied().fold(f64::INFINITY, f64::min),
                maximum: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            }
        });
        Ok(summaries.collect())
    }
}

/// What a search found for one block, and the final reconstruction.
struct Answer {
    found: Found,
    quality: Quality,
    cost: Cost,
    trace: Vec<(usize, f64)>,
}

fn answer(trial: &Planned<'_>, bench: &Bench<'_>, held_out: &HeldOut) -> Result<Answer> {
    let model: &ElasticTok = &bench.trained.model;
    let (shape, range) = (model.config().block, trial.variant.range());
    let block = held_out.block(shape);
    let sequence = BlockSequence::new(model, Encoding::PerCount);
    let flops = flops(model.config(), 0);
    let mut live = Live { sequence: &sequence, block: &block, flops, seconds: 0.0 };
    let mut replay;
    let source: &mut dyn DistortionSource = match (trial.variant.sweep.search, bench.curves.get(&held_out.sample)) {
        (SearchMode::Replay, Some(curve)) => {
            replay = Replay::new(curve.iter().copied(), flops, Encoding::PerCount);
            &mut replay
        }
        _ => &mut live,
    };
    let mut probe = Probe::new(source, range);
    let found = trial.strategy.search(&Question::new(trial.threshold), &mut probe)?;
    probe.count_final_reconstruction();
    let (cost, trace) = (probe.cost(), probe.trace().to_vec());
    // The final reconstruction decides whether the threshold is met, whatever the search saw.
    let reconstruction = sequence.reconstruct(&block, &[found.kept_tokens]).remove(0);
    Ok(Answer { found, quality: quality(shape, &block, &reconstruction)?, cost, trace })
}

fn measurements(
    ids: &MetricIds,
    trial: &Planned<'_>,
    bench: &Bench<'_>,
    held_out: &HeldOut,
    answer: &Answer,
) -> Result<Vec<(crate::store::MetricId, f64)>> {
    let config = bench.trained.model.config();
    let (shape, range) = (config.block, trial.variant.range());
    let (quality, kept) = (&answer.quality, [answer.found.kept_tokens]);
    let block = held_out.block(shape);
    let floor = self::quality(shape, &block, &mean_colour(&block, shape.patch_values()))?;
    let costs = [answer.cost];
    let mut values = vec![
        (&metric::MSE, quality.distortion),
        (&metric::PSNR, quality.psnr),
        (&metric::SSIM, quality.ssim),
        (&metric::MEAN_COLOUR_PSNR, floor.psnr),
        (&metric::KEPT_TOKENS, metric::kept_tokens(&kept)),
        (&metric::TOKEN_SHARE, metric::token_share(&kept, range)),
        (&metric::THRESHOLD_MET, metric::threshold_met(&[quality.distortion], trial.threshold)),
        (&metric::EVALUATIONS, metric::evaluations(&costs)),
        (&metric::FLOPS, metric::flops(&costs)),
    ];
    if let Some(codebook) = config.bottleneck.codebook_size() {
        let codebook = codebook as usize;
        values.push((&metric::BITS, metric::bits(&kept, codebook, range)));
        let bits_per_pixel = metric::bits_per_pixel(&kept, codebook, range, shape.pixels());
        values.push((&metric::BITS_PER_PIXEL, bits_per_pixel));
    }
    if let Some(seconds) = metric::search_seconds(&costs) {
        values.push((&metric::SEARCH_SECONDS, seconds));
    }
    Ok(values.into_iter().map(|(metric, value)| (ids.by_name(metric.name), value)).collect())
}
