//! Two stores become one. Rows are compared by what they say, not by their ids.

use std::fs;

use sqlx::AssertSqlSafe;

use super::super::tests::fixture::{Workbench, key, point, record, summary};
use super::super::{
    CurvePoint, Lease, MediaType, NewCurve, NewProgressive, NewTrial, ProgressivePicture, Subject, TrainingStatus,
    TrialId, TrialStatus,
};
use super::*;

/// What each row says without ids: an expression and where it comes from.
const CONTENT: [(&str, &str); 18] = [
    ("experiment.key || name", "experiment"),
    ("dataset.key || dataset.name", "dataset"),
    ("dataset.key || hash || source.name", "source join dataset on dataset.id = dataset_id"),
    ("sample.key || name || ordinal || coalesce(artifact, '')", "sample join source on source.id = source_id"),
    ("name || version || unit", "metric"),
    ("hash || media_type || bytes", "artifact"),
    ("training_run.key || status || training_run.step || coalesce(weights_hash, '')", "training_run"),
    ("key || training_point.step || loss", "training_point join training_run on training_run.id = training_run_id"),
    (
        "weights_hash || sample.key || block || history || protocol.key || kept_tokens || distortion",
        "curve join curve_point on curve_id = curve.id join sample on sample.id = sample_id
         join protocol on protocol.id = protocol_id",
    ),
    (
        "weights_hash || sample.key || protocol.key || kept_tokens || reconstruction",
        "progressive join sample on sample.id = sample_id join protocol on protocol.id = protocol_id",
    ),
    (
        "trial.key || trial.status || dataset.key || protocol.key || training_run.key",
        "trial join dataset on dataset.id = trial.dataset_id join protocol on protocol.id = protocol_id
         join training_run on training_run.id = training_run_id",
    ),
    (
        "trial.key || sample.key || coalesce(reconstruction, '')",
        "trial_sample join trial on trial.id = trial_id join sample on sample.id = sample_id",
    ),
    (
        "trial.key || sample.key || block || kept_tokens || probes",
        "trial_block join trial on trial.id = trial_id join sample on sample.id = sample_id",
    ),
    (
        "trial.key || sample.key || name || value",
        "measurement join trial on trial.id = trial_id join sample on sample.id = sample_id
         join metric on metric.id = metric_id",
    ),
    ("trial.key || name || mean", "summary join trial on trial.id = trial_id join metric on metric.id = metric_id"),
    (
        "experiment.key || ordinal || variant || trial.key",
        "experiment_trial join experiment on experiment.id = experiment_id join trial on trial.id = trial_id",
    ),
    ("experiment.key || tag.name", "tag join experiment on experiment.id = experiment_id"),
    (
        "experiment.key || text || written_at || coalesce(trial.key, '')",
        "note join experiment on experiment.id = experiment_id left join trial on trial.id = trial_id",
    ),
];

async fn content(store: &Reader) -> Vec<String> {
    let mut rows = Vec::new();
    for (says, from) in CONTENT {
        let query = format!("select {says} from {from}");
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&store.pool).await.unwrap();
        rows.extend(found.into_iter().map(|row| format!("{} {row}", from.split(' ').next().unwrap())));
    }
    rows.sort();
    rows
}

/// A workbench whose ids are other ones than those of [`Workbench::new`].
async fn with_other_ids() -> Workbench {
    let Workbench { store, folder, .. } = Workbench::new().await;
    let mut connection = store.writer.acquire().await.unwrap();
    sqlx::query("pragma foreign_keys = off").execute(&mut *connection).await.unwrap();
    let ids: Vec<(String, String)> = sqlx::query_as(
        "select tables.name, columns.name from sqlite_schema as tables, pragma_table_info(tables.name) as columns
         where tables.type = 'table' and (columns.name = 'id' or columns.name like '%~_id' escape '~')",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    for (table, column) in ids {
        let shift = format!("update {table} set {column} = {column} + 100");
        sqlx::query(AssertSqlSafe(shift)).execute(&mut *connection).await.unwrap();
    }
    sqlx::query("pragma foreign_keys = on").execute(&mut *connection).await.unwrap();
    drop(connection);
    Workbench::found(store, folder).await
}

/// Evaluates a trial over the first `samples` samples, and ends it if these are all.
async fn evaluate(bench: &Workbench, words: &str, ordinal: u32, samples: usize) -> TrialId {
    let store = &bench.store;
    let trial = store.put_trial(&bench.new_trial(words)).await.unwrap().id;
    store.link_trial(bench.experiment, ordinal, words, trial).await.unwrap();
    store.start_trial(trial).await.unwrap();
    for &sample in &bench.samples[..samples] {
        let picture = format!("{words} {sample}").into_bytes();
        let picture = store.put_artifact(picture, MediaType::Png).await.unwrap().id;
        let mut record = record(bench, sample);
        record.reconstruction = Some(picture);
        store.record_sample(trial, &record).await.unwrap();
    }
    if samples == bench.samples.len() {
        store.finish_trial(trial, &[summary(bench.psnr, 30.0)]).await.unwrap();
    }
    trial
}

async fn train(bench: &Workbench, weights: &str) {
    let (store, run) = (&bench.store, bench.run);
    store.start_training(run, 0).await.unwrap();
    store.report_training(run, 2, 1.0, &[point(1), point(2)]).await.unwrap();
    store.finish_training(run, key(weights), "checkpoints/x/weights.safetensors").await.unwrap();
}

async fn measure_curve(bench: &Workbench, counts: &[u32], distortion: f64) {
    let point = |kept_tokens: &u32| CurvePoint { kept_tokens: *kept_tokens, distortion, psnr: 30.0, ssim: 0.9 };
    let curve = NewCurve {
        weights: key("weights"),
        sample: bench.samples[0],
        block: 0,
        history: Vec::new(),
        protocol: bench.protocol,
        seconds: 1.0,
        points: counts.iter().map(point).collect(),
    };
    bench.store.put_curve(&curve).await.unwrap();
}

async fn store_progressive(bench: &Workbench, counts: &[u32]) {
    let mut pictures = Vec::new();
    for &kept_tokens in counts {
        let picture = format!("{kept_tokens} tokens").into_bytes();
        let reconstruction = bench.store.put_artifact(picture, MediaType::Png).await.unwrap().id;
        pictures.push(ProgressivePicture { kept_tokens, reconstruction });
    }
    let (weights, sample, protocol) = (key("weights"), bench.samples[0], bench.protocol);
    bench.store.put_progressive(&NewProgressive { weights, sample, protocol, pictures }).await.unwrap();
}

async fn merge(into: &Store, from: &[&Workbench]) -> Result<Merged> {
    let paths: Vec<PathBuf> = from.iter().map(|bench| bench.store.path().to_owned()).collect();
    into.merge(&Sources::open(&paths).await?).await
}

/// Two stores that share some work, and each have some of their own.
async fn two_stores() -> (Workbench, Workbench) {
    let (one, two) = (Workbench::new().await, with_other_ids().await);
    evaluate(&one, "shared", 1, 4).await;
    evaluate(&two, "shared", 1, 4).await;
    evaluate(&one, "of the first", 2, 4).await;
    evaluate(&two, "of the second", 3, 4).await;
    evaluate(&two, "unfinished in the second", 4, 2).await;
    train(&two, "weights").await;
    measure_curve(&one, &[1, 2], 0.5).await;
    measure_curve(&two, &[2, 3], 0.5).await;
    store_progressive(&one, &[1, 2]).await;
    store_progressive(&two, &[2, 3]).await;
    one.store.add_tag(one.experiment, "one").await.unwrap();
    two.store.add_tag(two.experiment, "two").await.unwrap();
    two.store.add_note(two.experiment, Some(two.trial), "a note").await.unwrap();
    (one, two)
}

#[tokio::test]
async fn either_way_round_and_into_a_new_store_the_content_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let new = Store::open(folder.path().join("new.db")).await.unwrap();
    let (one, two) = two_stores().await;
    merge(&new, &[&one, &two]).await.unwrap();
    merge(&one.store, &[&two]).await.unwrap();
    merge(&two.store, &[&one]).await.unwrap();
    let merged = content(&new).await;
    assert!(merged.len() > 100, "{} rows are compared", merged.len());
    // Pictures are named by ids in this test, so that each store has its own.
    assert_eq!(content(&one.store).await, merged);
    let without_pictures = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter().filter(|row| !row.starts_with("trial_sample") && !row.starts_with("artifact")).collect()
    };
    assert_eq!(without_pictures(content(&two.store).await), without_pictures(merged));
    for store in [&new, &one.store, &two.store] {
        let broken = sqlx::query("pragma foreign_key_check").fetch_all(&store.pool).await.unwrap();
        assert!(broken.is_empty());
    }
}

#[tokio::test]
async fn merging_again_changes_nothing() {
    let (one, two) = two_stores().await;
    let merged = merge(&one.store, &[&two]).await.unwrap();
    assert_eq!((merged.experiments, merged.trials, merged.training_runs, merged.curves), (0, 2, 1, 0));
    let before = content(&one.store).await;
    // No file was ever made for the weights of this test.
    let nothing = Merged { lost_files: 2, ..Merged::default() };
    assert_eq!(merge(&one.store, &[&two, &two]).await.unwrap(), nothing);
    assert_eq!(content(&one.store).await, before);
}

#[tokio::test]
async fn finished_work_replaces_unfinished_and_never_the_other_way() {
    let (one, two) = (Workbench::new().await, with_other_ids().await);
    let half = evaluate(&one, "work", 1, 2).await;
    let whole = evaluate(&two, "work", 1, 4).await;
    train(&two, "weights").await;
    merge(&one.store, &[&two]).await.unwrap();
    assert_eq!(one.store.trial_status(half).await.unwrap(), TrialStatus::Done);
    assert_eq!(one.store.measurements(half).await.unwrap().len(), 8);
    let run = one.store.training_run(one.run).await.unwrap();
    assert_eq!((run.status, run.weights_hash), (TrainingStatus::Done, Some(key("weights"))));
    assert_eq!(one.store.training_points(one.run, 0).await.unwrap().len(), 2);

    let other = Workbench::new().await;
    evaluate(&other, "work", 1, 1).await;
    assert_eq!(merge(&two.store, &[&other]).await.unwrap().trials, 0);
    assert_eq!(two.store.measurements(whole).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_place_belongs_to_the_newer_evaluators_trial() {
    let (one, two) = (Workbench::new().await, with_other_ids().await);
    let newer = NewTrial { evaluator_version: 2, ..two.new_trial("newer") };
    let newer = two.store.put_trial(&newer).await.unwrap().id;
    two.store.link_trial(two.experiment, 0, "base", newer).await.unwrap();
    merge(&one.store, &[&two]).await.unwrap();
    merge(&two.store, &[&one]).await.unwrap();
    for bench in [&one, &two] {
        let trials = bench.store.trials(bench.experiment).await.unwrap();
        assert_eq!(trials.iter().map(|trial| trial.key).collect::<Vec<_>>(), [key("newer")]);
    }
    assert_eq!(merge(&one.store, &[&two]).await.unwrap(), Merged::default());
}

/// Merges a store that was spoilt, and returns the message; nothing may have changed.
async fn refused(spoil: &'static str) -> String {
    let (one, two) = two_stores().await;
    train(&one, "weights").await;
    sqlx::query(spoil).execute(&two.store.writer).await.unwrap();
    let before = content(&one.store).await;
    let files = fs::read_dir(one.folder.path().join("artifacts")).unwrap().count();
    let error = merge(&one.store, &[&two]).await.unwrap_err();
    assert!(matches!(error, StoreError::MergeConflict { .. }), "{error}");
    assert_eq!(content(&one.store).await, before);
    assert_eq!(fs::read_dir(one.folder.path().join("artifacts")).unwrap().count(), files);
    error.to_string()
}

#[tokio::test]
async fn stores_that_disagree_are_refused_with_both_values() {
    let last_bit = "update measurement set value = 30.000000000000004
                    where metric_id = (select id from metric where name = 'psnr')";
    let message = refused(last_bit).await;
    for word in [
        "psnr of",
        ".png crop",
        "(first, shared, binary, τ = 0.05, seed 7, key ",
        "30.000000000000004 there",
        "30.0 in",
    ] {
        assert!(message.contains(word), "{word} is missing: {message}");
    }
    let message = refused("update training_run set weights_hash = replace(weights_hash, '1', '2')").await;
    assert!(message.contains("the hash of the weights of training run 1 (first, base, seed 1"), "{message}");
    let message = refused("update curve_point set psnr = 29").await;
    assert!(message.contains("the curve of b.png crop 0 block 0 at 2 tokens"), "{message}");
    let message = refused("update metric set unit = 'bels' where name = 'psnr'").await;
    assert!(message.contains("metric psnr version 1 is bels"), "{message}");
    let message = refused("update source set hash = replace(hash, '1', '2')").await;
    assert!(message.contains("the hash of") && message.contains("dataset photos"), "{message}");
}

#[tokio::test]
async fn times_may_differ() {
    let (one, two) = two_stores().await;
    for bench in [&one, &two] {
        sqlx::query("update metric set noisy = 1 where name = 'psnr'").execute(&bench.store.writer).await.unwrap();
    }
    sqlx::query("update measurement set value = 7 where metric_id = (select id from metric where name = 'psnr')")
        .execute(&two.store.writer)
        .await
        .unwrap();
    merge(&one.store, &[&two]).await.unwrap();
}

#[tokio::test]
async fn two_sources_that_disagree_leave_a_new_store_empty() {
    let folder = tempfile::tempdir().unwrap();
    let new = Store::open(folder.path().join("new.db")).await.unwrap();
    let (one, two) = two_stores().await;
    sqlx::query("update measurement set value = 7").execute(&two.store.writer).await.unwrap();
    let error = merge(&new, &[&one, &two]).await.unwrap_err();
    assert!(matches!(error, StoreError::MergeConflict { .. }), "{error}");
    assert!(content(&new).await.is_empty());
}

#[tokio::test]
async fn what_somebody_works_on_is_not_replaced() {
    let (one, two) = (Workbench::new().await, Workbench::new().await);
    let trial = evaluate(&one, "work", 1, 2).await;
    evaluate(&two, "work", 1, 4).await;
    assert!(matches!(one.store.acquire(trial).await.unwrap(), Lease::Acquired { .. }));
    let error = merge(&one.store, &[&two]).await.unwrap_err();
    assert!(matches!(error, StoreError::Leased { subject, .. } if subject == Subject::from(trial)), "{error}");
    one.store.release(trial).await.unwrap();
    merge(&one.store, &[&two]).await.unwrap();
}

#[tokio::test]
async fn pictures_are_copied_checked_and_missing_ones_counted() {
    let (one, two) = (Workbench::new().await, Workbench::new().await);
    evaluate(&two, "work", 1, 4).await;
    let files = two.store.artifact_files();
    let path = |number: usize| {
        let name = format!("work {}", two.samples[number]);
        files.path(crate::store::ContentHash::of(name.as_bytes()), MediaType::Png)
    };
    fs::remove_file(path(0)).unwrap();
    fs::write(path(1), b"damaged").unwrap();
    let merged = merge(&one.store, &[&two]).await.unwrap();
    assert_eq!((merged.files, merged.bytes, merged.lost_files), (2, 12, 2));
    let hash = crate::store::ContentHash::of(format!("work {}", two.samples[2]).as_bytes());
    assert_eq!(one.store.read_artifact(hash).await.unwrap().1, format!("work {}", two.samples[2]).as_bytes());
    // They are found later: the rows are there, the files follow.
    files.put(format!("work {}", two.samples[0]).as_bytes(), MediaType::Png).unwrap();
    let merged = merge(&one.store, &[&two]).await.unwrap();
    assert_eq!((merged.rows, merged.files, merged.lost_files), (0, 1, 1));
}

#[tokio::test]
async fn a_source_may_be_called_anything_and_is_never_the_destination() {
    let bench = Workbench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("it's 50 %41?mode=rwc#夜.db");
    bench.store.backup(&odd, false).await.unwrap();
    let before = fs::read(&odd).unwrap();
    let new = Store::open(folder.path().join("new.db")).await.unwrap();
    assert_eq!(new.merge(&Sources::open(std::slice::from_ref(&odd)).await.unwrap()).await.unwrap().trials, 1);
    assert_eq!(fs::read(&odd).unwrap(), before);
    let error = merge(&bench.store, &[&bench]).await.unwrap_err();
    assert!(matches!(error, StoreError::SameStore { .. }), "{error}");
}
