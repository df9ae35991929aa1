//! `bench search`: evaluations a second, how they scale with threads, and the time an answer takes.

use super::{answers, cores};
use crate::allocator;
use crate::cli::{BenchSearch, Cli};
use crate::console::{Console, print};
use anyhow::{Context as _, Result};
use engine::model::load_model;
use engine::{BlockSequence, BlockShape, Bottleneck, ElasticTok, EngineError, ModelConfig, Precision};
use evaluator::EvaluatorError;
use evaluator::encode::encoding;
use evaluator::statistics::median;
use evaluator::sweep::Progress as _;
use rayon::ThreadPool;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Tokens a block of the models timed when none is given: a crop of 128 pixels in patches of 8, up to the paper's block.
const TOKENS: [usize; 3] = [256, 1024, 4096];

/// Counts asked at once: one after another as bisection does, as `kary(3)`, and as `binned(16)` does.
const BATCHES: [usize; 3] = [1, 3, 16];

/// Times trained models, or the quickstart's with fresh weights: how long an evaluation takes does not depend on what was
/// learnt, but how many a search needs does.
pub(crate) fn search(cli: &Cli, command: &BenchSearch) -> Result<()> {
    allocator::keep_memory()?;
    let all = cores(cli)?;
    let models = models(command)?;
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting the threads");
    let pools = [pool(1)?, pool(all)?];
    let console = Console::new(cli);
    // Before anything is timed.
    let questions = answers::questions(&models, &command.pictures, &pools[1], &console)?;
    let (mut text, rates) = batches(command, &models, &pools, &console)?;
    if !command.pictures.is_empty() {
        text += &format!("\n{}", answers::table(&models, &questions, &rates, &pools, command.rounds, &console)?);
    }
    print(&text)
}

/// A table of rates, and each model's at its largest batch: with one thread, and with all.
fn batches(
    command: &BenchSearch,
    models: &[ElasticTok],
    pools: &[ThreadPool; 2],
    console: &Console,
) -> Result<(String, Vec<[f64; 2]>)> {
    let seconds = Duration::try_from_secs_f64(command.seconds).context("--seconds")?;
    let mut text = format!(
        "evaluations (encoder and decoder) a second, median of {} rounds of {} s\n\n\
         | tokens | counts at once | 1 thread | {} threads | scaling | GFLOP/s |\n\
         |-------:|---------------:|---------:|----------:|--------:|--------:|\n",
        command.rounds,
        command.seconds,
        pools[1].current_num_threads()
    );
    let mut done = 0;
    console.begin("batches", done, (models.len() * BATCHES.len()) as u64);
    let mut largest = Vec::new();
    for model in models {
        let tokens = model.config().block.tokens();
        let flops = model.config().encoder_flops(1) + model.config().decoder_flops(1);
        let mut last = [0.0; 2];
        for batch in BATCHES {
            let mut rates = [Vec::new(), Vec::new()];
            // In turn, so that whatever else the machine does falls on both.
            for _ in 0..command.rounds {
                for (pool, rates) in pools.iter().zip(&mut rates) {
                    rates.push(rate(model, batch, pool, seconds));
                }
            }
            last = rates.map(|rates| median(&rates));
            let [one, many] = last;
            writeln!(
                text,
                "| {tokens:>6} | {batch:>14} | {one:>8.1} | {many:>9.1} | {:>7.2} | {:>7.1} |",
                many / one,
                many * flops / 1e9
            )?;
            done += 1;
            console.advance(done, "");
        }
        largest.push(last);
    }
    console.end();
    Ok((text, largest))
}

/// By tokens of a block.
fn models(command: &BenchSearch) -> Result<Vec<ElasticTok>> {
    if command.checkpoints.is_empty() {
        return Ok(TOKENS.map(fresh).into_iter().collect::<Result<_, _>>().map_err(EvaluatorError::from)?);
    }
    let models = command.checkpoints.iter().map(|file| Ok(load_model(file)?.0));
    let mut models = models.collect::<Result<Vec<_>>>()?;
    models.sort_by_key(|model| model.config().block.tokens());
    Ok(models)
}

fn fresh(tokens: usize) -> Result<ElasticTok, EngineError> {
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
fn rate(model: &ElasticTok, batch: usize, pool: &ThreadPool, seconds: Duration) -> f64 {
    let block = vec![0.25; model.config().block.values()];
    let counts: Vec<usize> = (0..batch).map(|i| 1 + i % model.config().block.tokens()).collect();
    let sequence = BlockSequence::new(model, encoding(model.config()));
    pool.install(|| {
        let next = sequence.next(&block);
        next.reconstruct(&counts[..1]);
        let (began, mut evaluations) = (Instant::now(), 0);
        while evaluations == 0 || began.elapsed() < seconds {
            next.reconstruct(&counts);
            evaluations += batch;
        }
        evaluations as f64 / began.elapsed().as_secs_f64()
    })
}
