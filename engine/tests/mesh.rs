//! Training on a mesh of workers is training: the same gradients and losses, whoever computes them and whoever goes on.

mod noise;

use engine::parameters::weights_hash;
use engine::ring::Mesh;
use engine::train::{PerceptualLoss, Sequence, Start, TrainConfig, Trainer, TrainingData};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use noise::Noise;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const MESHES: [[usize; 2]; 7] = [[1, 2], [2, 1], [1, 3], [3, 1], [1, 4], [2, 2], [4, 1]];

fn mesh([data, sequence]: [usize; 2]) -> Mesh {
    Mesh { data, sequence }
}

const BLOCKS: usize = 3;

/// Noise with something to learn; the last block of every other sequence belongs to something else.
struct Learnable;

impl TrainingData for Learnable {
    fn blocks_per_sequence(&self) -> usize {
        BLOCKS
    }

    fn sequence(&self, number: u64) -> Result<Sequence, EngineError> {
        let mut sequence = Noise { values: block().values(), blocks: BLOCKS }.sequence(number)?;
        let frames = sequence.frames.iter_mut().enumerate();
        frames.for_each(|(i, value)| *value = *value / 4 + (i / 300 % 190) as u8);
        sequence.segments[BLOCKS - 1] = (number % 2) as i32;
        Ok(sequence)
    }
}

/// 15 patches: no number of workers divides the 45 of a sequence but 3 and 5.
fn block() -> BlockShape {
    BlockShape::new(1, 12, 20, [1, 4, 4]).unwrap()
}

fn start(bottleneck: Bottleneck, train: TrainConfig) -> Start {
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
        block: block(),
        bottleneck,
    };
    Start { model, train, seed: 11 }
}

fn settings(steps: usize) -> TrainConfig {
    let rate = 4e-3;
    TrainConfig { steps, batch: 5, warmup_steps: 1, min_tokens: 2, learning_rate: rate, ..TrainConfig::default() }
}

fn fsq() -> Bottleneck {
    Bottleneck::Fsq { levels: vec![8, 5, 5] }
}

fn vae() -> Bottleneck {
    Bottleneck::Vae { dim: 3 }
}

fn trainer(start: &Start, mesh: Mesh) -> Trainer {
    Trainer::new(start.clone(), Learnable).unwrap().with_mesh(mesh).unwrap()
}

fn losses(trainer: &mut Trainer, until: usize) -> Vec<f32> {
    std::iter::from_fn(|| (trainer.step() < until).then(|| trainer.advance().unwrap().loss)).collect()
}

/// The largest |a / b − 1|.
fn worst_ratio(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f32::max)
}

/// The gradient of every weight at the first step, times one number: AdamW's first moment, as a checkpoint has it.
fn first_gradients(start: &Start, mesh: Mesh, folder: &Path) -> (BTreeMap<String, Vec<f32>>, f32) {
    let mut trainer = trainer(start, mesh);
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
fn relative_norm(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

#[test]
fn the_first_gradients_of_every_mesh_are_those_of_one_worker() {
    let folder = tempfile::tempdir().unwrap();
    for (bottleneck, accumulate) in [(fsq(), 1), (vae(), 1), (vae(), 2)] {
        // A divergence that counts, and no clipping.
        let train = TrainConfig { kl_weight: 0.01, clip_norm: 1e6, accumulate, ..settings(1) };
        let start = start(bottleneck, train);
        let (one, loss) = first_gradients(&start, Mesh::ONE, folder.path());
        for shape in MESHES {
            let (many, mesh_loss) = first_gradients(&start, mesh(shape), folder.path());
            assert!((mesh_loss / loss - 1.0).abs() < 1e-6, "{shape:?}: loss {mesh_loss} against {loss}");
            let errors = one.iter().map(|(name, one)| (relative_norm(&many[name], one), name));
            let (worst, name) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            println!("{} on {shape:?}: worst gradient {worst:.1e} ({name})", many.len());
            assert!(worst < 1e-5, "{shape:?}: {name} is off by {worst:e}");
        }
    }
}

#[test]
fn the_losses_of_every_mesh_stay_those_of_one_worker() {
    let vae = start(vae(), settings(50));
    let one = losses(&mut trainer(&vae, Mesh::ONE), 50);
    assert!(one[49] < 0.7 * one[0], "it learns: {} to {}", one[0], one[49]);
    let fsq = start(fsq(), settings(50));
    let one_fsq = losses(&mut trainer(&fsq, Mesh::ONE), 50);
    for shape in MESHES {
        let off = worst_ratio(&losses(&mut trainer(&vae, mesh(shape)), 50), &one);
        // A latent on the edge between two codes falls to either side: these are told, not judged.
        let off_fsq = worst_ratio(&losses(&mut trainer(&fsq, mesh(shape)), 50), &one_fsq);
        println!("{shape:?}: losses of 50 steps within {off:.1e} (VAE), {off_fsq:.1e} (FSQ)");
        assert!(off < 1e-3, "{shape:?}: {off:e}");
    }
}

#[test]
fn a_checkpoint_of_one_mesh_goes_on_with_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("training.safetensors");
    let start = start(vae(), settings(18));
    let whole = losses(&mut trainer(&start, Mesh::ONE), 18);
    for order in [[[1, 3], [2, 1], [1, 1]], [[1, 1], [2, 2], [1, 4]], [[4, 1], [1, 2], [3, 1]]] {
        let mut all = losses(&mut trainer(&start, mesh(order[0])), 0);
        let mut running = trainer(&start, mesh(order[0]));
        for (next, stop) in order.into_iter().zip([6, 12, 18]) {
            if running.step() > 0 {
                running = Trainer::resume(start.clone(), Learnable, &file).unwrap().with_mesh(mesh(next)).unwrap();
            }
            all.extend(losses(&mut running, stop));
            running.save(&file).unwrap();
        }
        let off = worst_ratio(&all, &whole);
        assert!(off < 1e-3, "{order:?}: {off:e}");
    }
}

/// As [`Learnable`], but the first time the last sequence is asked for it lacks a segment: no worker can find its blocks' segments.
#[derive(Default)]
struct OnceBroken(AtomicBool);

impl TrainingData for OnceBroken {
    fn blocks_per_sequence(&self) -> usize {
        BLOCKS
    }

    fn sequence(&self, number: u64) -> Result<Sequence, EngineError> {
        let mut sequence = Learnable.sequence(number)?;
        if number == 9 && !self.0.swap(true, Relaxed) {
            sequence.segments.pop();
        }
        Ok(sequence)
    }
}

#[test]
fn a_worker_that_panics_leaves_the_run_as_it_was() {
    let start = start(vae(), settings(4));
    for shape in [[2, 1], [1, 2], [2, 2]] {
        let undisturbed = losses(&mut trainer(&start, mesh(shape)), 4);
        let mut trainer = Trainer::new(start.clone(), OnceBroken::default()).unwrap().with_mesh(mesh(shape)).unwrap();
        let mut all = losses(&mut trainer, 1);
        let before = weights_hash(trainer.model());
        let error = trainer.advance().unwrap_err();
        assert!(matches!(&error, EngineError::Ring(lost) if lost.end.starts_with("panicked: ")), "{shape:?}: {error}");
        assert!(error.to_string().contains("the last checkpoint is"), "{error}");
        assert_eq!((trainer.step(), weights_hash(trainer.model())), (1, before), "{shape:?}");
        all.extend(losses(&mut trainer, 4));
        assert_eq!(all, undisturbed, "{shape:?}");
    }
}

#[test]
fn the_same_mesh_gives_the_same_bytes() {
    let start = start(vae(), settings(6));
    for shape in [[1, 3], [3, 1], [2, 2]] {
        let run = || {
            let mut trainer = trainer(&start, mesh(shape));
            let losses = losses(&mut trainer, 6);
            (losses, weights_hash(trainer.model()))
        };
        assert_eq!(run(), run(), "{shape:?}");
    }
}

#[test]
fn a_trace_is_written_down_for_every_worker_that_asks_for_it() {
    let start = start(vae(), settings(2));
    let mut trainer = trainer(&start, mesh([2, 2])).with_trace();
    let silent = self::trainer(&start, mesh([2, 2]));
    trainer.advance().unwrap();
    assert!(silent.traces().is_empty());
    assert_eq!(trainer.traces().len(), 4);
    for trace in trainer.traces() {
        // Two steps forward; backward two and the way home.
        assert_eq!((trace.forward.len(), trace.backward.len()), (2, 3));
        assert!(trace.total().scores > 0 && trace.to_string().contains("\nbackward 2"), "{trace}");
    }
    // Worker 1 of each ring sends its early slice on; what worker 0 reads of it comes home from there.
    assert!(trainer.traces().iter().all(|trace| trace.total().bytes > 0));
}

#[test]
fn a_mesh_that_cannot_be_is_refused_with_a_reason() {
    let refusal = |start: &Start, shape| match Trainer::new(start.clone(), Learnable).unwrap().with_mesh(mesh(shape)) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    let plain = start(vae(), settings(1));
    assert_eq!(
        refusal(&plain, [6, 1]),
        "mesh = data=6,sequence=1: 6 groups share train.batch = 5 sequences: need one each"
    );
    assert!(refusal(&plain, [1, 23]).starts_with("mesh = data=1,sequence=23: a sequence of 45 tokens"));
    assert!(refusal(&plain, [0, 2]).contains("at least one worker"));
    let perceptual = Some(PerceptualLoss { network: String::new(), weight: 0.1, side: 64 });
    let seeing = start(vae(), TrainConfig { perceptual, ..settings(1) });
    assert!(refusal(&seeing, [1, 2]).contains("perceptual loss looks at whole frames"));
}
