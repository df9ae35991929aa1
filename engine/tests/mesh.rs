//! Training on a mesh of workers is training: the same gradients and losses, whoever computes them and whoever goes on.

mod learnable;
mod noise;

use engine::EngineError;
use engine::parameters::weights_hash;
use engine::ring::Mesh;
use engine::train::{PerceptualLoss, Sequence, Start, TrainConfig, Trainer, TrainingData};
use learnable::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

#[test]
fn the_first_gradients_of_every_mesh_are_those_of_one_worker() {
    let folder = tempfile::tempdir().unwrap();
    for (bottleneck, accumulate) in [(fsq(), 1), (vae(), 1), (vae(), 2)] {
        // A divergence that counts, and no clipping.
        let train = TrainConfig { kl_weight: 0.01, clip_norm: 1e6, accumulate, ..settings(1) };
        compare_first_gradients(&start(bottleneck, train), &MESHES, folder.path());
    }
}

/// Fails unless each mesh finds the loss and the gradients that one worker finds.
fn compare_first_gradients(start: &Start, meshes: &[[usize; 2]], folder: &Path) {
    let (one, loss) = first_gradients(start, Mesh::ONE, folder);
    for shape in meshes {
        let (many, mesh_loss) = first_gradients(start, mesh(*shape), folder);
        assert!((mesh_loss / loss - 1.0).abs() < 1e-6, "{shape:?}: loss {mesh_loss} against {loss}");
        let errors = one.iter().map(|(name, one)| (relative_norm(&many[name], one), name));
        let (worst, name) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        println!("{} on {shape:?}: worst gradient {worst:.1e} ({name})", many.len());
        assert!(worst < 1e-5, "{shape:?}: {name} is off by {worst:e}");
    }
}

/// One worker cuts 80 sequences into seven shards, which add to four sums; workers of a mesh cut nothing.
#[test]
fn gradients_of_shards_that_share_sums_are_those_of_whole_batches_by_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    for bottleneck in [fsq(), vae()] {
        let train = TrainConfig { batch: 80, kl_weight: 0.01, clip_norm: 1e6, ..settings(1) };
        let start = start(bottleneck, train);
        compare_first_gradients(&start, &[[2, 1], [1, 2]], folder.path());
        let by_threads = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| first_gradients(&start, Mesh::ONE, folder.path()))
        });
        assert!(
            by_threads[0] == by_threads[1] && by_threads[0] == by_threads[2],
            "the number of threads changes bytes"
        );
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

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        let mut sequence = Learnable.sequence(number, blocks)?;
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
        assert!(trace.to_string().contains("\nbackward 2"), "{trace}");
        for pass in [&trace.forward, &trace.backward] {
            assert!(pass.iter().any(|step| step.scores > 0), "each pass is written down: {trace}");
            for step in pass {
                assert!(step.scores == 0 || step.computing > Duration::ZERO, "scores take time: {trace}");
            }
        }
    }
    // Worker 1 of each ring sends its early slice on; what worker 0 reads of it comes home from there.
    assert!(trainer.traces().iter().all(|trace| trace.total().bytes > 0));
}

/// Layers that keep their input alone compute all else again, attention's ring included.
#[test]
fn what_is_computed_again_is_the_same_to_the_last_bit() {
    for (bottleneck, shape) in [(fsq(), [1, 1]), (vae(), [1, 1]), (vae(), [1, 2]), (vae(), [2, 1])] {
        let trained = |recompute| {
            let start = start(bottleneck.clone(), TrainConfig { recompute, ..settings(5) });
            let mut trainer = trainer(&start, mesh(shape));
            let losses = losses(&mut trainer, 5);
            (losses, weights_hash(trainer.model()))
        };
        assert_eq!(trained(true), trained(false), "{shape:?}");
    }
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
