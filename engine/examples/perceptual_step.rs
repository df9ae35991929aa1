//! What a perceptual loss costs beside the model's own training step, at the quickstart's size.
//!
//!     cargo run --release -p engine --example perceptual_step -- WEIGHTS.pth [HEADS.pth]

use engine::patch::CHANNELS;
use engine::perceptual::PerceptualNetwork;
use engine::train::{PerceptualLoss, Sequence, Start, TrainConfig, Trainer, TrainingData};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig, random};
use rand::RngCore as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Pixels of the quickstart's crops.
const CROP: usize = 64;

/// Steps timed of each kind, in turns, so that whatever else the machine does slows all alike.
const ROUNDS: usize = 9;

struct Noise;

impl TrainingData for Noise {
    fn blocks_per_sequence(&self) -> usize {
        1
    }

    fn sequence(&self, number: u64) -> Result<Sequence, EngineError> {
        let mut frames = vec![0; CROP * CROP * CHANNELS];
        random::stream(0, "noise", number).fill_bytes(&mut frames);
        Ok(Sequence { frames, segments: vec![0] })
    }
}

fn quickstart(perceptual: Option<PerceptualLoss>) -> Result<Start, EngineError> {
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
        block: BlockShape::new(1, CROP, CROP, [1, 8, 8])?,
        bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
    };
    Ok(Start { model, train: TrainConfig { batch: 32, perceptual, ..TrainConfig::default() }, seed: 0 })
}

fn main() -> Result<(), EngineError> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let network = Arc::new(PerceptualNetwork::load(&files)?);
    println!("{:?} {}, from {} pixels a side", network.architecture(), network.key(), network.smallest_side());
    let mut runs = vec![("without".to_owned(), Trainer::new(quickstart(None)?, Noise)?, Vec::new())];
    for side in [64, 128, 224] {
        let loss = PerceptualLoss { network: network.key().to_hex().to_string(), weight: 0.1, side };
        let trainer = Trainer::new(quickstart(Some(loss))?, Noise)?.with_perceptual(network.clone())?;
        runs.push((format!("at {side} pixels"), trainer, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (_, trainer, seconds) in &mut runs {
            let began = Instant::now();
            trainer.advance()?;
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    for (name, _, seconds) in &mut runs {
        seconds.sort_by(f64::total_cmp);
        println!(
            "a step {name}: {:.1} ms (median of {ROUNDS}), least {:.1} ms",
            seconds[ROUNDS / 2] * 1e3,
            seconds[0] * 1e3
        );
    }
    Ok(())
}
