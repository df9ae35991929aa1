//! Fifty visitors at once while a sweep writes: nobody is refused, nothing is lost, and the sweep's numbers are those of
//! a sweep that nobody watched.
//!
//! For ten seconds, or as many as `ELASTICTOK_LOAD_SECONDS` says. What it measures is printed and never asserted: it
//! depends on the machine.

#[path = "../common/mod.rs"]
mod common;
mod times;
mod visitor;

use common::served::Served;
use common::{Bench, assert_same};
use evaluator::store::Store;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use times::Times;
use tokio::task::{JoinSet, spawn_blocking};
use visitor::Visitor;

const READERS: usize = 46;
const FOLLOWERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_visitors_cost_a_sweep_nothing_but_time() {
    let seconds = std::env::var("ELASTICTOK_LOAD_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    let bench = Arc::new(Bench::new());
    round(&bench, 0); // something to see from the first moment
    let served = Served::start(&bench);

    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let sweeping = spawn_blocking({
        let bench = bench.clone();
        move || sweep(&bench, end)
    });
    let mut visitors = JoinSet::new();
    for number in 0..READERS + FOLLOWERS {
        let visitor = Visitor::new(served.port, number).await;
        if number < READERS {
            visitors.spawn(visitor.read(end));
        } else {
            visitors.spawn(visitor.follow(end));
        }
    }
    let times = visitors.join_all().await.into_iter().fold(Times::default(), Times::and);
    let took = began.elapsed();
    let memory = most_memory(served.process());
    let rounds = sweeping.await.unwrap();
    served.stop();

    // What the test program prints of tests that pass is thrown away, but for this.
    let sweeps = format!("{rounds} sweeps meanwhile; the server's memory was at most {memory}");
    writeln!(std::io::stderr(), "{}{sweeps}", times.table(took)).unwrap();

    Store::open_existing_read_only(bench.db()).await.unwrap().check().await.unwrap();
    spawn_blocking(move || equals_an_unwatched_sweep(&bench, rounds)).await.unwrap();
}

/// The tiny experiment under another name and seed. It says itself what it stored.
fn round(bench: &Bench, number: usize) {
    let (name, seeds) = (format!("name={}", name(number)), format!("seeds=[{number}]"));
    let (_, err) = bench.succeed(&["run", "tiny.toml", "--set", &name, "--set", &seeds]);
    assert!(err.contains("3 trained, 0 reused; 14 trials evaluated, 0 reused"), "{err}");
}

fn name(number: usize) -> String {
    format!("tiny-{number}")
}

/// One round after another until then; their number with the first one.
fn sweep(bench: &Bench, end: Instant) -> usize {
    let mut rounds = 1;
    while Instant::now() < end {
        round(bench, rounds);
        rounds += 1;
    }
    rounds
}

fn equals_an_unwatched_sweep(watched: &Bench, rounds: usize) {
    let unwatched = Bench::new();
    for number in 0..rounds {
        round(&unwatched, number);
        assert_same(&watched.numbers_of(&name(number)), &unwatched.numbers_of(&name(number)));
    }
}

/// The most that a process held at once, as Linux counts it.
fn most_memory(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or("not known here".to_owned(), |peak| peak.trim().to_owned())
}
