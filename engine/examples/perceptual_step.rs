//! What a perceptual loss costs beside the model's own training step: at the quickstart's size, and on the reference's
//! frames (4 of 256² pixels, 4096 tokens) with a model as small.
//!
//!     cargo run --release -p engine --example perceptual_step -- WEIGHTS.pth [HEADS.pth]

#[path = "../tests/noise/mod.rs"]
mod noise;

use engine::Precision;
use engine::patch::CHANNELS;
use engine::perceptual::PerceptualNetwork;
use engine::train::{PerceptualLoss, Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use noise::Noise;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What is trained.
struct Size {
    name: &'static str,
    frames: usize,
    /// Pixels of a frame's side.
    side: usize,
    batch: usize,
    /// Sides at which the loss sees a frame.
    seen: &'static [usize],
    /// Steps timed of each kind, in turns, so that whatever else the machine does slows all alike.
    rounds: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "quickstart", frames: 1, side: 64, batch: 32, seen: &[64, 224], rounds: 9 },
    Size { name: "4 frames of 256 pixels", frames: 4, side: 256, batch: 1, seen: &[224], rounds: 5 },
];

fn start(size: &Size, perceptual: Option<PerceptualLoss>) -> Result<Start, EngineError> {
    let model = ModelConfig {
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
        block: BlockShape::new(size.frames, size.side, size.side, [1, 8, 8])?,
        bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
    };
    Ok(Start { model, train: TrainConfig { batch: size.batch, perceptual, ..TrainConfig::default() }, seed: 0 })
}

fn main() -> Result<(), EngineError> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let network = Arc::new(PerceptualNetwork::load(&files)?);
    println!("{:?} {}, from {} pixels a side", network.architecture(), network.key(), network.smallest_side());
    SIZES.into_iter().try_for_each(|size| time(size, &network))
}

fn time(size: Size, network: &Arc<PerceptualNetwork>) -> Result<(), EngineError> {
    let data = || Noise { values: size.frames * size.side * size.side * CHANNELS, blocks: 1 };
    let mut runs = vec![("without".to_owned(), Trainer::new(start(&size, None)?, data())?, Vec::new())];
    for side in size.seen {
        let loss = PerceptualLoss { network: network.key().to_hex().to_string(), weight: 0.1, side: *side };
        let trainer = Trainer::new(start(&size, Some(loss))?, data())?.with_perceptual(network.clone())?;
        runs.push((format!("at {side} pixels"), trainer, Vec::new()));
    }
    for _ in 0..size.rounds {
        for (_, trainer, seconds) in &mut runs {
            let began = Instant::now();
            trainer.advance()?;
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    let mut own = None;
    for (name, _, seconds) in &mut runs {
        seconds.sort_by(f64::total_cmp);
        let median = seconds[size.rounds / 2];
        let own = *own.get_or_insert(median);
        println!("{}: a step {name}: {:.1} ms, {:.2} of a step without", size.name, median * 1e3, median / own);
    }
    Ok(())
}
