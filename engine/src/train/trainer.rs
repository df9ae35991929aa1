//! The training loop, one step at a time: the caller decides how long, what to show and when to save.

use super::adamw::AdamW;
use super::batch::{Batch, DrawnFrame, Gradient, Losses};
use super::data::{RunAhead, Sequence, TrainingData, Wish};
use super::stages::Placed;
use super::worker::Team;
use super::{TrainConfig, checkpoint, clip_global_norm};
use crate::error::EngineError;
use crate::mask::TokenRange;
use crate::model::{ElasticTok, ModelConfig};
use crate::patch::normalize;
use crate::perceptual::{FramePlace, PerceptualNetwork};
use crate::random;
use crate::ring::ranks::Ranks;
use crate::ring::{Mesh, Trace, Workers};
use rand::Rng as _;
use rand_distr::Distribution as _;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What decides a run, and where it starts.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Start {
    /// The model's shape.
    pub model: ModelConfig,
    /// The training's settings.
    pub train: TrainConfig,
    /// Seed of the weights, crops, kept counts and noise.
    pub seed: u64,
}

/// What one step did; losses are means over its passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Counted from 1.
    pub step: usize,
    /// Which stage of the run it belongs to, from 1.
    pub stage: usize,
    /// What was minimized: mse + kl_weight · kl + perceptual.
    pub loss: f32,
    /// Mean squared error of the reconstruction in [−1, 1].
    pub mse: f32,
    /// The VAE's divergence in nats, as [`Loss::kl`](crate::model::Loss::kl); 0 for FSQ.
    pub kl: f32,
    /// The perceptual distance's part of the loss, its weight included; 0 where there is none.
    pub perceptual: f32,
    /// The learning rate used.
    pub learning_rate: f32,
    /// Norm of all gradients before clipping.
    pub gradient_norm: f64,
    /// Tokens it trained on, kept or dropped.
    pub tokens: usize,
}

/// Batches of sequences that are made while the model works.
const BATCHES_AHEAD: usize = 2;

/// A training run in progress.
pub struct Trainer {
    start: Start,
    range: TokenRange,
    pub(super) model: ElasticTok,
    pub(super) optimizer: AdamW,
    pub(super) step: usize,
    data: RunAhead,
    perceptual: Option<Arc<PerceptualNetwork>>,
    /// Who computes gradients, if it is not this thread alone.
    team: Option<Team>,
    /// What those of them did that this process sees, if it is written down.
    traces: Vec<Trace>,
}

impl Trainer {
    /// A run from fresh weights.
    ///
    /// # Errors
    /// [`EngineError::Config`] or [`EngineError::TokenRange`] for a model or a training that cannot be.
    pub fn new(start: Start, data: impl TrainingData) -> Result<Self, EngineError> {
        start.train.check()?;
        start.train.check_stages(start.model.block.tokens())?;
        let mut model = ElasticTok::new(start.model.clone(), start.seed)?;
        model.recompute_layers(start.train.recompute);
        let range = TokenRange::new(start.train.min_tokens, start.model.block.tokens())?;
        let optimizer = AdamW::new(&model);
        let data = RunAhead::new(data);
        let (team, traces) = (None, Vec::new());
        Ok(Self { start, range, model, optimizer, step: 0, data, perceptual: None, team, traces })
    }

    /// Lets a mesh of workers compute the gradients: threads that share the cores of rayon's current pool. Losses are
    /// those of one worker but for rounding; a checkpoint does not say which mesh wrote it.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a mesh that does not fit: [`TrainConfig::check_mesh`]; [`EngineError::Threads`] if the
    /// system gives no more threads.
    pub fn with_mesh(mut self, mesh: Mesh) -> Result<Self, EngineError> {
        self.check_mesh(mesh)?;
        let threads = rayon::current_num_threads();
        self.team = if mesh == Mesh::ONE { None } else { Some(Team::Threads(Workers::new(mesh, threads)?)) };
        Ok(self)
    }

    /// The same with workers that are processes: every rank calls it with the same run, goes on from where rank 0 is, and
    /// makes the same steps.
    ///
    /// # Errors
    /// As [`with_mesh`](Self::with_mesh); [`EngineError::Ring`] if a rank was lost.
    ///
    /// # Panics
    /// In a step, if the mesh has more or fewer workers than there are ranks.
    pub fn with_ranks(mut self, mesh: Mesh, ranks: Ranks) -> Result<Self, EngineError> {
        self.check_mesh(mesh)?;
        let step = checkpoint::share(&ranks, self.step, &mut self.model, &mut self.optimizer)?;
        self.go_on_at(step);
        self.team = Some(Team::Ranks(mesh, ranks));
        Ok(self)
    }

    fn check_mesh(&self, mesh: Mesh) -> Result<(), EngineError> {
        self.start.train.check_mesh(mesh, self.tokens_per_sequence())
    }

    /// Writes down what the workers of its mesh do at each step of their rings, from now on.
    pub fn with_trace(mut self) -> Self {
        let workers = self.team.as_ref().map_or(0, Team::seen);
        self.traces = vec![Trace::default(); workers];
        self
    }

    /// What was written down so far, worker by worker; of ranks, what this one did; nothing for one worker.
    pub fn traces(&self) -> &[Trace] {
        &self.traces
    }

    /// Gives the run the network that its configuration names.
    ///
    /// # Errors
    /// [`EngineError::Config`] for other weights than those named, or a picture smaller than the network can see.
    pub fn with_perceptual(mut self, network: Arc<PerceptualNetwork>) -> Result<Self, EngineError> {
        let asked = self.start.train.perceptual.as_ref();
        let key = network.key().to_hex();
        if let Some(asked) = asked.filter(|asked| asked.network != key.as_str()) {
            let rule = format!("the run was configured with another network's weights than these, {key}");
            return Err(EngineError::config("perceptual.loss", &asked.network, rule));
        }
        if let Some(side) = asked.map(|asked| asked.side).filter(|side| *side < network.smallest_side()) {
            let rule = format!("must be at least {}, what the network can see", network.smallest_side());
            return Err(EngineError::config("perceptual.loss_side", side, rule));
        }
        self.perceptual = Some(network);
        Ok(self)
    }

    /// Goes on from a checkpoint of the same run.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`EngineError::File`] where the checkpoint cannot be read, [`EngineError::Checkpoint`]
    /// where it is of another run or something else.
    pub fn resume(start: Start, data: impl TrainingData, path: &Path) -> Result<Self, EngineError> {
        let mut trainer = Self::new(start, data)?;
        let start = trainer.start.clone();
        let step = checkpoint::read(path, &start, &mut trainer.model, &mut trainer.optimizer)?;
        trainer.go_on_at(step);
        Ok(trainer)
    }

    /// With weights and moments as they are after so many steps.
    fn go_on_at(&mut self, step: usize) {
        self.step = step;
        self.optimizer.updates = step - self.place().first_step;
    }

    /// Goes on from the weights of a run that ended with the first `stages` of its stages:
    /// [`TrainConfig::first_stages`].
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// If the run has no further stage, or the model another shape.
    pub fn after_stages(
        start: Start,
        data: impl TrainingData,
        stages: usize,
        model: ElasticTok,
    ) -> Result<Self, EngineError> {
        assert!(stages < start.train.stages.len(), "a run of {} stages goes on", start.train.stages.len());
        assert!(*model.config() == start.model, "the weights that a stage begins from are of another model");
        let mut trainer = Self::new(start, data)?;
        trainer.step = trainer.start.train.first_stages(stages).steps;
        trainer.model = model;
        trainer.model.recompute_layers(trainer.start.train.recompute);
        Ok(trainer)
    }

    /// Writes everything that the next steps depend on, whole or not at all.
    ///
    /// # Errors
    /// [`EngineError::File`] or [`EngineError::Checkpoint`] where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), EngineError> {
        checkpoint::write(path, &self.start, self.step, &self.model, &self.optimizer)
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        self.start.train.steps
    }

    /// Stages of the whole run: one, if it names none.
    pub fn stages(&self) -> usize {
        self.start.train.stages.len().max(1)
    }

    /// Where it is in its stages.
    fn place(&self) -> Placed {
        self.start.train.stage_after(self.step, self.tokens_per_sequence())
    }

    /// Of a run without stages.
    fn tokens_per_sequence(&self) -> usize {
        self.model.layout(1, self.data.blocks_per_sequence()).tokens_per_sequence()
    }

    /// How long the model waited for data so far.
    pub fn waited(&self) -> Duration {
        self.data.waited()
    }

    /// Whether every step is done.
    pub fn is_finished(&self) -> bool {
        self.step >= self.start.train.steps
    }

    /// The model as trained so far.
    pub fn model(&self) -> &ElasticTok {
        &self.model
    }

    /// One optimizer step.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] for a loss or gradient that is not finite, and what the data fails with; neither
    /// changes anything.
    ///
    /// # Panics
    /// If the configuration has a perceptual loss and [`with_perceptual`](Self::with_perceptual) was not called, if the
    /// data has other frames than the model, or if a thread that reads it panicked.
    pub fn advance(&mut self) -> Result<StepReport, EngineError> {
        self.advance_after(|_| Ok(()))
    }

    /// One optimizer step; before it changes anything, `keep` sees a state that is known to be good: the loss and the
    /// gradient at these weights were just found finite. Saved there, a checkpoint never holds weights that diverged.
    ///
    /// # Errors
    /// As [`advance`](Self::advance), and those of `keep`.
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    pub fn advance_after(
        &mut self,
        keep: impl FnOnce(&Self) -> Result<(), EngineError>,
    ) -> Result<StepReport, EngineError> {
        let config = self.start.train.clone();
        let share = 1.0 / config.accumulate as f32;
        let place = self.place();
        let mut sum: Option<Gradient> = None;
        for pass in 0..config.accumulate {
            let batch = self.batch(&place, pass)?;
            let part = match &self.team {
                None => batch.gradient(&self.model, config.kl_weight, share)?,
                Some(team) => team.gradient(&batch, &self.model, config.kl_weight, share, &mut self.traces)?,
            };
            match &mut sum {
                Some(sum) => sum.add(&[part]),
                None => sum = Some(part),
            }
        }
        let gradient = sum.expect("a step makes at least one pass");
        let Gradient { losses: Losses { loss, mse, kl, perceptual }, of_weights: mut gradients } = gradient;
        let gradient_norm = clip_global_norm(&mut gradients, config.clip_norm);
        let step = self.step + 1;
        let learning_rate = config.schedule_of(&place.stage).at(step - place.first_step);
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(EngineError::NonFinite { step, loss, gradient_norm, learning_rate });
        }
        keep(self)?;
        if self.step == place.first_step {
            // A stage has nothing but the weights of the one before.
            self.optimizer = AdamW::new(&self.model);
        }
        self.optimizer.update(&mut self.model, &gradients, learning_rate, &config);
        self.step = step;
        let (stage, tokens) = (place.index + 1, place.stage.batch * config.accumulate * place.stage.context);
        Ok(StepReport { step, stage, loss, mse, kl, perceptual, learning_rate, gradient_norm, tokens })
    }

    /// The batch of one forward pass: its crops, kept counts and noise, all drawn by number.
    fn batch(&mut self, place: &Placed, pass: usize) -> Result<Batch, EngineError> {
        let (config, seed) = (&self.start.train, self.start.seed);
        let block = self.start.model.block;
        let stage = &place.stage;
        let layout = self.model.layout(stage.batch, stage.context / block.tokens());
        let number = (self.step * config.accumulate + pass) as u64;
        let of_stage = number - (place.first_step * config.accumulate) as u64;
        let first = place.first_sequence + of_stage * stage.batch as u64;
        let wish = Wish { blocks: layout.blocks, ahead: (BATCHES_AHEAD * stage.batch) as u64 };
        let sequences = (first..).take(stage.batch).map(|number| self.data.take(number, wish));
        let sequences: Vec<Sequence> = sequences.collect::<Result<_, _>>()?;
        let mut patches = vec![0.0; layout.tokens() * block.patch_values()];
        patches
            .par_chunks_mut(block.values())
            .zip(
                sequences
                    .par_iter()
                    .flat_map_iter(|sequence| sequence.frames.chunks(block.values()))
                    .collect::<Vec<_>>(),
            )
            .for_each(|(patches, frames)| patches.copy_from_slice(&normalize(&block.patchify(frames))));
        let mut random = random::stream(seed, "budget", number);
        let blocks = layout.sequences * layout.blocks;
        let kept = (0..blocks).map(|_| config.budget.draw(self.range, &mut random)).collect();
        let noise = match self.start.model.bottleneck {
            crate::Bottleneck::Fsq { .. } => None,
            crate::Bottleneck::Vae { dim } => {
                let random = random::stream(seed, "noise", number);
                Some(rand_distr::StandardNormal.sample_iter(random).take(layout.tokens() * dim).collect())
            }
        };
        let segments = sequences
            .iter()
            .any(Sequence::is_packed)
            .then(|| sequences.iter().flat_map(|sequence| &sequence.segments).copied().collect());
        let frame = config.perceptual.as_ref().map(|loss| {
            let mut random = random::stream(seed, "perceptual", number);
            let place =
                FramePlace { block: random.random_range(0..blocks), frame: random.random_range(0..block.frames) };
            let network = self.perceptual.clone().expect("a run with a perceptual loss is given its network");
            DrawnFrame { network, place, side: loss.side, weight: loss.weight }
        });
        Ok(Batch { sequences: layout.sequences, patches, kept, noise, segments, frame })
    }
}
