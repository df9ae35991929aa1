//! Who listens, for how long, and what it costs.

use std::sync::Arc;

use evaluator::store::{EventId, ExperimentId, Reader, Store};
use futures_util::StreamExt as _;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::news::Told;
use super::watch::{Listener, PAGE};
use super::work::Work;
use super::{Live, Section};

#[path = "../../tests/dashboard/fixture/mod.rs"]
mod fixture;

use fixture::{Filled, Plan, fill, open, tell};

/// A store with running work.
struct Bench {
    store: Store,
    filled: Filled,
    live: Live,
    ended: CancellationToken,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let plan = Plan { sources: 1, thresholds: vec![0.01], under_way: true, ..Plan::default() };
        let filled = fill(&store, &plan).await;
        let ended = CancellationToken::new();
        let live = Live::new(Reader::clone(&store), ended.clone());
        Self { store, filled, live, ended, _folder: folder }
    }

    fn listener(&self) -> Listener {
        let (id, place) = (self.filled.experiment, self.live.places.clone().try_acquire_owned().unwrap());
        Listener::new(self.live.watch(id), self.live.reader.clone(), id, EventId(0), place)
    }

    async fn tell(&self, kind: &str, payload: serde_json::Value) {
        tell(&self.store, self.filled.experiment, kind, None, payload).await;
    }

    async fn work(&self) -> Work {
        let id = self.filled.experiment;
        Work::read(&self.store, id, &Told::read(&self.store, id).await.unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn a_stalled_listener_holds_one_page_and_misses_no_event() {
    let bench = Bench::new().await;
    let mut stalled = bench.listener();
    let mut awake = bench.listener();
    let (run, events) = (bench.filled.runs[2], 3 * PAGE as usize + 7);
    for step in 0..events {
        bench.tell("number", json!({ "title": step })).await;
        bench.store.report_training(run, 201 + step as u32, 0.1, &[]).await.unwrap();
    }
    // The other one hears of the last event: by then, a queue would hold what the stalled one did not take.
    let is_work = |event: &axum::response::sse::Event| format!("{event:?}").contains("event: work");
    let mut told = 0;
    while told < events + 2 {
        told += usize::from(!is_work(&awake.next().await.unwrap()));
    }
    for _ in 0..events + 2 {
        assert!(!is_work(&stalled.next().await.unwrap()), "events come first");
        assert!(stalled.unsent.len() < PAGE as usize);
    }
    assert!(is_work(&stalled.next().await.unwrap()), "then the work as it is, once");
    assert!(stalled.unsent.is_empty());
}

#[tokio::test]
async fn all_listeners_share_a_poller_and_the_last_one_ends_it() {
    let bench = Bench::new().await;
    let id = bench.filled.experiment;
    let (one, other) = (bench.live.watch(id), bench.live.watch(id));
    assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &bench.live.watch(ExperimentId(77))));
    drop((one, other));
    assert_eq!(bench.live.watched.lock().unwrap()[&id].strong_count(), 0);
    let again = bench.live.watch(id);
    assert!(again.goes_on());
    // A store that cannot be read any more ends the poller; it is begun anew for who comes later.
    let mut listener = bench.listener();
    bench.store.close().await;
    while listener.next().await.is_some() {}
    assert!(!again.goes_on() && !Arc::ptr_eq(&again, &bench.live.watch(id)));
}

#[tokio::test]
async fn the_token_ends_the_streams() {
    let bench = Bench::new().await;
    let mut stream = std::pin::pin!(bench.live.listen(bench.filled.experiment, None).await.unwrap());
    assert!(stream.next().await.is_some());
    bench.ended.cancel();
    while stream.next().await.is_some() {}
    let mut late = std::pin::pin!(bench.live.listen(bench.filled.experiment, None).await.unwrap());
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn work_without_a_process_does_not_pretend_to_go_on() {
    let bench = Bench::new().await;
    bench.store.release(bench.filled.runs[2]).await.unwrap();
    let work = bench.work().await;
    assert!(work.state.starts_with("Running since"), "the trial goes on: {}", work.state);
    let [training, trial] = &work.tasks[..] else { panic!("{work:?}") };
    assert_eq!(
        (training.goes_on, training.note.as_str()),
        (false, "its process is gone; the next run goes on from here")
    );
    assert!(trial.goes_on);
}

#[tokio::test]
async fn the_last_runs_end_is_told() {
    let bench = Bench::new().await;
    let (run, trial) = (bench.filled.runs[2], *bench.filled.trials.last().unwrap());
    bench.tell("run done", json!({})).await;
    assert_eq!(bench.work().await.state, "Running.", "another process still works");
    bench.store.release(run).await.unwrap();
    bench.store.release(trial).await.unwrap();
    let state = async |kind: &str, payload| {
        bench.tell(kind, payload).await;
        bench.work().await.state
    };
    assert!(state("run done", json!({})).await.contains("was finished"));
    assert!(state("run stopped", json!({})).await.contains("was stopped"));
    assert!(state("run ended", json!({ "outcome": "done" })).await.contains("ended"));
    assert!(state("run started", json!({})).await.contains("cannot be seen from here"));
    let dead = json!({ "host": evaluator::store::host_hash(), "pid": 1, "started": -1 });
    assert!(state("run started", json!({ "process": dead })).await.contains("was killed"));
}

#[tokio::test]
async fn a_run_that_fails_for_a_trials_reason_fails_once() {
    let bench = Bench::new().await;
    let trial = *bench.filled.trials.last().unwrap();
    bench.store.fail_trial(trial, "the disk is full").await.unwrap();
    bench.tell("run failed", json!({ "error": "the disk is full" })).await;
    let whats = |work: Work| work.failures.into_iter().map(|failure| failure.what).collect::<Vec<_>>();
    assert_eq!(whats(bench.work().await), ["evaluate elastic, kary(4), τ = 0.02, seed 0"]);
    bench.tell("run failed", json!({ "error": "no such folder" })).await;
    assert_eq!(whats(bench.work().await).last().unwrap(), "the run");
}

#[tokio::test]
async fn curves_that_are_measured_are_counted() {
    let bench = Bench::new().await;
    let trial = &bench.store.trials(bench.filled.experiment).await.unwrap()[0];
    let (weights, protocol, dataset) = (trial.weights_hash.unwrap(), trial.protocol_id, trial.dataset_id);
    let stored = bench.store.curve_count(weights, protocol, dataset).await.unwrap();
    assert_eq!(stored, 2, "of one source's two crops");
    let told = json!({
        "title": "elastic seed 0", "curves": 5, "stored": 0, "weights": weights, "protocol": protocol, "dataset": dataset,
    });
    bench.tell("curves started", told).await;
    let work = bench.work().await;
    let task = work.tasks.last().unwrap();
    assert_eq!(task.what, "measure distortion curves of elastic seed 0");
    assert_eq!(task.progress.as_ref().unwrap().text, "2 of 5 curves");
    for (kind, what) in
        [("curves started", "measure distortion curves of "), ("regressor started", "train the regressor of ")]
    {
        bench.tell(kind, json!({ "weights": 3 })).await;
        let task = bench.work().await.tasks.pop().unwrap();
        assert_eq!((task.what.as_str(), task.progress), (what, None));
    }
    bench.tell("curves done", json!({})).await;
    assert_eq!(bench.work().await.tasks.len(), 2);
}

#[tokio::test]
async fn a_section_begins_where_its_stream_goes_on() {
    let bench = Bench::new().await;
    let last = bench.store.last_event().await.unwrap();
    let section = Section::read(&bench.store, bench.filled.experiment).await.unwrap().following_training().to_string();
    assert!(section.contains(&format!("data-after=\"{last}\"")), "{section}");
    assert!(section.contains("data-follow=\"training-\"") && section.contains("trial started"), "{section}");
}
