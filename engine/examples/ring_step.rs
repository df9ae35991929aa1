//! What a ring of workers costs beside one worker on the same cores: training steps of one long sequence, in turn, and
//! where the workers' time goes.
//!
//!     cargo run --release -p engine --example ring_step -- [WORKERS] [BLOCKS] [ROUNDS]
//!
//! A block has 1024 tokens; 2 workers, 16 blocks and 7 rounds where nothing is said. One worker has WORKERS threads, and
//! each of the WORKERS workers has one.

#[path = "../tests/noise/mod.rs"]
mod noise;

use engine::Precision;
use engine::ring::{Mesh, Slices, Trace};
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use noise::Noise;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let number = |index: usize, otherwise| numbers.get(index).copied().unwrap_or(otherwise);
    let (workers, blocks, rounds) = (number(0, 2), number(1, 16), number(2, 7));
    let cores = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
    Ok(cores.install(|| compare(workers, blocks, rounds))?)
}

fn compare(workers: usize, blocks: usize, rounds: usize) -> Result<(), EngineError> {
    let model = ModelConfig {
        width: 128,
        hidden: 256,
        heads: 4,
        encoder_layers: 1,
        decoder_layers: 1,
        rope_theta: 5e6,
        norm_epsilon: 1e-5,
        init_std: 0.06,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, 256, 256, [1, 8, 8])?,
        bottleneck: Bottleneck::Vae { dim: 8 },
    };
    let values = model.block.values();
    let start = Start { model, train: TrainConfig { batch: 1, ..TrainConfig::default() }, seed: 0 };
    let trainer = || Trainer::new(start.clone(), Noise { values, blocks });
    let mesh = Mesh { data: 1, sequence: workers };
    let (mut one, mut many) = (trainer()?, trainer()?.with_mesh(mesh)?.with_trace());

    let layout = one.model().layout(1, blocks);
    let tokens = layout.tokens_per_sequence();
    println!("{tokens} tokens, {workers} workers: scores of the busiest against the mean");
    println!("contiguous {:.3}", Slices::contiguous(tokens, workers).imbalance(&layout));
    println!("mirrored   {:.3}", Slices::mirrored(tokens, workers).imbalance(&layout));

    // In turn, so that whatever else the machine does falls on both.
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let [one, many] = [&mut one, &mut many].map(|trainer| {
            let began = Instant::now();
            trainer.advance().map(|_| began.elapsed().as_secs_f64())
        });
        let (one, many) = (one?, many?);
        println!("round {round}: {one:.2} s one worker, {many:.2} s {workers} workers: {:.3} of its speed", one / many);
        ratios.push(one / many);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median {:.3} of one worker's speed on the same cores", ratios[rounds / 2]);
    for (worker, trace) in many.traces().iter().enumerate() {
        println!("\nworker {worker}, {rounds} training steps\n{trace}");
    }
    let total = |of: fn(&Trace) -> f64| many.traces().iter().map(of).sum::<f64>();
    let computing = total(|trace| trace.total().computing.as_secs_f64());
    let waiting = total(|trace| trace.total().waiting.as_secs_f64());
    println!("all workers: {computing:.2} s computing scores, {waiting:.2} s waiting");
    Ok(())
}
