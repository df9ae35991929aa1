//! A perceptual network as a metric and as a loss, through the built binary.

mod common;

use common::Bench;
use std::path::Path;

/// Copies a small network of random weights beside the experiment.
fn bench_with_network() -> Bench {
    let bench = Bench::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/perceptual");
    std::fs::copy(fixtures.join("st_lpips_alex.pth"), bench.path("net.pth")).unwrap();
    std::fs::copy(fixtures.join("st_lpips_vgg.pth"), bench.path("other.pth")).unwrap();
    bench
}

const METRIC: [&str; 4] = ["run", "tiny.toml", "--set", "perceptual.metric=['net.pth']"];

/// Every stored perceptual distance, one a line.
fn distances(bench: &Bench) -> Vec<String> {
    bench.numbers().into_iter().filter(|line| line.contains(" st_lpips ")).collect()
}

#[test]
fn it_is_measured_where_it_is_asked_for_and_trains_nothing_again() {
    let bench = bench_with_network();
    let (_, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(err.contains("3 trained, 0 reused; 14 trials evaluated, 0 reused"), "{err}");
    assert_eq!(distances(&bench), [""; 0]);
    // Measured with more, trials are others; the models are the same.
    let (_, err) = bench.succeed(&METRIC);
    assert!(err.contains("0 trained, 3 reused; 14 trials evaluated, 0 reused"), "{err}");
    let measured = distances(&bench);
    assert_eq!(measured.len(), 14 * 6, "one of every sample of every trial");
    let values: Vec<f64> = measured.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(values.iter().all(|value| *value > 0.0 && value.is_finite()), "{values:?}");
    let (_, err) = bench.succeed(&METRIC);
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated, 14 reused"), "{err}");
    // The network is known by its weights, not by its name.
    std::fs::rename(bench.path("other.pth"), bench.path("net.pth")).unwrap();
    let (_, err) = bench.succeed(&METRIC);
    assert!(err.contains("0 trained, 3 reused; 14 trials evaluated, 0 reused"), "{err}");
    assert_ne!(distances(&bench), measured);
}

#[test]
fn as_a_loss_it_makes_another_model() {
    let bench = bench_with_network();
    bench.succeed(&["train", "tiny.toml"]);
    let with = ["--set", "perceptual.loss=['net.pth']", "--set", "perceptual.loss_side=32"];
    let (out, _) = bench.succeed(&[&["train", "tiny.toml"], &with[..]].concat());
    assert!(out.contains("3 trained, 0 trained before"), "{out}");
    let (out, _) = bench.succeed(&[&["train", "tiny.toml"], &with[..]].concat());
    assert!(out.contains("0 trained, 3 trained before"), "{out}");
}

#[test]
fn a_file_that_is_not_there_is_said_before_anything_is_written() {
    let bench = bench_with_network();
    let before = bench.files();
    let message = bench.refuse(&["run", "tiny.toml", "--set", "perceptual.metric=['gone.pth']"]);
    assert!(message.contains("cannot read the perceptual network gone.pth"), "{message}");
    assert_eq!(bench.files(), before);
}
