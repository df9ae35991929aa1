//! A regressor learns what can be learnt, says how sure it is, and survives its file.

use engine::parameters::weights_hash;
use engine::regressor::{CurveExample, RegressorTrainer, SeenBlock};
use engine::regressor::{load_regressor, save_regressor};
use engine::{BlockShape, Regressor, RegressorConfig};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const COUNTS: [usize; 3] = [4, 8, 16];

fn noise(amplitude: f32, random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..16 * 16 * 3).map(|_| amplitude * random.random_range(-1.0..1.0)).collect()
}

/// Blocks of noise of some amplitude: ln distortion is known from it but for a noise of deviation 0.1.
fn examples(seed: u64) -> Vec<CurveExample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let block = |random: &mut ChaCha8Rng, source: usize| {
        let amplitude: f32 = random.random_range(0.1..1.0);
        let luck = 0.1 * (0..12).map(|_| random.random_range(-0.5..0.5)).sum::<f64>();
        let level = 2.0 * f64::from(amplitude) + luck;
        CurveExample {
            source,
            seen: SeenBlock::alone(noise(amplitude, random)),
            ln_distortions: COUNTS.map(|count| level - 0.5 * (count as f64).ln()).to_vec(),
        }
    };
    (0..3000).map(|i| block(&mut random, i % 40)).collect()
}

fn trained() -> Regressor {
    trained_on(examples(1), 0, 600)
}

fn trained_on(examples: Vec<CurveExample>, earlier: usize, steps: usize) -> Regressor {
    let config = RegressorConfig {
        width: 16,
        hidden: 32,
        heads: 2,
        layers: 1,
        block: BlockShape::new(1, 16, 16, [1, 4, 4]).unwrap(),
        earlier,
        steps,
        batch: 32,
        learning_rate: 5e-3,
    };
    let mut trainer = RegressorTrainer::new(config, COUNTS.to_vec(), examples, 7).unwrap();
    while !trainer.is_finished() {
        trainer.advance().unwrap();
    }
    trainer.finish()
}

/// Error and predicted deviation of every point.
fn errors(regressor: &Regressor, examples: &[CurveExample]) -> Vec<(f64, f64)> {
    let forecasts = regressor.forecast(&examples.iter().map(|example| example.seen.clone()).collect::<Vec<_>>());
    let points = forecasts.iter().zip(examples).flat_map(|(forecast, example)| {
        forecast.points.iter().zip(&example.ln_distortions).map(|((_, mean, sure), seen)| (seen - mean, *sure))
    });
    points.collect()
}

fn rms(errors: &[(f64, f64)]) -> f64 {
    (errors.iter().map(|(error, _)| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

/// Blocks whose distortion depends on the amplitude of the block before and on how many of its 16 tokens it kept; those
/// that are the first of their clip have a level of their own.
fn examples_of_clips(seed: u64, firsts: f64) -> Vec<CurveExample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let block = |random: &mut ChaCha8Rng, source: usize| {
        let amplitude: f32 = random.random_range(0.1..1.0);
        let (level, earlier) = match random.random_bool(firsts) {
            true => (-1.0, Vec::new()),
            false => {
                let kept: usize = random.random_range(0..=16);
                let level = 2.0 * f64::from(amplitude) - kept as f64 / 16.0;
                let forgotten = (noise(random.random_range(0.1..1.0), random).into(), 16);
                (level, vec![forgotten, (noise(amplitude, random).into(), kept)])
            }
        };
        CurveExample {
            source,
            seen: SeenBlock { earlier, ..SeenBlock::alone(noise(0.5, random)) },
            ln_distortions: COUNTS.map(|count| level - 0.5 * (count as f64).ln()).to_vec(),
        }
    };
    (0..3000).map(|i| block(&mut random, i % 40)).collect()
}

#[test]
fn it_learns_from_the_block_before_and_from_what_that_kept() {
    let regressor = trained_on(examples_of_clips(1, 0.0), 1, 2000);
    let rms = rms(&errors(&regressor, &examples_of_clips(2, 0.0)));
    assert!(rms < 0.2, "not knowing the amplitude costs 0.52, not knowing what was kept 0.31; it errs by {rms}");
}

#[test]
fn a_block_is_expected_the_same_alone_and_among_others_with_more_before_them() {
    let regressor = trained_on(examples_of_clips(1, 0.5), 1, 20);
    let blocks: Vec<SeenBlock> = examples_of_clips(3, 0.5).into_iter().take(40).map(|example| example.seen).collect();
    let lengths: Vec<usize> = blocks.iter().map(|block| block.earlier.len()).collect();
    assert!(lengths.contains(&0) && lengths.contains(&2));
    for (block, together) in blocks.iter().zip(regressor.forecast(&blocks)) {
        let alone = regressor.forecast(std::slice::from_ref(block)).remove(0);
        for ((n, mean, deviation), (m, expected, sure)) in alone.points.into_iter().zip(together.points) {
            assert_eq!(n, m);
            assert!((mean - expected).abs() < 1e-4 && (deviation - sure).abs() < 1e-4, "{mean} against {expected}");
        }
        // The one before the block before is too far back.
        let near = SeenBlock { earlier: block.earlier.iter().skip(1).cloned().collect(), ..block.clone() };
        assert_eq!(regressor.forecast(&[near]).remove(0), regressor.forecast(std::slice::from_ref(block)).remove(0));
    }
}

#[test]
fn it_learns_a_curve_and_how_sure_it_can_be() {
    let regressor = trained();
    let errors = errors(&regressor, &examples(2));
    let rms = rms(&errors);
    assert!(rms < 0.15, "the noise alone deviates by 0.1, the levels by 0.5; it errs by {rms}");
    // 1.28 deviations hold nine of ten.
    let above = errors.iter().filter(|(error, sure)| *error > 1.2816 * sure).count() as f64 / errors.len() as f64;
    assert!((0.05..0.16).contains(&above), "one of ten should lie above its nine-tenths margin, {above} do");
}

#[test]
fn the_same_seed_gives_the_same_weights_and_a_file_gives_them_back() {
    let (regressor, again) = (trained(), trained());
    assert_eq!(weights_hash(&regressor), weights_hash(&again));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("regressor.safetensors");
    save_regressor(&regressor, &path).unwrap();
    let loaded = load_regressor(&path).unwrap();
    assert_eq!((loaded.config(), loaded.scale()), (regressor.config(), regressor.scale()));
    let block = vec![examples(3)[0].seen.clone()];
    assert_eq!(loaded.forecast(&block), regressor.forecast(&block));
}

#[test]
fn one_photograph_is_not_enough() {
    let config = trained().config().clone();
    let one: Vec<CurveExample> = examples(1).into_iter().filter(|example| example.source == 0).collect();
    let error = RegressorTrainer::new(config, COUNTS.to_vec(), one, 7).err().unwrap().to_string();
    assert!(error.contains("at least two photographs"), "{error}");
}
