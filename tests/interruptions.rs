//! Killed, stopped or crowded: what was finished stays, what follows is what would have been.

mod common;

use common::{Bench, assert_same, checkpoint_exists, signal, texts, wait_until};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The numbers of a run that nobody disturbed.
fn undisturbed(arguments: &[&str]) -> Vec<String> {
    let bench = Bench::new();
    bench.succeed(arguments);
    bench.numbers()
}

/// Kills a process, unless it has ended by itself.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

const LONG: [&str; 6] = ["run", "tiny.toml", "--set", "train.steps=600", "--checkpoint-every", "0.05"];

#[test]
fn killed_in_the_middle_of_training_it_goes_on_to_the_same_numbers() {
    let bench = Bench::new();
    for _ in 0..3 {
        let mut child = bench.start(&LONG);
        // On a crowded machine it may be done before this is asked again.
        let mut is_done = || child.try_wait().unwrap().is_some();
        wait_until("a checkpoint", || checkpoint_exists(&bench) || is_done());
        std::thread::sleep(Duration::from_millis(60));
        kill(child);
    }
    let (_, err) = bench.succeed(&LONG);
    assert!(err.contains("goes on at step") || err.contains("reused"), "{err}");
    assert_same(&bench.numbers(), &undisturbed(&LONG));
}

#[test]
fn killed_in_the_middle_of_a_sweep_it_goes_on_to_the_same_numbers() {
    let bench = Bench::new();
    bench.succeed(&["train", "tiny.toml"]);
    let artifacts = || std::fs::read_dir(bench.path("results/artifacts")).map_or(0, Iterator::count);
    for _ in 0..4 {
        let before = artifacts();
        let child = bench.start(&["run", "tiny.toml"]);
        wait_until("a reconstruction", || artifacts() > before || child_is_done(&bench));
        kill(child);
    }
    bench.succeed(&["run", "tiny.toml"]);
    assert_same(&bench.numbers(), &undisturbed(&["run", "tiny.toml"]));
}

fn child_is_done(bench: &Bench) -> bool {
    bench.path("results/reports/tiny-1/quality.png").exists()
}

#[test]
fn ctrl_c_stops_at_a_step_and_the_next_run_goes_on() {
    let bench = Bench::new();
    let mut command = bench.command(&LONG);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a checkpoint", || checkpoint_exists(&bench));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("stopped; run the same command again to go on"), "{err}");
    let (status, _) = bench.succeed(&["status"]);
    assert!(status.contains("Stopped"), "{status}");
    assert_eq!(bench.told(), ["run started", "training started", "training stopped", "run stopped"]);
    let (_, err) = bench.succeed(&LONG);
    assert!(err.contains("goes on at step"), "{err}");
    assert_same(&bench.numbers(), &undisturbed(&LONG));
}

#[test]
fn two_processes_share_one_sweep() {
    let bench = Bench::new();
    let mut others: Vec<Child> = (0..2).map(|_| bench.start(&["run", "tiny.toml"])).collect();
    for child in &mut others {
        assert!(child.wait().unwrap().success());
    }
    assert_same(&bench.numbers(), &undisturbed(&["run", "tiny.toml"]));
}

#[test]
fn a_diverging_run_fails_with_its_reason_and_keeps_its_last_good_checkpoint() {
    let bench = Bench::new();
    let wild = ["--set", "train.learning_rate=1e30", "--set", "train.clip_norm=1e30", "--set", "train.warmup_steps=0"];
    let output = bench.run(&[&["train", "tiny.toml", "--checkpoint-every", "0"][..], &wild].concat());
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the loss at step") && err.contains("lower train.learning_rate"), "{err}");
    let (status, _) = bench.succeed(&["status"]);
    assert!(status.contains("Failed: the loss at step"), "{status}");
    let told = bench.told();
    assert_eq!(told[..2], ["run started", "training started"]);
    for (told, what) in told[2..].iter().zip(["training failed", "run failed"]) {
        assert!(told.starts_with(&format!("{what}: the loss at step")), "{told}");
    }
    assert_eq!(told.len(), 4);
    // Every value of the checkpoint is a number: the weights that gave none were never written.
    let folders = std::fs::read_dir(bench.path("results/checkpoints")).unwrap();
    let file = folders.flatten().map(|folder| folder.path().join("training.safetensors")).find(|file| file.exists());
    let bytes = std::fs::read(file.expect("a checkpoint is kept")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (values, _) = bytes[header..].as_chunks::<4>();
    assert!(values.len() > 1000 && values.iter().all(|value| f32::from_le_bytes(*value).is_finite()));
}

#[test]
fn lost_weights_are_made_again() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    let before = bench.numbers();
    std::fs::remove_dir_all(bench.path("results/checkpoints")).unwrap();
    let (_, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(err.contains("weights are missing or damaged, training it again"), "{err}");
    assert!(err.contains("3 trained, 0 reused; 0 trials evaluated, 14 reused"), "{err}");
    assert_same(&bench.numbers(), &before);
    let (_, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(err.contains("0 trained, 3 reused"), "{err}");
}
