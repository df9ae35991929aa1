//! `bench plan`: training steps that `plan` foretells, beside the same steps made.

use super::cores;
use crate::cli::{BenchPlan, Cli};
use crate::console::{Console, print};
use crate::dry_run::Grey;
use anyhow::{Context as _, Result};
use engine::Precision;
use engine::plan::{Device, Plan, Task};
use engine::ring::Mesh;
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use evaluator::EvaluatorError;
use evaluator::statistics::median;
use evaluator::sweep::Progress as _;
use std::fmt::Write as _;
use std::time::Instant;

/// Tokens of the sequences: 1 … 16 blocks.
const TOKENS: [usize; 4] = [1 << 10, 1 << 12, 1 << 13, 1 << 14];

/// Each worker of a ring has one thread; a worker alone has all of them too.
pub(crate) fn plan(cli: &Cli, command: &BenchPlan) -> Result<()> {
    let all = cores(cli)?;
    let mut text = format!(
        "training steps of one sequence, 256 wide, 2 + 2 layers, blocks of 1024 tokens; median of {} steps\n\n\
         | tokens | workers | threads each | planned s | measured s | error |\n\
         |-------:|--------:|-------------:|----------:|-----------:|------:|\n",
        command.rounds
    );
    let mut errors = Vec::new();
    let console = Console::new(cli);
    let ways = [(1, 1), (1, all), (2, 1), (all, 1)];
    let ways: Vec<_> =
        ways.iter().enumerate().filter(|(i, way)| !ways[..*i].contains(way)).map(|(_, way)| *way).collect();
    console.begin("steps", 0, (TOKENS.len() * ways.len()) as u64);
    for (done, (tokens, (workers, threads))) in
        TOKENS.into_iter().flat_map(|tokens| ways.iter().map(move |way| (tokens, *way))).enumerate()
    {
        // Rates first: then both were made by the machine as it is now.
        let device = device(workers, threads)?;
        let task = Task::new(model()?, 1, tokens, workers).map_err(EvaluatorError::from)?;
        let planned = Plan::new(task, device).seconds();
        let measured = step(tokens, workers, threads, command.rounds.into())?;
        let error = planned / measured - 1.0;
        errors.push(error.abs());
        writeln!(
            text,
            "| {tokens:>6} | {workers:>7} | {threads:>12} | {planned:>9.3} | {measured:>10.3} | {:>+4.0} % |",
            100.0 * error
        )?;
        console.advance(done as u64 + 1, "");
    }
    console.end();
    let worst = errors.iter().copied().fold(0.0, f64::max);
    writeln!(text, "\nerror: median {:.0} %, at most {:.0} %", 100.0 * median(&errors), 100.0 * worst)?;
    print(&text)
}

fn model() -> Result<ModelConfig, EvaluatorError> {
    Ok(ModelConfig {
        width: 256,
        hidden: 512,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 5e6,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, 256, 256, [1, 8, 8])?,
        bottleneck: Bottleneck::Vae { dim: 8 },
    })
}

/// What each of so many workers can do while the others work too: they share the machine's memory. Threads hand packets
/// over, which takes no time.
fn device(workers: usize, threads: usize) -> Result<Device> {
    let model = model()?;
    let measure = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting the threads")?;
        let device = pool.install(|| Device::measured(&model, f64::INFINITY, None));
        Ok::<_, anyhow::Error>(device.map_err(EvaluatorError::from)?)
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(measure)).collect();
        let devices = started.into_iter().map(|thread| thread.join().expect("a measurement does not panic"));
        // All wait for the slowest.
        let slowest = |a: Device, b: Device| Device {
            linear_flops: a.linear_flops.min(b.linear_flops),
            attention_flops: a.attention_flops.min(b.attention_flops),
            attention_backward_flops: a.attention_backward_flops.min(b.attention_backward_flops),
            memory_bandwidth: a.memory_bandwidth.min(b.memory_bandwidth),
            ..a
        };
        let mut devices = devices.collect::<Result<Vec<_>>>()?.into_iter();
        let first = devices.next().context("no workers")?;
        Ok(devices.fold(first, slowest))
    })
}

/// Seconds of a training step, after one to warm up.
fn step(tokens: usize, workers: usize, threads: usize, rounds: usize) -> Result<f64> {
    let model = model()?;
    let (blocks, block) = (tokens / model.block.tokens(), model.block.values());
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(workers * threads).build().context("starting the threads")?;
    let seconds = pool.install(|| {
        let train = TrainConfig { batch: 1, ..TrainConfig::default() };
        let trainer = Trainer::new(Start { model, train, seed: 0 }, Grey { blocks, block })?;
        let mut trainer = trainer.with_mesh(Mesh { data: 1, sequence: workers })?;
        trainer.advance()?;
        let timed = (0..rounds).map(|_| {
            let began = Instant::now();
            trainer.advance().map(|_| began.elapsed().as_secs_f64())
        });
        timed.collect::<Result<Vec<_>, EngineError>>()
    });
    Ok(median(&seconds.map_err(EvaluatorError::from)?))
}
