//! `run --dry-run`: what would be done and about what it costs.

use crate::cli::Cli;
use anyhow::Result;
use engine::train::{Start, Trainer, TrainingData};
use evaluator::EvaluatorError;
use evaluator::experiment::{Experiment, Variant};
use evaluator::sweep::{PictureSets, Silent, check_memory};
use std::time::Instant;

/// Steps timed for the estimate, after one to warm up.
const TIMED_STEPS: usize = 2;

/// Grey pictures: how long a step takes does not depend on what is seen.
struct Grey(usize);

impl TrainingData for Grey {
    fn blocks_per_sequence(&self) -> usize {
        1
    }

    fn sequence(&mut self, _: u64) -> Vec<u8> {
        vec![128; self.0]
    }
}

/// Prints every training run and trial with an estimate from a few steps made now. Nothing is written.
pub(crate) fn print(cli: &Cli, experiment: &Experiment) -> Result<()> {
    check_memory(experiment)?;
    let sets = PictureSets::load(experiment, &Silent)?;
    let mut total = 0.0;
    for variant in &experiment.variants {
        let (step_seconds, rate) = time_steps(variant).map_err(EvaluatorError::from)?;
        let training = step_seconds * variant.train.steps as f64;
        let evaluation = variant.model.encoder_flops(1) + variant.model.decoder_flops(1);
        let samples = sets.held_out(&variant.data);
        println!("{}", variant.name);
        for seed in &experiment.seeds {
            println!("  train seed {seed}: {} steps, about {training:.0} s", variant.train.steps);
            total += training;
            for strategy in &variant.sweep.strategies {
                for threshold in &variant.sweep.thresholds {
                    let evaluations = strategy.most_evaluations(variant.range()) as f64;
                    let seconds = samples as f64 * (evaluations + 1.0) * evaluation / rate;
                    total += seconds;
                    println!(
                        "  {} τ = {threshold}: {samples} samples × at most {evaluations} evaluations, about {seconds:.1} s",
                        strategy.name()
                    );
                }
            }
        }
    }
    println!("about {total:.0} s in all, less what {} already holds", cli.db.display());
    Ok(())
}

/// Seconds of a training step, and floating-point operations a second in it.
fn time_steps(variant: &Variant) -> Result<(f64, f64), engine::EngineError> {
    let start = Start { model: variant.model.clone(), train: variant.train.clone(), seed: 0 };
    let mut trainer = Trainer::new(start, Grey(variant.model.block.values()))?;
    trainer.advance()?;
    let began = Instant::now();
    for _ in 0..TIMED_STEPS {
        trainer.advance()?;
    }
    let seconds = began.elapsed().as_secs_f64() / TIMED_STEPS as f64;
    let sequences = (variant.train.batch * variant.train.accumulate) as f64;
    // A backward pass costs about two forward passes.
    let flops = 3.0 * sequences * (variant.model.encoder_flops(1) + variant.model.decoder_flops(1));
    Ok((seconds, flops / seconds))
}
