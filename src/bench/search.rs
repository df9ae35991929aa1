//! `bench search`: evaluations a second, and how they scale with threads.

use super::cores;
use crate::cli::{BenchSearch, Cli};
use crate::console::print;
use anyhow::{Context as _, Result};
use engine::Precision;
use engine::{BlockSequence, BlockShape, Bottleneck, ElasticTok, Encoding, ModelConfig};
use evaluator::EvaluatorError;
use evaluator::statistics::median;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Tokens a block of the models timed; the last is large enough to fill every core by itself.
const TOKENS: [usize; 3] = [64, 256, 1024];

/// Counts asked at once: one after another as bisection does, a few, and as many as a curve.
const BATCHES: [usize; 3] = [1, 8, 61];

/// Times the quickstart's model with fresh weights: how long an evaluation takes does not depend on what was learnt.
pub(crate) fn search(cli: &Cli, command: &BenchSearch) -> Result<()> {
    let all = cores(cli)?;
    let mut text = format!(
        "evaluations (encoder and decoder) a second, median of {} rounds of {} s, 96 wide, 3 + 3 layers\n\n\
         | tokens | counts at once | 1 thread | {all} threads | scaling | GFLOP/s |\n\
         |-------:|---------------:|---------:|----------:|--------:|--------:|\n",
        command.rounds, command.seconds
    );
    for tokens in TOKENS {
        let model = model(tokens).map_err(EvaluatorError::from)?;
        let flops = model.config().encoder_flops(1) + model.config().decoder_flops(1);
        for batch in BATCHES {
            let seconds = Duration::try_from_secs_f64(command.seconds).context("--seconds")?;
            let mut rates = [Vec::new(), Vec::new()];
            // In turn, so that whatever else the machine does falls on both.
            for _ in 0..command.rounds {
                for (threads, rates) in [1, all].into_iter().zip(&mut rates) {
                    rates.push(rate(&model, batch, threads, seconds)?);
                }
            }
            let [one, many] = rates.map(|rates| median(&rates));
            writeln!(
                text,
                "| {tokens:>6} | {batch:>14} | {one:>8.1} | {many:>9.1} | {:>7.2} | {:>7.1} |",
                many / one,
                many * flops / 1e9
            )?;
        }
    }
    print(&text)
}

fn model(tokens: usize) -> Result<ElasticTok, engine::EngineError> {
    let side = 8 * tokens.isqrt();
    let config = ModelConfig {
        width: 96,
        hidden: 192,
        heads: 3,
        encoder_layers: 3,
        decoder_layers: 3,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.06,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, side, side, [1, 8, 8])?,
        bottleneck: Bottleneck::Vae { dim: 8 },
    };
    ElasticTok::new(config, 0)
}

/// Evaluations a second of one search at a time.
fn rate(model: &ElasticTok, batch: usize, threads: usize, seconds: Duration) -> Result<f64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting the threads")?;
    let block = vec![0.25; model.config().block.values()];
    let counts: Vec<usize> = (0..batch).map(|i| 1 + i % model.config().block.tokens()).collect();
    let sequence = BlockSequence::new(model, Encoding::PerCount);
    Ok(pool.install(|| {
        let next = sequence.next(&block);
        next.reconstruct(&counts);
        let (began, mut evaluations) = (Instant::now(), 0);
        while evaluations == 0 || began.elapsed() < seconds {
            next.reconstruct(&counts);
            evaluations += batch;
        }
        evaluations as f64 / began.elapsed().as_secs_f64()
    }))
}
