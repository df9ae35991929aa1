//! `kill -9` at any moment: the file stays whole, and every sample that was reported as recorded is there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::child;
use super::fixture::{Workbench, key, point, record, summary};
use crate::store::{Lease, MediaType, NewTrial, SampleId, Store, Subject, TrialId};

/// A child that writes until it is killed, and the samples it says it has recorded.
struct Writer {
    child: Child,
    said: Receiver<(TrialId, SampleId)>,
}

impl Writer {
    fn start(bench: &Workbench) -> Self {
        let name = child::test_name(module_path!(), "child_writes_until_it_is_killed");
        let mut child = child::command(&std::env::current_exe().unwrap(), &name, bench.store.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            lines.map_while(Result::ok).filter_map(|line| parse(&line)).try_for_each(|it| say.send(it))
        });
        Self { child, said }
    }

    /// Waits until the child has recorded this many samples.
    fn hear(&self, samples: usize) -> Vec<(TrialId, SampleId)> {
        let hear = |_| self.said.recv_timeout(Duration::from_secs(60)).expect("the child writes until it is killed");
        (0..samples).map(hear).collect()
    }

    fn kill(mut self) -> Vec<(TrialId, SampleId)> {
        assert!(self.child.try_wait().unwrap().is_none(), "the child ended by itself: it was refused something");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.iter().collect()
    }
}

/// A line that was cut by the kill does not parse; neither do the test harness's own.
fn parse(line: &str) -> Option<(TrialId, SampleId)> {
    let (trial, sample) = line.strip_prefix("recorded ")?.strip_suffix(" .")?.split_once(' ')?;
    Some((trial.parse().ok()?, sample.parse().ok()?))
}

#[tokio::test]
async fn a_store_survives_kill_9_with_every_recorded_sample() {
    let bench = Workbench::new().await;
    for round in 0..6 {
        // Two writers, killed one after the other at different moments.
        let (first, second) = (Writer::start(&bench), Writer::start(&bench));
        let mut said = first.hear(10);
        said.extend(second.hear(10));
        thread::sleep(Duration::from_millis(7 * round));
        said.extend(first.kill());
        thread::sleep(Duration::from_millis(5));
        said.extend(second.kill());

        let store = Store::open(bench.store.path()).await.unwrap();
        is_whole(&store).await;
        has_all(&store, &said).await;
        // The killed writers' leases are free at once.
        for row in store.leases().await.unwrap() {
            let Subject::Trial(trial) = row.subject else { panic!("the writers lease trials only") };
            assert!(matches!(store.acquire(trial).await.unwrap(), Lease::Acquired { taken_from: Some(_) }));
            store.release(trial).await.unwrap();
        }
        store.close().await;
    }
}

async fn is_whole(store: &Store) {
    let verdict: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&store.writer).await.unwrap();
    assert_eq!(verdict, "ok");
    let orphans = sqlx::query("pragma foreign_key_check").fetch_all(&store.writer).await.unwrap();
    assert!(orphans.is_empty());
    let half_done: i64 = sqlx::query_scalar(
        "select count(*) from trial where (status = 'done') <> exists (select 1 from summary where trial_id = id)",
    )
    .fetch_one(&store.writer)
    .await
    .unwrap();
    assert_eq!(half_done, 0, "a trial is done exactly when it has its summary");
}

async fn has_all(store: &Store, said: &[(TrialId, SampleId)]) {
    for trial in said.iter().map(|(trial, _)| *trial).collect::<BTreeSet<_>>() {
        let done = store.done_samples(trial).await.unwrap();
        let lost: Vec<_> = said.iter().filter(|(of, sample)| *of == trial && !done.contains(sample)).collect();
        assert!(lost.is_empty(), "said to be recorded, but lost: {lost:?}");
        // Whole or not at all: one block and two measurements each.
        assert_eq!(store.blocks(trial).await.unwrap().len(), done.len());
        assert_eq!(store.measurements(trial).await.unwrap().len(), 2 * done.len());
        for row in store.trial_samples(trial).await.unwrap() {
            store.read_artifact(row.reconstruction.unwrap()).await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "runs as a child of a_store_survives_kill_9_with_every_recorded_sample"]
async fn child_writes_until_it_is_killed() {
    let Some(path) = child::path() else { return };
    let bench = Workbench::found(Store::open(path).await.unwrap(), tempfile::tempdir().unwrap()).await;
    let store = &bench.store;
    for number in 0.. {
        let new = NewTrial { key: key(&format!("{} {number}", std::process::id())), ..bench.new_trial("") };
        let trial = store.put_trial(&new).await.unwrap().id;
        assert!(matches!(store.acquire(trial).await.unwrap(), Lease::Acquired { .. }));
        store.start_trial(trial).await.unwrap();
        for &sample in &bench.samples {
            let pixels = format!("the reconstruction of {sample} in {trial}").into_bytes();
            let mut record = record(&bench, sample);
            record.reconstruction = Some(store.put_artifact(pixels, MediaType::Png).await.unwrap().id);
            store.record_sample(trial, &record).await.unwrap();
            // In one piece, and only now that the sample is recorded.
            let mut out = std::io::stdout();
            out.write_all(format!("recorded {trial} {sample} .\n").as_bytes()).unwrap();
            out.flush().unwrap();
        }
        store.finish_trial(trial, &[summary(bench.psnr, 30.0)]).await.unwrap();
        store.start_training(bench.run, 0).await.unwrap();
        // The other writer may have reported this step in between.
        let _ = store.report_training(bench.run, 1, 0.1, &[point(1)]).await;
        store.release(trial).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_whose_creation_was_killed_is_created_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let name = child::test_name(module_path!(), "child_creates_a_store");
    let program = std::env::current_exe().unwrap();
    for milliseconds in (0..60).step_by(4) {
        let path = folder.path().join(format!("{milliseconds}.db"));
        let mut child = child::command(&program, &name, &path).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&path).await.unwrap();
        is_whole(&store).await;
        assert!(store.experiments().await.unwrap().is_empty());
    }
}

#[tokio::test]
#[ignore = "runs as a child of a_store_whose_creation_was_killed_is_created_by_the_next"]
async fn child_creates_a_store() {
    let Some(path) = child::path() else { return };
    Store::open(path).await.unwrap();
}
