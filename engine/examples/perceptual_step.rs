//! What a perceptual loss costs beside the model's own training step, at the quickstart's size.
//!
//!     cargo run --release -p engine --example perceptual_step -- WEIGHTS.pth [HEADS.pth]

use engine::patch::CHANNELS;
use engine::perceptual::PerceptualNetwork;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), engine::EngineError> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let network = PerceptualNetwork::load(&files)?;
    println!("{:?} {} from {} pixels a side", network.architecture(), network.key(), network.smallest_side());
    for side in [64, 128, 224] {
        let wave = |phase: f32| -> Vec<f32> {
            (0..side * side * CHANNELS).map(|i| (i as f32 * 0.01 + phase).sin() * (i as f32 * 0.37).cos()).collect()
        };
        let (a, b) = (wave(0.0), wave(0.3));
        let time = |run: &dyn Fn() -> f64| {
            run();
            let mut seconds: Vec<f64> = (0..7)
                .map(|_| {
                    let began = Instant::now();
                    run();
                    began.elapsed().as_secs_f64()
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            seconds[3] * 1e3
        };
        let distance = time(&|| network.distance(&a, &b, side, side));
        let gradient = time(&|| network.distance_and_gradient(&a, &b, side, side).0);
        println!("{side} pixels a side: distance {distance:.1} ms, with its gradient {gradient:.1} ms");
    }
    Ok(())
}
