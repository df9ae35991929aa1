//! Trains one variant with one seed, or finds that it was trained before.

use super::Run;
use super::pictures::Pictures;
use crate::error::{EvaluatorError, Result};
use crate::experiment::Variant;
use crate::store::{ContentHash, Lease, NewEvent, NewTrainingRun, TrainingPoint, TrainingRunId, TrainingStatus};
use engine::ElasticTok;
use engine::data::RandomCrops;
use engine::train::{Start, StepReport, Trainer, load_weights, save_weights, weights_hash};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Raised when the same configuration would train to other weights.
const TRAINING_VERSION: u32 = 1;

/// A finished training run.
pub(super) struct Trained {
    pub(super) run: TrainingRunId,
    pub(super) weights: ContentHash,
    pub(super) model: ElasticTok,
    /// It was found finished in the store.
    pub(super) reused: bool,
}

impl Run<'_> {
    /// The variant's weights for this seed. `ordinal` is the run's place in the experiment.
    pub(super) async fn train(
        &self,
        variant: &Variant,
        seed: u64,
        ordinal: u32,
        pictures: &Pictures,
    ) -> Result<Trained> {
        let config = variant.training_config();
        let identity = json!({
            "config": config, "seed": seed, "data": pictures.train.key().to_hex().as_str(), "version": TRAINING_VERSION,
        });
        let key = ContentHash::of(identity.to_string().as_bytes());
        let start = Start { model: variant.model.clone(), train: variant.train.clone(), seed };
        let crops = RandomCrops::new(pictures.train.clone(), variant.data.crop, variant.model.block.frames, seed);
        let mut trainer = Trainer::new(start.clone(), crops)?;
        let new = NewTrainingRun {
            key,
            config,
            seed: seed as i64,
            dataset: pictures.train_dataset,
            provenance: Some(self.provenance),
            steps: variant.train.steps as u32,
            parameters: variant.model.parameter_count() as u32,
        };
        let run = self.store.put_training_run(&new).await?.id;
        self.store.link_training_run(self.experiment, ordinal, &variant.name, run).await?;

        let files = Files::new(self, key);
        let title = format!("{} seed {seed}", variant.name);
        if let Some(trained) = self.wait_for_training(run, &title, &files).await? {
            return Ok(trained);
        }
        if files.training.exists() {
            let crops = RandomCrops::new(pictures.train.clone(), variant.data.crop, variant.model.block.frames, seed);
            trainer = Trainer::resume(start, crops, &files.training)?;
            self.progress.say(&format!("{title}: goes on at step {}", trainer.step()));
        }
        self.store.start_training(run, trainer.step() as u32).await?;
        self.event("training started", Some(run), json!({ "variant": variant.name, "seed": seed })).await?;
        let outcome = self.take_steps(run, &title, &mut trainer, &files).await;
        self.progress.end();
        if let Err(error) = outcome {
            match &error {
                EvaluatorError::Stopped => self.store.stop_training(run).await?,
                error => self.store.fail_training(run, &error.to_string()).await?,
            }
            self.store.release(run).await?;
            return Err(error);
        }
        save_weights(trainer.model(), &files.weights)?;
        let weights = weights_hash(trainer.model()).into();
        self.store.finish_training(run, weights, &files.weights_name).await?;
        self.store.release(run).await?;
        self.event("training done", Some(run), json!({ "variant": variant.name, "seed": seed })).await?;
        // The weights are safe: the training state, three times their size, is no longer needed.
        let _ = std::fs::remove_file(&files.training);
        Ok(Trained { run, weights, model: trainer.model().clone(), reused: false })
    }

    /// Finds the run finished, or takes its lease once no other process is working on it.
    async fn wait_for_training(&self, run: TrainingRunId, title: &str, files: &Files) -> Result<Option<Trained>> {
        let mut told = false;
        loop {
            let row = self.store.training_run(run).await?;
            if let (TrainingStatus::Done, Some(weights)) = (row.status, row.weights_hash) {
                let model = load_weights(&files.weights)?;
                if ContentHash::from(weights_hash(&model)) != weights {
                    return Err(EvaluatorError::Weights { path: files.weights.clone() });
                }
                self.progress.say(&format!("{title}: trained before ({} steps), reused", row.steps));
                return Ok(Some(Trained { run, weights, model, reused: true }));
            }
            match self.store.acquire(run).await? {
                Lease::Acquired { .. } => return Ok(None),
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

    /// Steps to the end, with a checkpoint and the points up to it every few seconds.
    async fn take_steps(
        &self,
        run: TrainingRunId,
        title: &str,
        trainer: &mut Trainer<RandomCrops>,
        files: &Files,
    ) -> Result<()> {
        let steps = trainer.steps();
        self.progress.begin(&format!("train {title}"), trainer.step() as u64, steps as u64);
        let (mut points, mut saved, mut seconds) = (Vec::new(), Instant::now(), 0.0);
        while !trainer.is_finished() {
            let began = Instant::now();
            let report = trainer.advance();
            let took = began.elapsed().as_secs_f64();
            seconds += took;
            let finished = report.is_err() || trainer.is_finished();
            if let Ok(report) = &report {
                points.push(point(report, took));
                let note = format!("loss {:.4}  lr {:.1e}", report.loss, report.learning_rate);
                self.progress.advance(report.step as u64, &note);
            }
            let stopped = self.options.stop.is_asked();
            if finished || stopped || saved.elapsed() >= self.options.checkpoint_every {
                // Points first: those behind the checkpoint that a killed run goes on from are deleted and made again,
                // but points that were never stored would be missing.
                let (seconds, points) = (std::mem::take(&mut seconds), std::mem::take(&mut points));
                self.store.report_training(run, trainer.step() as u32, seconds, &points).await?;
                trainer.save(&files.training)?;
                saved = Instant::now();
            }
            report?;
            if stopped && !trainer.is_finished() {
                return Err(EvaluatorError::Stopped);
            }
        }
        Ok(())
    }

    pub(super) async fn event(
        &self,
        kind: &str,
        training_run: Option<TrainingRunId>,
        payload: serde_json::Value,
    ) -> Result<()> {
        let experiment = Some(self.experiment);
        let event = NewEvent { experiment, training_run, trial: None, kind: kind.to_owned(), payload };
        self.store.append_event(&event).await?;
        Ok(())
    }
}

fn point(report: &StepReport, seconds: f64) -> TrainingPoint {
    TrainingPoint {
        step: report.step as u32,
        loss: f64::from(report.loss),
        mse: f64::from(report.mse),
        kl: f64::from(report.kl),
        learning_rate: f64::from(report.learning_rate),
        gradient_norm: report.gradient_norm,
        tokens_per_second: report.tokens as f64 / seconds,
    }
}

/// Where a run's weights and training state lie.
struct Files {
    weights: PathBuf,
    /// The same below the database's folder: what the store keeps.
    weights_name: String,
    training: PathBuf,
}

impl Files {
    fn new(run: &Run<'_>, key: ContentHash) -> Self {
        let folder = run.store.path().parent().unwrap_or(std::path::Path::new("")).to_owned();
        let name = format!("checkpoints/{}", &key.to_string()[..16]);
        let weights_name = format!("{name}/weights.safetensors");
        Self {
            weights: folder.join(&weights_name),
            training: folder.join(&name).join("training.safetensors"),
            weights_name,
        }
    }
}
