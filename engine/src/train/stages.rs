//! Stages of a training run: long contexts are reached by way of shorter ones (paper, training).
//!
//! A stage is what the reference makes a run of its own: it begins from the weights of the stage before and nothing else of
//! it. The optimizer's moments start at zero and the learning rate rises from zero again, over the stage's own steps.
//! Steps and the numbers of sequences are counted through all stages, so that none sees the sequences of another.

use super::{Schedule, TrainConfig};
use crate::error::EngineError;
use serde::{Deserialize, Serialize};

/// Steps of a run whose sequences have one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Tokens of a sequence: whole blocks.
    pub context: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Learning rate after the warm-up of the stage, above 0.
    pub learning_rate: f32,
    /// Sequences a forward pass.
    pub batch: usize,
}

/// A stage in its place in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) stage: Stage,
    /// Which it is, from 0.
    pub(super) index: usize,
    /// Steps before it.
    pub(super) first_step: usize,
    /// Sequences before it.
    pub(super) first_sequence: u64,
}

impl Stage {
    fn check(&self, warmup_steps: usize, tokens_per_block: usize) -> Result<(), EngineError> {
        for (key, value) in [("context", self.context), ("steps", self.steps), ("batch", self.batch)] {
            if !(1..=1_000_000_000).contains(&value) {
                return Err(EngineError::config(key, value, "must be from 1 to a thousand million"));
            }
        }
        if !self.context.is_multiple_of(tokens_per_block) {
            let rule = format!("must be whole blocks of {tokens_per_block} tokens");
            return Err(EngineError::config("context", self.context, rule));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(EngineError::config("learning_rate", self.learning_rate, "must be a positive number"));
        }
        if warmup_steps > self.steps {
            let rule = format!("must be at least train.warmup_steps = {warmup_steps}, which every stage begins with");
            return Err(EngineError::config("steps", self.steps, rule));
        }
        Ok(())
    }
}

impl TrainConfig {
    /// These settings with stages: their steps together are those of the run.
    pub fn with_stages(self, stages: Vec<Stage>) -> Self {
        let steps = stages.iter().map(|stage| stage.steps).fold(0, usize::saturating_add);
        Self { steps, stages, ..self }
    }

    /// Whether a model of such blocks can be trained in these stages.
    ///
    /// # Errors
    /// [`EngineError::Stage`] with the first stage that cannot be, and its value; [`EngineError::Config`] if `steps` are not
    /// those of all stages.
    pub fn check_stages(&self, tokens_per_block: usize) -> Result<(), EngineError> {
        for (index, stage) in self.stages.iter().enumerate() {
            stage.check(self.warmup_steps, tokens_per_block).map_err(|error| error.of_stage(index))?;
        }
        let steps: usize = self.stages.iter().map(|stage| stage.steps).sum();
        if !self.stages.is_empty() && self.steps != steps {
            let rule = format!("must be {steps}, the steps of all stages");
            return Err(EngineError::config("train.steps", self.steps, rule));
        }
        Ok(())
    }

    /// The stages; a run that names none is one, of sequences of `tokens_per_sequence` tokens.
    pub fn all_stages(&self, tokens_per_sequence: usize) -> Vec<Stage> {
        let Self { steps, learning_rate, batch, .. } = *self;
        match self.stages.as_slice() {
            [] => vec![Stage { context: tokens_per_sequence, steps, learning_rate, batch }],
            stages => stages.to_vec(),
        }
    }

    /// The run that ends after the first so many stages: this one goes on from its weights.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first_stages(&self, count: usize) -> Self {
        self.clone().with_stages(self.stages[..count].to_vec())
    }

    /// The learning rate over the steps of a stage.
    pub(super) fn schedule_of(&self, stage: &Stage) -> Schedule {
        let Stage { steps, learning_rate, .. } = *stage;
        Self { steps, learning_rate, ..self.clone() }.schedule()
    }

    /// The stage that the step after `step` others belongs to; the last one after the last step.
    pub(super) fn stage_after(&self, step: usize, tokens_per_sequence: usize) -> Placed {
        let (mut first_step, mut first_sequence) = (0, 0);
        let stages = self.all_stages(tokens_per_sequence);
        let last = stages.len() - 1;
        for (index, stage) in stages.into_iter().enumerate() {
            if index == last || step < first_step + stage.steps {
                return Placed { stage, index, first_step, first_sequence };
            }
            first_step += stage.steps;
            first_sequence += (stage.steps * self.accumulate * stage.batch) as u64;
        }
        unreachable!("a run has a last stage")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged() -> TrainConfig {
        let stage = |context, steps, learning_rate, batch| Stage { context, steps, learning_rate, batch };
        TrainConfig { warmup_steps: 2, accumulate: 3, ..TrainConfig::default() }
            .with_stages(vec![stage(8, 4, 1e-3, 4), stage(32, 6, 2e-3, 1)])
    }

    #[test]
    fn steps_and_sequences_are_counted_through_all_stages() {
        let config = staged();
        assert_eq!((config.steps, config.check_stages(8).is_ok()), (10, true));
        let place = |step| {
            let Placed { index, first_step, first_sequence, .. } = config.stage_after(step, 8);
            (index, first_step, first_sequence)
        };
        // 4 steps of 3 passes of 4 sequences.
        assert_eq!([0, 3, 4, 9, 10].map(place), [(0, 0, 0), (0, 0, 0), (1, 4, 48), (1, 4, 48), (1, 4, 48)]);
        assert_eq!(config.first_stages(1).stage_after(10, 8).index, 0);
    }

    #[test]
    fn a_stage_that_cannot_be_is_named_with_its_value() {
        let refuse = |change: fn(&mut Stage)| {
            let mut stages = staged().stages;
            change(&mut stages[1]);
            staged().with_stages(stages).check_stages(8).unwrap_err().to_string()
        };
        assert_eq!(refuse(|stage| stage.context = 12), "stage 2: context = 12: must be whole blocks of 8 tokens");
        assert_eq!(
            refuse(|stage| stage.learning_rate = -1.0),
            "stage 2: learning_rate = -1: must be a positive number"
        );
        assert!(refuse(|stage| stage.batch = 0).starts_with("stage 2: batch = 0: must be from 1"));
        assert!(
            refuse(|stage| stage.steps = 1).contains("stage 2: steps = 1: must be at least train.warmup_steps = 2")
        );
        let other = TrainConfig { steps: 11, ..staged() };
        assert!(other.check_stages(8).unwrap_err().to_string().contains("train.steps = 11: must be 10"));
    }
}
