//! A regressor learns what can be learnt, says how sure it is, and survives its file.

use engine::parameters::weights_hash;
use engine::regressor::{CurveExample, RegressorTrainer};
use engine::regressor::{load_regressor, save_regressor};
use engine::{BlockShape, Regressor, RegressorConfig};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const COUNTS: [usize; 3] = [4, 8, 16];

/// Blocks of noise of some amplitude: ln distortion is known from it but for a noise of deviation 0.1.
fn examples(seed: u64) -> Vec<CurveExample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let block = |random: &mut ChaCha8Rng, source: usize| {
        let amplitude: f32 = random.random_range(0.1..1.0);
        let luck = 0.1 * (0..12).map(|_| random.random_range(-0.5..0.5)).sum::<f64>();
        let level = 2.0 * f64::from(amplitude) + luck;
        CurveExample {
            source,
            block: (0..16 * 16 * 3).map(|_| amplitude * random.random_range(-1.0_f32..1.0)).collect(),
            ln_distortions: COUNTS.map(|count| level - 0.5 * (count as f64).ln()).to_vec(),
        }
    };
    (0..3000).map(|i| block(&mut random, i % 40)).collect()
}

fn trained() -> Regressor {
    let config = RegressorConfig {
        width: 16,
        hidden: 32,
        heads: 2,
        layers: 1,
        block: BlockShape::new(1, 16, 16, [1, 4, 4]).unwrap(),
        steps: 600,
        batch: 32,
        learning_rate: 5e-3,
    };
    let mut trainer = RegressorTrainer::new(config, COUNTS.to_vec(), examples(1), 7).unwrap();
    while !trainer.is_finished() {
        trainer.advance().unwrap();
    }
    trainer.finish()
}

#[test]
fn it_learns_a_curve_and_how_sure_it_can_be() {
    let regressor = trained();
    let unseen = examples(2);
    let forecasts = regressor.forecast(&unseen.iter().map(|example| example.block.clone()).collect::<Vec<_>>());
    let errors: Vec<(f64, f64)> = forecasts
        .iter()
        .zip(&unseen)
        .flat_map(|(forecast, example)| {
            forecast.points.iter().zip(&example.ln_distortions).map(|((_, mean, sure), seen)| (seen - mean, *sure))
        })
        .collect();
    let rms = (errors.iter().map(|(error, _)| error * error).sum::<f64>() / errors.len() as f64).sqrt();
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
    let block = vec![examples(3)[0].block.clone()];
    assert_eq!(loaded.forecast(&block), regressor.forecast(&block));
}

#[test]
fn one_photograph_is_not_enough() {
    let config = trained().config().clone();
    let one: Vec<CurveExample> = examples(1).into_iter().filter(|example| example.source == 0).collect();
    let error = RegressorTrainer::new(config, COUNTS.to_vec(), one, 7).err().unwrap().to_string();
    assert!(error.contains("at least two photographs"), "{error}");
}
