//! Trains one variant with one seed, or finds that it was trained before.

use super::Run;
use super::samples::Samples;
use crate::error::{EvaluatorError, Result};
use crate::experiment::{GivenWeights, Variant};
use crate::store::{
    CheckpointFiles, ContentHash, Lease, NewTrainingRun, TrainingPoint, TrainingRunId, TrainingRunRow, TrainingStatus,
};
use engine::model::{load_model, save_model};
use engine::parameters::weights_hash;
use engine::ring::Trace;
use engine::train::{Start, StepReport, Trainer};
use engine::{ElasticTok, EngineError};
use serde_json::json;
use std::time::{Duration, Instant};

/// Raised when the same configuration would train to other weights.
const TRAINING_VERSION: u32 = 1;

/// A finished training run, or given weights.
pub(super) struct Trained {
    /// None of given weights.
    pub(super) run: Option<TrainingRunId>,
    pub(super) weights: ContentHash,
    pub(super) model: ElasticTok,
    /// It was found finished in the store.
    pub(super) reused: bool,
}

impl Run<'_> {
    /// The variant's weights for this seed. `ordinal` is the run's place in the experiment.
    pub(super) async fn train(&self, variant: &Variant, seed: u64, ordinal: u32, samples: &Samples) -> Result<Trained> {
        if let Some(given) = &variant.given {
            return load(given);
        }
        let (key, config) = (key(variant, seed, samples), variant.training_config());
        let start = start(variant, seed);
        let mut trainer = self.equip(Trainer::new(start.clone(), samples.sets.training(variant, seed))?, variant)?;
        let new = NewTrainingRun {
            key,
            config,
            seed: seed as i64,
            dataset: samples.train_dataset,
            provenance: Some(self.provenance),
            steps: variant.train.steps as u32,
            parameters: variant.model.parameter_count() as u32,
        };
        let run = self.store.put_training_run(&new).await?.id;
        self.store.link_training_run(self.experiment, ordinal, &variant.name, run).await?;

        let files = CheckpointFiles::beside(self.store.path(), key);
        let title = format!("{} seed {seed}", variant.name);
        match self.wait_for_training(run, &title, &files).await? {
            Wait::Ours => {}
            Wait::Done(trained) => return Ok(*trained),
            Wait::WeightsLost(weights) => {
                self.progress.say(&format!("{title}: its weights are missing or damaged, training it again"));
                let trainer = self.call_ranks(trainer, ordinal)?;
                let model = self.train_again(&title, trainer, &files, weights)?;
                return Ok(Trained { run: Some(run), weights, model, reused: false });
            }
        }
        if files.training.exists() {
            let resumed = Trainer::resume(start, samples.sets.training(variant, seed), &files.training)?;
            trainer = self.equip(resumed, variant)?;
            self.progress.say(&format!("{title}: goes on at step {}", trainer.step()));
        } else if let Some(Earlier { stages, row, model }) = self.earlier_stages(variant, seed, samples).await? {
            let further = Trainer::after_stages(start, samples.sets.training(variant, seed), stages, model)?;
            trainer = self.equip(further, variant)?;
            self.adopt_points(run, &row).await?;
            self.progress.say(&format!("{title}: its first {} steps were trained before", trainer.step()));
        }
        trainer = self.call_ranks(trainer, ordinal)?;
        self.store.start_training(run, trainer.step() as u32).await?;
        let told = || json!({ "variant": variant.name, "seed": seed });
        let mut started = told();
        started["mesh"] = json!(self.options.mesh.to_string());
        self.event("training started", Some(run.into()), started).await?;
        let outcome = self.take_steps(run, &title, &mut trainer, &files).await;
        self.progress.end();
        if let Err(error) = &outcome {
            match error {
                EvaluatorError::Stopped => self.store.stop_training(run).await?,
                error => self.store.fail_training(run, &error.to_string()).await?,
            }
            self.store.release(run).await?;
            self.ended("training", Some(run.into()), told(), &outcome).await?;
        }
        let traces = outcome?;
        self.say_traces(&title, &traces);
        let weights = save_model(trainer.model(), None, &files.weights)?.into();
        self.store.finish_training(run, weights, &files.weights_name).await?;
        self.store.release(run).await?;
        self.ended("training", Some(run.into()), told(), &Ok(())).await?;
        // The weights are safe: the training state, three times their size, is no longer needed.
        let _ = std::fs::remove_file(&files.training);
        Ok(Trained { run: Some(run), weights, model: trainer.model().clone(), reused: false })
    }

    /// The latest of this variant's stages whose weights a run that ended there has left.
    async fn earlier_stages(&self, variant: &Variant, seed: u64, samples: &Samples) -> Result<Option<Earlier>> {
        for stages in (1..variant.train.stages.len()).rev() {
            let key = key(&variant.first_stages(stages), seed, samples);
            let Some(row) = self.store.find_training_run(key).await? else { continue };
            let Ok((model, info)) = load_model(&CheckpointFiles::beside(self.store.path(), key).weights) else {
                continue;
            };
            if row.status == TrainingStatus::Done && row.weights_hash == Some(info.weights_hash.into()) {
                return Ok(Some(Earlier { stages, row, model }));
            }
        }
        Ok(None)
    }

    /// Makes what was seen in an earlier run this one's beginning, once.
    async fn adopt_points(&self, run: TrainingRunId, earlier: &TrainingRunRow) -> Result<()> {
        if self.store.training_run(run).await?.step == 0 {
            let points = self.store.training_points(earlier.id, 0).await?;
            self.store.start_training(run, 0).await?;
            self.store.report_training(run, earlier.steps, earlier.seconds, &points).await?;
        }
        Ok(())
    }

    /// The trainer with all that its gradients need, but other ranks.
    fn equip(&self, mut trainer: Trainer, variant: &Variant) -> Result<Trainer> {
        if self.options.ranks.is_none() {
            trainer = trainer.with_mesh(self.options.mesh)?;
        }
        trainer = with_network(trainer, variant)?;
        Ok(if self.options.trace { trainer.with_trace() } else { trainer })
    }

    /// Where the workers' time went since this process began the run.
    fn say_traces(&self, title: &str, traces: &[Trace]) {
        for (worker, trace) in traces.iter().enumerate() {
            let trace = trace.to_string();
            self.progress.say(&format!("{title}: attention of worker {worker}\n{}", trace.trim_end()));
        }
    }

    /// Finds the run finished, or takes its lease once no other process is working on it.
    async fn wait_for_training(&self, run: TrainingRunId, title: &str, files: &CheckpointFiles) -> Result<Wait> {
        let mut told = false;
        loop {
            let row = self.store.training_run(run).await?;
            if let (TrainingStatus::Done, Some(weights)) = (row.status, row.weights_hash) {
                let loaded = load_model(&files.weights).ok();
                let Some((model, _)) = loaded.filter(|(_, info)| ContentHash::from(info.weights_hash) == weights)
                else {
                    return Ok(Wait::WeightsLost(weights));
                };
                self.progress.say(&format!("{title}: trained before ({} steps), reused", row.steps));
                let run = Some(run);
                return Ok(Wait::Done(Box::new(Trained { run, weights, model, reused: true })));
            }
            match self.store.acquire(run).await? {
                Lease::Acquired { .. } => return Ok(Wait::Ours),
                Lease::HeldBy { process, .. } if !told => {
                    self.progress.say(&format!("{title}: process {} is training it, waiting", process.pid));
                    told = true;
                }
                Lease::HeldBy { .. } => {}
            }
            if self.options.stop.is_asked() {
                return Err(EvaluatorError::Stopped);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Makes the weights of a finished run once more; nothing is stored but their file.
    fn train_again(
        &self,
        title: &str,
        mut trainer: Trainer,
        files: &CheckpointFiles,
        expected: ContentHash,
    ) -> Result<ElasticTok> {
        self.progress.begin(&format!("train {title}"), 0, trainer.steps() as u64);
        while !trainer.is_finished() {
            if self.options.stop.is_asked() {
                self.progress.end();
                return Err(EvaluatorError::Stopped);
            }
            self.call_step();
            let report = trainer.advance()?;
            self.progress.advance(report.step as u64, "");
        }
        self.progress.end();
        self.call_trained(&trainer)?;
        if ContentHash::from(weights_hash(trainer.model())) != expected {
            return Err(EvaluatorError::Weights { path: files.weights.clone() });
        }
        save_model(trainer.model(), None, &files.weights)?;
        Ok(trainer.model().clone())
    }

    /// Steps to the end, with a checkpoint and the points up to it every few seconds; what its workers did.
    async fn take_steps(
        &self,
        run: TrainingRunId,
        title: &str,
        trainer: &mut Trainer,
        files: &CheckpointFiles,
    ) -> Result<Vec<Trace>> {
        let (steps, stages) = (trainer.steps(), trainer.stages());
        self.progress.begin(&format!("train {title}"), trainer.step() as u64, steps as u64);
        let (mut points, mut saved, mut seconds) = (Vec::new(), Instant::now(), 0.0);
        let mut trained_for = 0.0;
        while !trainer.is_finished() {
            let stopped = self.options.stop.is_asked();
            let due = stopped || saved.elapsed() >= self.options.checkpoint_every;
            if due {
                // Points first: those behind the checkpoint that a killed run goes on from are deleted and made again,
                // but points that were never stored would be missing.
                self.report(run, trainer.step(), &mut seconds, &mut points).await?;
            }
            let began = Instant::now();
            self.call_step();
            let report = trainer.advance_after(|good| if due { good.save(&files.training) } else { Ok(()) });
            let took = began.elapsed().as_secs_f64();
            match report {
                Ok(_) if stopped => return Err(EvaluatorError::Stopped),
                Ok(report) => {
                    seconds += took;
                    points.push(point(&report, took));
                    trained_for += took;
                    let stalled = 100.0 * trainer.waited().as_secs_f64() / trained_for;
                    let (loss, rate) = (report.loss, report.learning_rate);
                    let mut note = format!("loss {loss:.4}  lr {rate:.1e}  waiting for data {stalled:.1} %");
                    if stages > 1 {
                        note.insert_str(0, &format!("stage {} of {stages}  ", report.stage));
                    }
                    self.progress.advance(report.step as u64, &note);
                }
                Err(error) => {
                    self.report(run, trainer.step(), &mut seconds, &mut points).await?;
                    return Err(error.into());
                }
            }
            if due {
                saved = Instant::now();
            }
        }
        self.report(run, trainer.step(), &mut seconds, &mut points).await?;
        self.call_trained(trainer)
    }

    /// Stores the points up to `step` and the seconds since the last report.
    async fn report(
        &self,
        run: TrainingRunId,
        step: usize,
        seconds: &mut f64,
        points: &mut Vec<TrainingPoint>,
    ) -> Result<()> {
        let (seconds, points) = (std::mem::take(seconds), std::mem::take(points));
        self.store.report_training(run, step as u32, seconds, &points).await?;
        Ok(())
    }
}

/// The model of a file, if it is still the one that was read with the experiment.
fn load(given: &GivenWeights) -> Result<Trained> {
    let (model, info) = load_model(&given.path)?;
    if ContentHash::from(info.weights_hash) != given.weights {
        let (path, reason) = (given.path.clone(), "was replaced meanwhile; run again".to_owned());
        return Err(EngineError::Checkpoint { path, reason }.into());
    }
    Ok(Trained { run: None, weights: given.weights, model, reused: true })
}

/// What decides the variant's weights for this seed, but for what it sees.
pub(super) fn start(variant: &Variant, seed: u64) -> Start {
    Start { model: variant.model.clone(), train: variant.train.clone(), seed }
}

/// The trainer with the network that the variant's loss asks.
pub(super) fn with_network(trainer: Trainer, variant: &Variant) -> Result<Trainer> {
    Ok(match &variant.perceptual.loss {
        Some(network) => trainer.with_perceptual(network.clone())?,
        None => trainer,
    })
}

/// A finished run of the first stages of another.
struct Earlier {
    stages: usize,
    row: TrainingRunRow,
    model: ElasticTok,
}

/// The key of all that decides a run's weights.
fn key(variant: &Variant, seed: u64, samples: &Samples) -> ContentHash {
    let identity = json!({
        "config": variant.training_config(), "seed": seed, "data": samples.sets.training_key(),
        "version": TRAINING_VERSION,
    });
    ContentHash::of(identity.to_string().as_bytes())
}

/// How a run was found.
enum Wait {
    /// Unfinished, and its lease is ours now.
    Ours,
    /// Finished, with its weights.
    Done(Box<Trained>),
    /// Finished, but the file of these weights is gone or damaged.
    WeightsLost(ContentHash),
}

fn point(report: &StepReport, seconds: f64) -> TrainingPoint {
    TrainingPoint {
        step: report.step as u32,
        loss: f64::from(report.loss),
        mse: f64::from(report.mse),
        kl: f64::from(report.kl),
        perceptual: f64::from(report.perceptual),
        learning_rate: f64::from(report.learning_rate),
        gradient_norm: report.gradient_norm,
        tokens_per_second: report.tokens as f64 / seconds,
    }
}
