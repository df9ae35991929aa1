//! A small model and something for it to learn: what tests of meshes train.

#![allow(dead_code)] // each test program uses its part

use crate::noise::Noise;
use engine::Precision;
use engine::ring::Mesh;
use engine::train::{Sequence, Start, TrainConfig, Trainer, TrainingData};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

/// Data × sequence: every mesh of two to four workers.
pub const MESHES: [[usize; 2]; 7] = [[1, 2], [2, 1], [1, 3], [3, 1], [1, 4], [2, 2], [4, 1]];

pub fn mesh([data, sequence]: [usize; 2]) -> Mesh {
    Mesh { data, sequence }
}

pub const BLOCKS: usize = 3;

/// Noise with something to learn; the last block of every other sequence belongs to something else.
pub struct Learnable;

impl TrainingData for Learnable {
    fn blocks_per_sequence(&self) -> usize {
        BLOCKS
    }

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        let mut sequence = Noise { values: block().values(), blocks: BLOCKS }.sequence(number, blocks)?;
        let frames = sequence.frames.iter_mut().enumerate();
        frames.for_each(|(i, value)| *value = *value / 4 + (i / 300 % 190) as u8);
        sequence.segments[blocks - 1] = (number % 2) as i32;
        Ok(sequence)
    }
}

/// 15 patches: no number of workers divides the 45 of a sequence but 3 and 5.
pub fn block() -> BlockShape {
    BlockShape::new(1, 12, 20, [1, 4, 4]).unwrap()
}

pub fn start(bottleneck: Bottleneck, train: TrainConfig) -> Start {
    let model = ModelConfig {
        width: 24,
        hidden: 40,
        heads: 3,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.25,
        mask_conditioning: true,
        precision: Precision::F32,
        block: block(),
        bottleneck,
    };
    Start { model, train, seed: 11 }
}

pub fn settings(steps: usize) -> TrainConfig {
    let rate = 4e-3;
    TrainConfig { steps, batch: 5, warmup_steps: 1, min_tokens: 2, learning_rate: rate, ..TrainConfig::default() }
}

pub fn fsq() -> Bottleneck {
    Bottleneck::Fsq { levels: vec![8, 5, 5] }
}

pub fn vae() -> Bottleneck {
    Bottleneck::Vae { dim: 3 }
}

pub fn trainer(start: &Start, mesh: Mesh) -> Trainer {
    Trainer::new(start.clone(), Learnable).unwrap().with_mesh(mesh).unwrap()
}

pub fn losses(trainer: &mut Trainer, until: usize) -> Vec<f32> {
    std::iter::from_fn(|| (trainer.step() < until).then(|| trainer.advance().unwrap().loss)).collect()
}

/// The largest |a / b − 1|.
pub fn worst_ratio(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f32::max)
}

/// The gradient of every weight at the first step, times one number: AdamW's first moment, as a checkpoint has it.
pub fn first_gradients(start: &Start, mesh: Mesh, folder: &Path) -> (BTreeMap<String, Vec<f32>>, f32) {
    first_gradients_of(trainer(start, mesh), folder)
}

/// The same of a trainer that has made no step yet.
pub fn first_gradients_of(mut trainer: Trainer, folder: &Path) -> (BTreeMap<String, Vec<f32>>, f32) {
    let loss = trainer.advance().unwrap().loss;
    let file = folder.join("training.safetensors");
    trainer.save(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let moments = arrays.tensors().into_iter().filter(|(name, _)| name.starts_with("first."));
    (moments.map(|(name, array)| (name, numbers(array.data()))).collect(), loss)
}

/// ‖a − b‖ / ‖b‖.
pub fn relative_norm(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}
