//! `run --dry-run`: what would be done and about what it costs.

use crate::cli::Cli;
use crate::console;
use crate::run::use_threads;
use anyhow::Result;
use engine::ring::Mesh;
use engine::train::{Sequence, Stage, Start, Trainer, TrainingData};
use evaluator::EvaluatorError;
use evaluator::experiment::{Experiment, Variant};
use evaluator::sweep::{DataSets, Silent, check_memory, check_mesh, curve_counts};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Instant;

/// Steps timed for the estimate, after one to warm up.
const TIMED_STEPS: usize = 2;

/// Grey pictures: how long a step takes does not depend on what is seen.
pub(crate) struct Grey {
    /// Of each sequence.
    pub(crate) blocks: usize,
    /// Bytes of a block.
    pub(crate) block: usize,
}

impl TrainingData for Grey {
    fn blocks_per_sequence(&self) -> usize {
        self.blocks
    }

    fn sequence(&self, _: u64, blocks: usize) -> Result<Sequence, engine::EngineError> {
        Ok(Sequence { frames: vec![128; blocks * self.block], segments: vec![0; blocks] })
    }
}

/// Prints every training run and trial with an estimate from a few steps made now. Nothing is written.
pub(crate) fn print(cli: &Cli, experiment: &Experiment, mesh: Mesh) -> Result<()> {
    use_threads(cli)?;
    check_memory(experiment)?;
    check_mesh(experiment, mesh)?;
    let sets = DataSets::load(experiment, &Silent)?;
    let (mut total, mut text) = (0.0, String::new());
    // Training that an earlier variant has already been asked for.
    let mut trained = HashSet::new();
    for variant in &experiment.variants {
        let stages = variant.train.all_stages(variant.tokens_per_sequence());
        let timed = stages.iter().map(|stage| time_steps(variant, stage, mesh)).collect::<Result<Vec<_>, _>>();
        let timed = timed.map_err(EvaluatorError::from)?;
        let rate = timed[0].1;
        // Of a clip's blocks, behind all before them.
        let blocks = variant.data.sample_blocks();
        let of_sample = variant.model.encoder_flops(blocks) + variant.model.decoder_flops(blocks);
        let evaluation = of_sample / blocks as f64 / rate;
        let samples = sets.held_out(&variant.data);
        let mut cost = |what: String, seconds: f64| {
            total += seconds;
            writeln!(text, "  {what}, about {seconds:.1} s")
        };
        for seed in &experiment.seeds {
            for (index, (stage, (step_seconds, _))) in stages.iter().zip(&timed).enumerate() {
                if variant.given.is_some() || !trained.insert((*seed, identity(variant, index))) {
                    continue;
                }
                let Stage { context, steps, batch, .. } = stage;
                let is_staged = !variant.train.stages.is_empty();
                let of = if is_staged { format!(" of {batch} × {context} tokens") } else { String::new() };
                cost(format!("train seed {seed}: {steps} steps{of}"), step_seconds * *steps as f64)?;
            }
            if variant.has_curves_beforehand() {
                let counts = curve_counts(variant.range()).len();
                let seconds = samples as f64 * counts as f64 * evaluation;
                cost(format!("distortion curves: {samples} samples × {counts} counts"), seconds)?;
            }
            if variant.sweep.strategies.iter().any(|strategy| strategy.asks().is_some()) {
                let regressor = &variant.regressor;
                let seconds = (regressor.curves * regressor.counts) as f64 * evaluation;
                cost(
                    format!("curves of training samples: {} × {} counts", regressor.curves, regressor.counts),
                    seconds,
                )?;
                let network = &regressor.network;
                let flops =
                    3.0 * network.flops(regressor.counts, network.earlier) * (network.steps * network.batch) as f64;
                cost(format!("regressor: {} steps", network.steps), flops / rate)?;
            }
            for strategy in &variant.sweep.strategies {
                for threshold in &variant.sweep.thresholds {
                    let most = strategy.most_evaluations(variant.range());
                    let seconds = (samples * blocks) as f64 * (most as f64 + 1.0) * evaluation;
                    let name = strategy.name();
                    let of = if blocks == 1 { String::new() } else { format!(" × {blocks} blocks") };
                    let what = format!("{name} τ = {threshold}: {samples} samples{of} × at most {most} evaluations");
                    cost(what, seconds)?;
                }
            }
        }
        console::print(&format!("{}\n{text}", variant.name))?;
        text.clear();
    }
    console::print(&format!("about {total:.0} s in all, if {} holds none of it yet\n", cli.db().display()))
}

/// What decides the weights after a stage, besides the seed.
fn identity(variant: &Variant, stage: usize) -> String {
    let videos = variant.data.videos.as_ref().map(|videos| &videos.train);
    let config = match variant.train.stages.is_empty() {
        true => variant.training_config(),
        false => variant.first_stages(stage + 1).training_config(),
    };
    format!("{config} {:?} {videos:?}", variant.data.train)
}

/// Seconds of a training step of a stage, and floating-point operations a second in it.
fn time_steps(variant: &Variant, stage: &Stage, mesh: Mesh) -> Result<(f64, f64), engine::EngineError> {
    let train = variant.train.clone().with_stages(vec![Stage { steps: variant.train.steps, ..*stage }]);
    let start = Start { model: variant.model.clone(), train, seed: 0 };
    let blocks = stage.context / variant.model.block.tokens();
    let mut trainer = Trainer::new(start, Grey { blocks, block: variant.model.block.values() })?.with_mesh(mesh)?;
    if let Some(network) = &variant.perceptual.loss {
        trainer = trainer.with_perceptual(network.clone())?;
    }
    trainer.advance()?;
    let began = Instant::now();
    for _ in 0..TIMED_STEPS {
        trainer.advance()?;
    }
    let seconds = began.elapsed().as_secs_f64() / TIMED_STEPS as f64;
    let sequences = (stage.batch * variant.train.accumulate) as f64;
    // A backward pass costs about two forward passes.
    let flops = 3.0 * sequences * (variant.model.encoder_flops(blocks) + variant.model.decoder_flops(blocks));
    Ok((seconds, flops / seconds))
}
