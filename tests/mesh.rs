//! A mesh of workers through the built binary: the same training, whoever computes it and whoever goes on.

mod common;

use common::{Bench, assert_same, checkpoint_exists, drop_privileges, texts, wait_until};
use evaluator::store::Store;
use std::path::Path;
use std::process::{Command, Stdio};

const MESHES: [&str; 3] = ["sequence=2", "data=2", "data=2,sequence=2"];

/// `train tiny.toml --mesh …`, and more.
fn train<'a>(mesh: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "tiny.toml", "--mesh", mesh], more].concat()
}

/// The stored losses of every variant, step after step.
fn losses(bench: &Bench) -> Vec<(String, Vec<f64>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reader = Store::open_existing_read_only(bench.db()).await.unwrap();
        let experiment = reader.experiment_by_name("tiny").await.unwrap().id;
        let mut losses = Vec::new();
        for run in reader.training_runs(experiment).await.unwrap() {
            let points = reader.training_points(run.run.id, 0).await.unwrap();
            assert!(points.iter().zip(1..).all(|(point, step)| point.step == step), "every step has one point");
            assert_eq!(points.len(), run.run.steps as usize);
            losses.push((run.variant, points.iter().map(|point| point.loss).collect()));
        }
        losses
    })
}

/// The largest |a / b − 1|.
fn worst_ratio(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn every_mesh_stores_the_losses_of_one_worker() {
    let steps = ["--set", "train.steps=40"];
    let one = Bench::new();
    one.succeed(&[&["train", "tiny.toml"], &steps[..]].concat());
    let one = losses(&one);
    for mesh in MESHES {
        let bench = Bench::new();
        bench.succeed(&train(mesh, &steps));
        for ((variant, many), (_, one)) in losses(&bench).iter().zip(&one) {
            let off = worst_ratio(many, one);
            println!("{mesh}: {variant} within {off:.1e}");
            // A latent on the edge between two codes falls to either side for a difference in the last bit: a code is
            // another, and its loss a little too. What a continuous bottleneck does is rounding alone.
            let bound = if variant.contains("VAE") { 1e-3 } else { 0.1 };
            assert!(off < bound, "{mesh}: {variant} is off by {off:e}");
        }
    }
}

#[test]
fn the_same_mesh_twice_gives_the_same_bytes() {
    for mesh in MESHES {
        let numbers = || {
            let bench = Bench::new();
            bench.succeed(&["run", "tiny.toml", "--mesh", mesh]);
            bench.numbers()
        };
        assert_same(&numbers(), &numbers());
    }
}

#[test]
fn a_mesh_is_how_and_not_what_so_that_nothing_is_trained_again_for_it() {
    let bench = Bench::new();
    bench.succeed(&train("data=2", &[]));
    let (_, err) = bench.succeed(&["run", "tiny.toml", "--mesh", "sequence=2"]);
    assert!(err.contains("0 trained, 3 reused; 14 trials evaluated, 0 reused"), "{err}");
    let (_, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated, 14 reused"), "{err}");
    // Whoever looks for the last bits finds it beside the numbers.
    let (table, _) = bench.succeed(&["table", "tiny", "--provenance"]);
    assert!(table.contains("of 12 steps, seed 0, mesh data=2,sequence=1; elastictok"), "{table}");
    let message = bench.refuse(&["train", "tiny.toml", "--set", "mesh=\"data=2\""]);
    assert!(message.contains("unknown key `mesh`"), "{message}");
}

/// One model, a VAE, that trains long enough to be killed.
const LONG: [&str; 8] = [
    "--set",
    "model.bottleneck=vae",
    "--set",
    "train.budget=0.5",
    "--set",
    "train.steps=300",
    "--checkpoint-every",
    "0.02",
];

#[test]
fn killed_on_one_mesh_it_goes_on_with_another() {
    let one = Bench::new();
    one.succeed(&[&["train", "tiny.toml"], &LONG[..]].concat());
    let bench = Bench::new();
    let mut child = bench.start(&train("data=2,sequence=2", &LONG));
    wait_until("a checkpoint", || checkpoint_exists(&bench));
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, err) = bench.succeed(&train("sequence=2", &LONG));
    assert!(err.contains("goes on at step"), "{err}");
    let off = worst_ratio(&losses(&bench)[0].1, &losses(&one)[0].1);
    println!("300 steps, the first on 2×2 workers, the others on 1×2: within {off:.1e} of one worker's losses");
    assert!(off < 1e-2, "{off:e}");
    bench.succeed(&[&["evaluate", "tiny.toml"], &LONG[..]].concat());
    let (table, _) = bench.succeed(&["table", "tiny", "--provenance"]);
    assert!(table.contains("seed 0, mesh data=2,sequence=2, mesh data=1,sequence=2; elastictok"), "{table}");
}

/// Expects that training, evaluating and the estimate of both refuse alike, and that nothing is written.
fn refused(bench: &Bench, arguments: &[&str]) -> String {
    let before = bench.files();
    let commands: [&[&str]; 4] = [&["train"], &["evaluate"], &["run"], &["run", "--dry-run"]];
    let messages = commands.map(|command| bench.refuse(&[command, &["tiny.toml"], arguments].concat()));
    assert_eq!(bench.files(), before, "something was written; the message was: {}", messages[0]);
    let [message, others @ ..] = messages;
    let first = |text: &str| text.lines().next().map(str::to_owned);
    others.iter().for_each(|other| assert_eq!(first(other), first(&message)));
    message
}

#[test]
fn a_mesh_that_does_not_fit_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let message = refused(&bench, &["--mesh", "data=5"]);
    let said = "variant elastic FSQ cannot be trained on this mesh: mesh = data=5,sequence=1: \
                5 groups share train.batch = 4 sequences";
    assert!(message.contains(said), "{message}");
    let message = refused(&bench, &["--mesh", "sequence=9"]);
    assert!(message.contains("variant elastic FSQ") && message.contains("a sequence of 16 tokens"), "{message}");

    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/perceptual/st_lpips_alex.pth");
    std::fs::copy(network, bench.path("net.pth")).unwrap();
    let judged = ["--set", "perceptual.loss=['net.pth']", "--set", "perceptual.loss_side=32"];
    let message = refused(&bench, &[&judged[..], &["--mesh", "sequence=2"]].concat());
    assert!(message.contains("a perceptual loss looks at whole frames") && message.contains("sequence=1"), "{message}");
    let message = refused(&bench, &[&judged[..], &["--mesh", "data=2,sequence=2"]].concat());
    assert!(message.contains("variant elastic FSQ"), "{message}");
    bench.succeed(&[&train("data=2", &[])[..], &judged].concat());
}

#[test]
fn the_one_variant_that_does_not_fit_is_named() {
    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let text = format!("{text}\n[[variant]]\nname = \"one at a time\"\ntrain.batch = 1\n");
    std::fs::write(bench.path("tiny.toml"), text).unwrap();
    let message = refused(&bench, &["--mesh", "data=2"]);
    assert!(message.contains("variant one at a time cannot be trained on this mesh"), "{message}");
    bench.succeed(&train("sequence=2", &[]));
}

#[test]
fn what_is_no_mesh_is_shown_with_the_three_forms() {
    let bench = Bench::new();
    for text in [
        "",
        "2",
        "2x2",
        "data",
        "data=",
        "data=0",
        "data=two",
        "data=-2",
        "data=2,",
        "data=2;sequence=2",
        "data=2 sequence=2",
        "sequence=2,sequence=2",
        "tensor=2",
        "data=2,tensor=2",
        "data=4294967296,sequence=4294967296",
        "sequence=18446744073709551616",
        "sequence=\u{1f40c}",
    ] {
        let message = refused(&bench, &[&format!("--mesh={text}")]);
        assert!(message.contains(&format!("'{text}'")), "{text:?}: {message}");
        assert!(message.contains("write sequence=2, data=4, or data=2,sequence=2"), "{text:?}: {message}");
    }
}

#[test]
fn a_trace_is_told_of_every_worker_to_those_who_ask() {
    let bench = Bench::new();
    let (_, err) = bench.succeed(&train("data=2,sequence=2", &[]));
    assert!(!err.contains("waiting s"), "{err}");
    let asking = train("data=2,sequence=2", &["--set", "seeds=[1]", "--trace"]);
    let (out, err) = bench.succeed(&asking);
    assert_eq!(out, "3 trained, 0 trained before\n");
    for variant in ["elastic FSQ", "elastic VAE", "fixed 25 % FSQ"] {
        for worker in 0..4 {
            let title = format!("{variant} seed 1: attention of worker {worker}\n");
            let (_, trace) = err.split_once(&title).unwrap_or_else(|| panic!("{title} is missing from {err}"));
            let steps: Vec<&str> = trace.lines().skip(1).take(6).map(|line| line[..13].trim_end()).collect();
            assert_eq!(steps, ["forward 0", "forward 1", "backward 0", "backward 1", "backward 2", "all"], "{err}");
        }
    }
    let (_, err) = bench.succeed(&[&["-q"], &train("data=2", &["--set", "seeds=[2]", "--trace"])[..]].concat());
    assert_eq!(err, "");
    let message = bench.refuse(&["train", "tiny.toml", "--trace"]);
    assert!(message.contains("--mesh <MESH>"), "{message}");
}

/// The system takes away the threads while workers are at work: the next step can begin none.
#[test]
fn workers_that_cannot_begin_fail_the_run_and_the_next_one_goes_on() {
    let arguments = train("data=2,sequence=2", &LONG);
    let bench = Bench::new();
    let mut command = bench.unprivileged(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a checkpoint", || checkpoint_exists(&bench));
    let mut limit = Command::new("prlimit");
    drop_privileges(limit.args(["--pid", &child.id().to_string(), "--nproc=1"]));
    assert!(limit.status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let message = "cannot start the workers of a mesh: Resource temporarily unavailable (os error 11); use fewer";
    assert_eq!(err.lines().last(), Some(format!("elastictok: {message}").as_str()), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    let (status, _) = bench.succeed(&["status"]);
    assert!(status.contains(&format!("Failed: {message}")), "{status}");
    let told = ["run started", "training started"].map(str::to_owned);
    let failed = ["training failed", "run failed"].map(|what| format!("{what}: {message}"));
    assert_eq!(bench.told(), [told, failed].concat());
    assert!(checkpoint_exists(&bench));

    let (_, err) = bench.succeed(&arguments);
    assert!(err.contains("goes on at step"), "{err}");
    let undisturbed = Bench::new();
    undisturbed.succeed(&arguments);
    assert_same(&bench.numbers(), &undisturbed.numbers());
}
