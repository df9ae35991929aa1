//! Trains a regressor on measured distortion curves.
//!
//! An eighth of the photographs (or videos) is set aside: the weights that predict these best are kept, and predicted
//! deviations are scaled to be right on them. Both would flatter themselves on photographs that were trained on.

use super::{Batch, CurveForecast, CurveScale, Regressor, RegressorConfig, SeenBlock};
use crate::error::EngineError;
use crate::ops;
use crate::random;
use crate::tensor::{Tape, tokens, value};
use crate::train::{AdamW, TrainConfig, adamw::collect, clip_global_norm};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use rand::seq::SliceRandom as _;
use rayon::prelude::*;

/// One block with its measured curve.
#[derive(Clone, Debug)]
pub struct CurveExample {
    /// Which photograph or video it is of.
    pub source: usize,
    /// What is seen of it.
    pub seen: SeenBlock,
    /// ln distortion at each of the counts.
    pub ln_distortions: Vec<f64>,
}

/// Of this many photographs one is set aside.
const SET_ASIDE: usize = 8;

/// Steps between looks at the photographs set aside.
const LOOK_EVERY: usize = 100;

/// Parts of a batch that threads share; a constant, so that sums have one order everywhere.
const SHARDS: usize = 4;

/// A regressor in training: AdamW on [`gaussian_nll`](ops::gaussian_nll) of scaled ln distortions. An eighth of the
/// photographs, at least one, is set aside to choose and to calibrate by.
pub struct RegressorTrainer {
    regressor: Regressor,
    config: TrainConfig,
    optimizer: AdamW,
    examples: Vec<CurveExample>,
    set_aside: Vec<CurveExample>,
    best: Option<(f64, Regressor)>,
    order: Vec<usize>,
    seed: u64,
}

impl RegressorTrainer {
    /// A fresh regressor for curves measured at `counts`, of which there is at least one.
    ///
    /// # Errors
    /// [`EngineError::Config`] for an impossible configuration, or with fewer than two photographs.
    pub fn new(
        config: RegressorConfig,
        counts: Vec<usize>,
        examples: Vec<CurveExample>,
        seed: u64,
    ) -> Result<Self, EngineError> {
        config.check()?;
        let mut sources: Vec<usize> = examples.iter().map(|example| example.source).collect();
        sources.sort_unstable();
        sources.dedup();
        if sources.len() < 2 {
            let rule = "a regressor needs curves of at least two photographs, to set one aside";
            return Err(EngineError::config("regressor photographs", sources.len(), rule));
        }
        sources.shuffle(&mut random::stream(seed, "set aside", 0));
        let aside = &sources[..(sources.len() / SET_ASIDE).max(1)];
        let (set_aside, examples): (Vec<_>, Vec<_>) =
            examples.into_iter().partition(|example| aside.contains(&example.source));
        let scale = scale(counts, &examples);
        let train = TrainConfig {
            steps: config.steps,
            batch: config.batch,
            learning_rate: config.learning_rate,
            warmup_steps: 50.min(config.steps),
            weight_decay: 0.05,
            ..TrainConfig::default()
        };
        let regressor = Regressor::new(config, scale, seed)?;
        let optimizer = AdamW::new(&regressor);
        Ok(Self { regressor, config: train, optimizer, examples, set_aside, best: None, order: Vec::new(), seed })
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.optimizer.updates()
    }

    /// Whether every step is done.
    pub fn is_finished(&self) -> bool {
        self.step() >= self.config.steps
    }

    /// One step; the batch's mean negative log-likelihood, as [`gaussian_nll`](ops::gaussian_nll) has it.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] for a loss or gradient that is not finite, which changes nothing;
    /// [`EngineError::Tensor`] without memory.
    pub fn advance(&mut self) -> Result<f64, EngineError> {
        let batch = self.batch();
        let shard = batch.len().div_ceil(SHARDS);
        let parts = batch.par_chunks(shard).map(|part| {
            let share = part.len() as f32 / batch.len() as f32;
            gradient(&self.regressor, part.iter().map(|i| &self.examples[*i]), share)
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let mut parts = parts.into_iter();
        let (mut loss, mut gradients) = parts.next().expect("a batch holds at least one block");
        for (part_loss, part) in parts {
            loss += part_loss;
            gradients.iter_mut().zip(&part).for_each(|(sum, part)| crate::kernel::rows::add(sum, part));
        }
        let step = self.step() + 1;
        let gradient_norm = clip_global_norm(&mut gradients, self.config.clip_norm);
        let learning_rate = self.config.schedule().at(step);
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(EngineError::NonFinite { step, loss: loss as f32, gradient_norm, learning_rate });
        }
        self.optimizer.update(&mut self.regressor, &gradients, learning_rate, &self.config);
        if step.is_multiple_of(LOOK_EVERY) || self.is_finished() {
            let unseen = self.look();
            if self.best.as_ref().is_none_or(|(best, _)| unseen < *best) {
                self.best = Some((unseen, self.regressor.clone()));
            }
        }
        Ok(loss)
    }

    /// The regressor that did best on the photographs set aside, its deviations scaled to be right on them.
    ///
    /// # Panics
    /// Before the last step.
    pub fn finish(self) -> Regressor {
        assert!(self.is_finished(), "a regressor is finished after its last step");
        let (_, mut regressor) = self.best.expect("the last step looked at the photographs set aside");
        let squares: Vec<f64> = standardized(&regressor, &self.set_aside).map(|(error, _)| error * error).collect();
        regressor.scale.calibration = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        regressor
    }

    /// Numbers of the step's blocks: every block once an epoch, in an order of its own.
    fn batch(&mut self) -> Vec<usize> {
        let (all, batch) = (self.examples.len(), self.config.batch);
        let first = (self.step() * batch) as u64;
        (first..first + batch as u64)
            .map(|number| {
                let (epoch, place) = (number / all as u64, (number % all as u64) as usize);
                if place == 0 || self.order.is_empty() {
                    self.order = (0..all).collect();
                    self.order.shuffle(&mut random::stream(self.seed, "curves", epoch));
                }
                self.order[place]
            })
            .collect()
    }

    /// Mean negative log-likelihood of the photographs set aside.
    fn look(&self) -> f64 {
        let losses: Vec<f64> = standardized(&self.regressor, &self.set_aside)
            .map(|(error, deviation)| deviation.ln() + 0.5 * error * error)
            .collect();
        losses.iter().sum::<f64>() / losses.len() as f64
    }
}

/// (error in predicted deviations, predicted deviation) of every point of every example.
fn standardized<'a>(regressor: &'a Regressor, examples: &'a [CurveExample]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let blocks: Vec<SeenBlock> = examples.iter().map(|example| example.seen.clone()).collect();
    let forecasts = regressor.forecast(&blocks).into_iter().zip(examples);
    forecasts.flat_map(|(CurveForecast { points }, example)| {
        let seen = example.ln_distortions.clone();
        points.into_iter().zip(seen).map(|((_, mean, deviation), seen)| ((seen - mean) / deviation, deviation))
    })
}

fn scale(counts: Vec<usize>, examples: &[CurveExample]) -> CurveScale {
    let n = examples.len() as f64;
    let column = |i: usize| examples.iter().map(move |example| example.ln_distortions[i]);
    let mean: Vec<f64> = (0..counts.len()).map(|i| column(i).sum::<f64>() / n).collect();
    let variance = |i: usize| column(i).map(|value| (value - mean[i]).powi(2)).sum::<f64>() / n;
    // A count at which all curves agree would divide by zero.
    let deviation = (0..counts.len()).map(|i| variance(i).sqrt().max(1e-6)).collect();
    CurveScale { counts, mean, deviation, calibration: 1.0 }
}

type Gradients = Vec<Vec<f32>>;

fn gradient<'a>(
    regressor: &Regressor,
    examples: impl Iterator<Item = &'a CurveExample>,
    share: f32,
) -> Result<(f64, Gradients), EngineError> {
    let scale = &regressor.scale;
    let (mut blocks, mut targets) = (Vec::new(), Vec::new());
    for example in examples {
        blocks.push(&example.seen);
        let scaled = |(i, value): (usize, &f64)| ((value - scale.mean[i]) / scale.deviation[i]) as f32;
        targets.extend(example.ln_distortions.iter().enumerate().map(scaled));
    }
    let batch = Batch::of(&blocks, &regressor.config);
    let targets = tokens(targets, blocks.len(), scale.counts.len());
    let y = regressor.forward::<Tape>(batch.patches.leaky_trace(), &batch);
    let loss = ops::gaussian_nll(y, &targets) * share;
    let shown = f64::from(value(&loss));
    let mut grads = loss.backward();
    Ok((shown, collect(regressor, &mut grads)?))
}
