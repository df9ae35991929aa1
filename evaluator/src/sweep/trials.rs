//! Trials: one trained variant × threshold × strategy over the held-out samples, planned, run and summarized.

use super::Run;
use super::evaluate::{Bench, Evaluated, read_codes};
use crate::error::{EvaluatorError, Result};
use crate::experiment::Variant;
use crate::metric::{self, Protocol};
use crate::search::SearchStrategy;
use crate::statistics::{BOOTSTRAP_SEED, clustered_interval, mean, sample_deviation};
use crate::store::{ContentHash, DatasetId, NewSummary, NewTrial, ProtocolId, SampleId, TrialId, TrialStatus};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Raised when the same trial would measure other numbers.
pub const EVALUATOR_VERSION: u32 = 2;

/// What the events of a trial say of it.
fn told(trial: &Planned, bench: &Bench<'_>) -> Value {
    let (variant, strategy) = (&bench.variant.name, trial.strategy.name());
    json!({ "variant": variant, "seed": bench.seed, "strategy": strategy, "threshold": trial.threshold })
}

/// A trial to run.
pub(super) struct Planned {
    pub(super) id: TrialId,
    /// Which of the sweep's strategies and thresholds.
    pub(super) place: (usize, usize),
    pub(super) title: String,
    pub(super) strategy: Arc<dyn SearchStrategy>,
    pub(super) threshold: f64,
}

impl Planned {
    /// The trial of this place in the variant's sweep.
    pub(super) fn new(id: TrialId, variant: &Variant, place: (usize, usize)) -> Self {
        let (strategy, threshold) = (variant.sweep.strategies[place.0].clone(), variant.sweep.thresholds[place.1]);
        Self { id, place, title: format!("{} τ={threshold}", strategy.name()), strategy, threshold }
    }
}

/// The samples of a trial that were evaluated before, with the counts of their last blocks.
pub(super) type Done = BTreeMap<SampleId, Option<usize>>;

/// A trial on its way through the samples, in their order.
pub(super) struct Walk {
    done: Done,
    next: usize,
    /// The source of the sample before, and the count of its last block.
    previous: Option<(usize, usize)>,
}

impl Walk {
    /// At the first sample.
    pub(super) fn new(done: Done) -> Self {
        Self { done, next: 0, previous: None }
    }

    /// Evaluates the next sample that is not done; `None` if there is none.
    pub(super) fn step(&mut self, trial: &Planned, bench: &Bench<'_>) -> Result<Option<Evaluated>> {
        while let Some(sample) = bench.held_out.get(self.next) {
            self.next += 1;
            if let Some(kept) = self.done.get(&sample.id) {
                self.previous = kept.map(|count| (sample.source, count));
                continue;
            }
            let of_source = self.previous.filter(|(source, _)| *source == sample.source).map(|(_, count)| count);
            let evaluated = bench.evaluate(trial, sample, of_source)?;
            self.previous = evaluated.blocks.last().map(|block| (sample.source, block.kept_tokens as usize));
            return Ok(Some(evaluated));
        }
        Ok(None)
    }
}

impl Run<'_> {
    /// Registers every threshold × strategy of the bench; trials done before are counted, not returned.
    pub(super) async fn plan_trials(
        &self,
        bench: &Bench<'_>,
        dataset: DatasetId,
        protocol: (Protocol, ProtocolId),
        first: u32,
    ) -> Result<(VecDeque<Planned>, usize)> {
        let (variant, sweep) = (bench.variant, &bench.variant.sweep);
        let (mut planned, mut reused) = (VecDeque::new(), 0);
        let samples: Vec<String> = bench.held_out.iter().map(|sample| sample.key.to_string()).collect();
        let thresholds = sweep.thresholds.len();
        for offset in 0..sweep.strategies.len() * thresholds {
            let place = (offset / thresholds, offset % thresholds);
            let (strategy, threshold) = (&sweep.strategies[place.0], sweep.thresholds[place.1]);
            // What was asked, of which weights, on which pictures: equal keys mean equal numbers.
            let mut config = json!({
                "strategy": strategy.name(), "threshold": threshold, "search": sweep.search,
                "criterion": sweep.criterion, "encoding": sweep.encoding,
                "min_tokens": variant.range().min(), "max_tokens": variant.range().max(),
                "training": variant.training_config(),
            });
            if variant.data.sample_blocks() > 1 {
                let window = sweep.window;
                config["window"] = if window == usize::MAX { json!("all") } else { json!(window) };
            }
            let identity = json!({
                "config": config, "seed": bench.seed, "weights": bench.trained.weights, "samples": samples,
                "protocol": protocol.0.key(), "version": EVALUATOR_VERSION,
                "predictors": strategy.asks().and(bench.predictors.as_ref()).map(|predictors| predictors.key),
            });
            let new = NewTrial {
                key: ContentHash::of(identity.to_string().as_bytes()),
                config,
                training_run: bench.trained.run,
                dataset,
                protocol: protocol.1,
                provenance: Some(self.provenance),
                weights: Some(bench.trained.weights),
                evaluator_version: EVALUATOR_VERSION,
                strategy: strategy.name(),
                threshold: Some(threshold),
                seed: bench.seed as i64,
                replayed: variant.replays(),
                samples: bench.held_out.len() as u32,
            };
            let id = self.store.put_trial(&new).await?.id;
            self.store.link_trial(self.experiment, first + offset as u32, &variant.name, id).await?;
            if self.store.trial_status(id).await? == TrialStatus::Done {
                reused += 1;
                continue;
            }
            planned.push_back(Planned::new(id, variant, place));
        }
        Ok((planned, reused))
    }

    /// Begins a trial whose lease is ours: what of it was done before.
    pub(super) async fn begin_trial(&self, trial: &Planned, bench: &Bench<'_>) -> Result<Done> {
        self.store.start_trial(trial.id).await?;
        let samples = self.store.done_samples(trial.id).await?;
        let mut started = told(trial, bench);
        started["samples_done"] = json!(samples.len()); // where its rate is counted from
        self.event("trial started", Some(trial.id.into()), started).await?;
        let kept = match samples.is_empty() {
            true => HashMap::new(),
            false => self.last_counts(trial.id).await?,
        };
        Ok(samples.into_iter().map(|sample| (sample, kept.get(&sample).copied())).collect())
    }

    /// Ends a trial that was begun, well or not.
    pub(super) async fn end_trial(&self, trial: &Planned, bench: &Bench<'_>, outcome: &Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => {
                let summaries = self.summarize(trial.id, bench).await?;
                self.store.finish_trial(trial.id, &summaries).await?;
            }
            Err(EvaluatorError::Stopped) => self.store.pause_trial(trial.id).await?,
            Err(error) => self.store.fail_trial(trial.id, &error.to_string()).await?,
        }
        self.store.release(trial.id).await?;
        self.ended("trial", Some(trial.id.into()), told(trial, bench), outcome).await
    }

    /// The count of every recorded sample's last block.
    async fn last_counts(&self, trial: TrialId) -> Result<HashMap<SampleId, usize>> {
        let blocks = self.store.blocks(trial).await?;
        Ok(blocks.into_iter().map(|block| (block.sample_id, block.record.kept_tokens as usize)).collect())
    }

    /// One row for each metric that every sample has.
    async fn summarize(&self, trial: TrialId, bench: &Bench<'_>) -> Result<Vec<NewSummary>> {
        let source: HashMap<_, _> = bench.held_out.iter().map(|h| (h.id, h.source)).collect();
        let mut by_metric: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
        for row in self.store.measurements(trial).await? {
            by_metric.entry(row.metric).or_default().push((source[&row.sample_id], row.value));
        }
        let complete = by_metric.into_iter().filter(|(_, values)| values.len() == bench.held_out.len());
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
        let mut summaries: Vec<NewSummary> = summaries.collect();
        summaries.extend(self.codebook_summaries(trial, bench).await?);
        Ok(summaries)
    }

    /// How much of the codebook the kept tokens of all samples use; nothing for a VAE.
    async fn codebook_summaries(&self, trial: TrialId, bench: &Bench<'_>) -> Result<Vec<NewSummary>> {
        let Some(size) = bench.trained.model.config().bottleneck.codebook_size() else { return Ok(Vec::new()) };
        let blocks = self.store.blocks(trial).await?;
        let codes: Vec<Vec<u32>> =
            blocks.iter().filter_map(|block| block.record.codes.as_deref()).map(read_codes).collect();
        let Some(used) = metric::codebook_use(codes.iter().map(Vec::as_slice), size) else { return Ok(Vec::new()) };
        let values = [(metric::CODEBOOK_USAGE, used.usage), (metric::CODEBOOK_PERPLEXITY, used.perplexity)];
        let samples = bench.held_out.len() as u32;
        let summary = |(metric, mean): (metric::MetricDef, f64)| NewSummary {
            metric: self.metrics.by_name(metric.name),
            samples,
            mean,
            deviation: 0.0,
            interval: None,
            minimum: mean,
            maximum: mean,
        };
        Ok(values.into_iter().map(summary).collect())
    }
}
