//! What goes, what stays, and when nothing may be touched.

use std::fs::File;
use std::process::Command;
use std::time::SystemTime;

use super::super::tests::fixture::{Workbench, key, record};
use super::super::{CheckpointFiles, Lease, MediaType, NewProgressive, ProgressivePicture, process::Process};
use super::*;

/// A store with a picture that a trial refers to and one that nothing does, closed.
async fn closed_bench() -> (Workbench, PathBuf, PathBuf) {
    let bench = Workbench::new().await;
    let store = &bench.store;
    let (used, unused) = (picture(&bench, b"used").await, picture(&bench, b"unused").await);
    store.start_trial(bench.trial).await.unwrap();
    let mut record = record(&bench, bench.samples[0]);
    record.reconstruction = Some(ContentHash::of(b"used"));
    store.record_sample(bench.trial, &record).await.unwrap();
    let pictures = vec![ProgressivePicture { kept_tokens: 4, reconstruction: ContentHash::of(b"of few tokens") }];
    let (weights, sample, protocol) = (key("weights"), bench.samples[0], bench.protocol);
    picture(&bench, b"of few tokens").await;
    store.put_progressive(&NewProgressive { weights, sample, protocol, pictures }).await.unwrap();
    store.close().await;
    (bench, used, unused)
}

async fn picture(bench: &Workbench, bytes: &[u8]) -> PathBuf {
    let hash = bench.store.put_artifact(bytes.to_vec(), MediaType::Png).await.unwrap().id;
    bench.store.artifact_files().path(hash, MediaType::Png)
}

fn write(path: &Path, age: Duration) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"12345").unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn paths(garbage: &Garbage, kind: WasteKind) -> Vec<&Path> {
    garbage.waste.iter().filter(|waste| waste.kind == kind).map(|waste| waste.path.as_path()).collect()
}

const OLD: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn unreferenced_pictures_go_with_their_rows_and_others_stay() {
    let (bench, used, unused) = closed_bench().await;
    let path = bench.store.path();
    let without_row = bench.store.artifact_files().put(b"no row", MediaType::Jpeg).unwrap();
    let without_row = bench.store.artifact_files().path(without_row, MediaType::Jpeg);
    let foreign = used.with_file_name("notes.txt");
    write(&foreign, OLD);

    let found = collect_garbage(path, true).await.unwrap();
    assert!(used.exists() && unused.exists() && without_row.exists(), "a dry run removes nothing");
    let removed = collect_garbage(path, false).await.unwrap();
    assert_eq!((&found.waste, found.rows), (&removed.waste, removed.rows));
    let mut expected = [unused.as_path(), &without_row];
    expected.sort();
    assert_eq!(paths(&removed, WasteKind::Picture), expected);
    assert_eq!((removed.bytes(), removed.rows, &removed.open_elsewhere), (12, 1, &None));
    assert!(used.exists() && foreign.exists() && !unused.exists() && !without_row.exists());
    let again = collect_garbage(path, false).await.unwrap();
    assert_eq!(again, Garbage::default());
    let store = Store::open(path).await.unwrap();
    assert_eq!(store.artifact(ContentHash::of(b"used")).await.unwrap().bytes, 4);
    assert_eq!(store.read_artifact(ContentHash::of(b"of few tokens")).await.unwrap().1, b"of few tokens");
}

#[tokio::test]
async fn pictures_of_added_tokens_go_with_the_last_trial_and_run_of_their_weights() {
    let (bench, ..) = closed_bench().await;
    let path = bench.store.path();
    assert_eq!(collect_garbage(path, false).await.unwrap().rows, 1, "only what was never used");
    let store = Store::open(path).await.unwrap();
    for statement in
        ["update training_run set weights_hash = null", "delete from experiment_trial", "delete from trial"]
    {
        sqlx::query(statement).execute(&store.writer).await.unwrap();
    }
    store.close().await;
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!((garbage.rows, garbage.bytes()), (2, 17), "«used» and «of few tokens»");
}

#[tokio::test]
async fn checkpoints_stay_as_long_as_they_have_a_run_and_states_until_it_is_finished() {
    let bench = Workbench::new().await;
    let path = bench.store.path();
    let run = bench.store.training_run(bench.run).await.unwrap();
    let (ours, nobodys) = (CheckpointFiles::beside(path, run.key), CheckpointFiles::beside(path, key("nobody")));
    let foreign = path.with_file_name("checkpoints/mine/weights.safetensors");
    for file in [&ours.weights, &ours.training, &nobodys.weights, &nobodys.training, &foreign] {
        write(file, OLD);
    }
    // Another process looks at the store: checkpoints can be told from garbage all the same.
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!(paths(&garbage, WasteKind::Checkpoint), [nobodys.weights.parent().unwrap()]);
    assert_eq!((garbage.waste.len(), garbage.bytes()), (1, 10));
    assert!(ours.weights.exists() && ours.training.exists() && foreign.exists() && !nobodys.weights.exists());

    bench.store.start_training(bench.run, 0).await.unwrap();
    bench.store.finish_training(bench.run, key("weights"), &ours.weights_name).await.unwrap();
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!(paths(&garbage, WasteKind::TrainingState), [ours.training.as_path()]);
    assert!(ours.weights.exists() && !ours.training.exists());
}

#[tokio::test]
async fn files_of_killed_writers_go_and_those_of_living_or_young_ones_stay() {
    let (bench, ..) = closed_bench().await;
    let mut child = Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    let file = |folder: &str, writer: u32| bench.folder.path().join(folder).join(format!(".{writer}-0.part"));
    let run = "checkpoints/".to_owned() + &super::super::checkpoint_files::folder_name(key("run"));
    let old: Vec<PathBuf> = ["", "artifacts/ab", &run].map(|folder| file(folder, dead)).to_vec();
    old.iter().for_each(|path| write(path, OLD));
    let living = file("", std::process::id());
    write(&living, OLD);
    let young = file("artifacts/cd", dead);
    write(&young, Duration::ZERO);
    let garbage = collect_garbage(bench.store.path(), false).await.unwrap();
    let mut removed = paths(&garbage, WasteKind::Temporary);
    removed.sort();
    assert_eq!(removed, old);
    assert!(living.exists() && young.exists());
}

#[tokio::test]
async fn nothing_goes_while_somebody_works_and_a_dead_worker_does_not_count() {
    let (bench, _, unused) = closed_bench().await;
    let path = bench.store.path();
    let store = Store::open(path).await.unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let worker = Process::on_this_host(child.id()).unwrap();
    assert!(matches!(store.acquire_as(&worker, bench.trial.into()).await.unwrap(), Lease::Acquired { .. }));
    store.close().await;
    for dry_run in [true, false] {
        let error = collect_garbage(path, dry_run).await.unwrap_err();
        assert!(matches!(&error, StoreError::Leased { pid, .. } if *pid == worker.pid), "{error}");
        assert!(error.to_string().contains("working on trial:1"), "{error}");
    }
    assert!(unused.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    collect_garbage(path, false).await.unwrap();
    assert!(!unused.exists());
}

#[tokio::test]
async fn pictures_stay_while_another_has_the_store_open() {
    let (bench, _, unused) = closed_bench().await;
    let path = bench.store.path();
    let reader = Store::open_existing_read_only(path).await.unwrap();
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!((garbage.rows, garbage.open_elsewhere.as_deref()), (0, Some(path)));
    assert!(unused.exists());
    reader.close().await;
    assert_eq!(collect_garbage(path, false).await.unwrap().rows, 1);
}

#[tokio::test]
async fn what_another_store_of_the_folder_names_stays() {
    let (bench, used, unused) = closed_bench().await;
    let path = bench.store.path();
    let copy = bench.folder.path().join("copy.db");
    Store::open_existing_read_only(path).await.unwrap().backup(&copy, false).await.unwrap();
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!((garbage.waste, garbage.rows), (Vec::new(), 1));
    assert!(used.exists() && unused.exists());
    let other = Store::open(&copy).await.unwrap();
    let garbage = collect_garbage(path, false).await.unwrap();
    assert_eq!(garbage.open_elsewhere, Some(copy.clone()));
    other.close().await;
    fs::remove_file(&copy).unwrap();
    collect_garbage(path, false).await.unwrap();
    assert!(used.exists() && !unused.exists());
}

#[tokio::test]
async fn deleted_rows_make_the_database_smaller() {
    let (bench, ..) = closed_bench().await;
    let path = bench.store.path();
    let store = Store::open(path).await.unwrap();
    for number in 0..2000 {
        store.add_note(bench.experiment, None, &format!("{number} {}", "x".repeat(100))).await.unwrap();
    }
    sqlx::query("delete from note").execute(&store.writer).await.unwrap();
    store.close().await;
    let before = length(path);
    let garbage = collect_garbage(path, false).await.unwrap();
    assert!(garbage.compacted_bytes > 100_000, "{garbage:?}");
    assert_eq!(length(path), before - garbage.compacted_bytes);
    assert_eq!(Store::open(path).await.unwrap().experiments().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    for dry_run in [true, false] {
        assert!(matches!(collect_garbage(&path, dry_run).await, Err(StoreError::Missing { .. })));
    }
    assert!(!path.exists());
}
