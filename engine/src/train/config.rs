//! What decides a training run, besides the model and the data.

use super::Stage;
use crate::error::EngineError;
use crate::mask::Budget;
use crate::ring::Mesh;
use serde::{Deserialize, Serialize};

/// A perceptual distance in the loss: that of one frame of one block a forward pass, as in the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerceptualLoss {
    /// [`PerceptualNetwork::key`](crate::PerceptualNetwork::key) in hex: which network, by its content.
    pub network: String,
    /// What the distance is multiplied by, above 0 (reference: 0.1).
    pub weight: f32,
    /// Pixels of a side of the square that the frame is scaled to (reference: 224).
    pub side: usize,
}

/// A training run's settings; checked by [`TrainConfig::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Optimizer steps.
    pub steps: usize,
    /// Sequences a forward pass.
    pub batch: usize,
    /// Forward and backward passes an optimizer step; their gradients are averaged.
    pub accumulate: usize,
    /// Learning rate after the warm-up, above 0 (reference: 1e-4, over 2000 steps of warm-up).
    pub learning_rate: f32,
    /// Learning rate at the end, as a share (0 to 1) of the highest.
    pub final_share: f32,
    /// Steps over which the learning rate rises linearly, at most all.
    pub warmup_steps: usize,
    /// Decoupled weight decay, times the learning rate a step; on every weight (as the reference, with 1e-4).
    pub weight_decay: f32,
    /// Decay of the gradient's running mean, from 0 to below 1.
    pub beta1: f32,
    /// Decay of the squared gradient's running mean, from 0 to below 1 (reference: 0.95).
    pub beta2: f32,
    /// Added to the root of the squared gradient's mean, above 0.
    pub epsilon: f32,
    /// Gradients whose global norm is larger are scaled down to it (reference: 1).
    pub clip_norm: f32,
    /// Weight of the VAE's divergence in nats, at least 0 (reference: 1e-8).
    pub kl_weight: f32,
    /// How many tokens each block keeps.
    pub budget: Budget,
    /// The fewest tokens an elastic budget draws, at least 1 and at most a block's.
    pub min_tokens: usize,
    /// A perceptual distance in the loss; left out where there is none, so that it changes no other run's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<PerceptualLoss>,
    /// Stages of growing context, if the run has any: then `steps` are theirs together, and their `batch` and
    /// `learning_rate` count. Left out where there are none, as above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Activation checkpointing: a layer keeps its input alone, and the backward pass computes all else again. The same
    /// weights to the last bit, from less memory in more time. Left out where it is off, as above.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recompute: bool,
}

/// A recipe for small models on photographs; experiments override what they ask about.
impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 32,
            accumulate: 1,
            learning_rate: 3e-3,
            final_share: 0.02,
            warmup_steps: 50,
            weight_decay: 1e-4,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            clip_norm: 1.0,
            kl_weight: 1e-8,
            budget: Budget::ELASTIC,
            min_tokens: 4,
            perceptual: None,
            stages: Vec::new(),
            recompute: false,
        }
    }
}

impl TrainConfig {
    /// Whether a run can be made of it.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key that cannot be; `min_tokens` and stages are checked against the model by
    /// [`Trainer::new`](super::Trainer::new).
    pub fn check(&self) -> Result<(), EngineError> {
        for (key, value) in
            [("train.steps", self.steps), ("train.batch", self.batch), ("train.accumulate", self.accumulate)]
        {
            if !(1..=1_000_000_000).contains(&value) {
                return Err(EngineError::config(key, value, "must be from 1 to a thousand million"));
            }
        }
        if self.warmup_steps > self.steps {
            let rule = format!("must be at most train.steps = {}", self.steps);
            return Err(EngineError::config("train.warmup_steps", self.warmup_steps, rule));
        }
        let positive = [
            ("train.learning_rate", self.learning_rate),
            ("train.epsilon", self.epsilon),
            ("train.clip_norm", self.clip_norm),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(EngineError::config(key, value, "must be a positive number"));
            }
        }
        for (key, value) in [("train.weight_decay", self.weight_decay), ("train.kl_weight", self.kl_weight)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(EngineError::config(key, value, "must be zero or a positive number"));
            }
        }
        for (key, value) in [("train.beta1", self.beta1), ("train.beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(EngineError::config(key, value, "must be at least 0 and below 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.final_share) {
            return Err(EngineError::config("train.final_share", self.final_share, "must be from 0 to 1"));
        }
        if let Some(PerceptualLoss { weight, .. }) = &self.perceptual
            && !(weight.is_finite() && *weight > 0.0)
        {
            return Err(EngineError::config("perceptual.loss_weight", weight, "must be a positive number"));
        }
        match self.budget {
            Budget::Fixed(share) if !(share > 0.0 && share <= 1.0) => {
                Err(EngineError::config("train.budget", share, "a fixed share must be above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a mesh of workers can compute these gradients.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a mesh that a batch cannot be dealt to (in an [`EngineError::Stage`] if the run has
    /// stages), or one that cuts sequences where a perceptual loss looks at whole frames.
    pub fn check_mesh(&self, mesh: Mesh, tokens_per_sequence: usize) -> Result<(), EngineError> {
        for (index, stage) in self.all_stages(tokens_per_sequence).iter().enumerate() {
            let checked = mesh.check(stage.batch, stage.context);
            checked.map_err(|error| if self.stages.is_empty() { error } else { error.of_stage(index) })?;
        }
        if mesh.sequence > 1 && self.perceptual.is_some() {
            let rule = "a perceptual loss looks at whole frames, which a cut sequence has in no place: use sequence=1";
            return Err(EngineError::config("mesh", mesh, rule));
        }
        Ok(())
    }

    /// The learning rate over the steps of this run.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            end: self.learning_rate * self.final_share,
            warmup_steps: self.warmup_steps,
            steps: self.steps,
        }
    }
}

/// Linear warm-up from zero, then half a cosine down to the end (optax's `warmup_cosine_decay_schedule`).
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f32,
    /// The rate at `steps`.
    pub end: f32,
    /// Steps of the warm-up.
    pub warmup_steps: usize,
    /// Steps of the whole schedule.
    pub steps: usize,
}

impl Schedule {
    /// The rate after `step` steps; the end's after the last. The reference uses it for the step that follows, so that
    /// its first step has rate zero; our trainer asks for `step + 1` and wastes none.
    pub fn at(&self, step: usize) -> f32 {
        if step < self.warmup_steps {
            return self.peak * step as f32 / self.warmup_steps as f32;
        }
        let length = (self.steps - self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / length).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        (f64::from(self.end) + f64::from(self.peak - self.end) * cosine) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_its_end() {
        let schedule = Schedule { peak: 1.0, end: 0.1, warmup_steps: 10, steps: 110 };
        let rates: Vec<f32> = (0..=110).map(|step| schedule.at(step)).collect();
        assert_eq!((rates[0], rates[5], rates[10]), (0.0, 0.5, 1.0));
        assert!((rates[60] - 0.55).abs() < 1e-6 && (rates[110] - 0.1).abs() < 1e-6);
        assert!(rates[10..].is_sorted_by(|a, b| a > b));
        assert_eq!(schedule.at(500), rates[110]);
    }
}
