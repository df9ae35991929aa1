//! Every `check` of the schema refuses the nonsense it is there for.

use sqlx::AssertSqlSafe;

use super::fixture::{Workbench, key, new_predictor, point, record, summary};
use crate::store::{CurvePoint, MediaType, NewCurve, NewEvent, NewProgressive, NewProvenance, ProgressivePicture};

/// A table, one of its columns, and a value that the column must refuse.
const NONSENSE: &[(&str, &str, &str)] = &[
    ("experiment", "key", "'short'"),
    ("experiment", "config", "'{'"),
    ("dataset", "key", "'short'"),
    ("dataset", "split", "'validation'"),
    ("dataset", "sources", "-1"),
    ("source", "hash", "'short'"),
    ("source", "width", "0"),
    ("source", "height", "0"),
    ("source", "frames", "0"),
    ("sample", "key", "'short'"),
    ("sample", "ordinal", "-1"),
    ("sample", "width", "0"),
    ("sample", "height", "0"),
    ("sample", "frames", "0"),
    ("sample", "blocks", "0"),
    ("metric", "version", "0"),
    ("metric", "direction", "'up'"),
    ("metric", "noisy", "2"),
    ("protocol", "key", "'short'"),
    ("protocol", "description", "'crop = 256'"),
    ("provenance", "key", "'short'"),
    ("provenance", "git_dirty", "2"),
    ("provenance", "threads", "0"),
    ("artifact", "hash", "'short'"),
    ("artifact", "bytes", "-1"),
    ("training_run", "key", "'short'"),
    ("training_run", "config", "'{'"),
    ("training_run", "status", "'finished'"),
    ("training_run", "step", "-1"),
    ("training_run", "steps", "0"),
    ("training_run", "parameters", "0"),
    ("training_run", "weights_hash", "'short'"),
    ("training_point", "step", "0"),
    ("experiment_training", "ordinal", "-1"),
    ("curve", "weights_hash", "'short'"),
    ("curve", "block", "-1"),
    ("curve", "history", "'64,128'"),
    ("curve_point", "kept_tokens", "0"),
    ("progressive", "weights_hash", "'short'"),
    ("progressive", "kept_tokens", "0"),
    ("predictor", "key", "'short'"),
    ("predictor", "config", "'{'"),
    ("predictor", "weights_hash", "'short'"),
    ("predictor", "curves", "0"),
    ("predictor", "sources", "0"),
    ("predictor", "parameters", "0"),
    ("predictor", "file_hash", "'short'"),
    ("trial", "key", "'short'"),
    ("trial", "config", "'{'"),
    ("trial", "weights_hash", "'short'"),
    ("trial", "replayed", "2"),
    ("trial", "status", "'stopped'"),
    ("trial", "samples", "0"),
    ("experiment_trial", "ordinal", "-1"),
    ("trial_block", "block", "-1"),
    ("trial_block", "kept_tokens", "0"),
    ("trial_block", "threshold_met", "2"),
    ("trial_block", "probes", "'[[64, nan]]'"),
    ("summary", "samples", "0"),
    ("event", "payload", "'{'"),
    ("tag", "name", "''"),
];

/// A store with at least one row in every table that has a check.
async fn full() -> Workbench {
    let bench = Workbench::new().await;
    let (store, trial) = (&bench.store, bench.trial);
    let provenance = NewProvenance {
        key: key("machine"),
        version: "0.1.0".into(),
        git_commit: None,
        git_dirty: None,
        rustc: "1.95.0".into(),
        cpu: "a processor".into(),
        cpu_features: "avx512f".into(),
        threads: 2,
        os: "linux".into(),
        host: key("host").to_string(),
    };
    store.put_provenance(&provenance).await.unwrap();
    let reconstruction = store.put_artifact(b"pixels".to_vec(), MediaType::Png).await.unwrap().id;
    let pictures = vec![ProgressivePicture { kept_tokens: 64, reconstruction }];
    let (weights, sample, protocol) = (key("weights"), bench.samples[0], bench.protocol);
    store.put_progressive(&NewProgressive { weights, sample, protocol, pictures }).await.unwrap();
    store.start_training(bench.run, 0).await.unwrap();
    store.report_training(bench.run, 1, 1.0, &[point(1)]).await.unwrap();
    let curve = NewCurve {
        weights: key("weights"),
        sample: bench.samples[0],
        block: 0,
        history: vec![],
        protocol: bench.protocol,
        seconds: 1.0,
        points: vec![CurvePoint { kept_tokens: 64, distortion: 0.1, psnr: 30.0, ssim: 0.9 }],
    };
    store.put_curve(&curve).await.unwrap();
    let dataset = store.trials(bench.experiment).await.unwrap()[0].dataset_id;
    store.put_predictor(&new_predictor(dataset)).await.unwrap();
    store.start_trial(trial).await.unwrap();
    for &sample in &bench.samples {
        store.record_sample(trial, &record(&bench, sample)).await.unwrap();
    }
    store.finish_trial(trial, &[summary(bench.psnr, 30.0)]).await.unwrap();
    let event = NewEvent {
        experiment: None,
        training_run: None,
        trial: None,
        kind: "done".into(),
        payload: serde_json::json!({}),
    };
    store.append_event(&event).await.unwrap();
    store.add_tag(bench.experiment, "paper").await.unwrap();
    bench
}

#[tokio::test]
async fn every_check_refuses_its_nonsense() {
    let bench = full().await;
    for (table, column, value) in NONSENSE {
        let update = format!("update {table} set {column} = {value}");
        match sqlx::query(AssertSqlSafe(update.clone())).execute(&bench.store.writer).await {
            Err(error) => assert!(error.to_string().contains("CHECK constraint failed"), "{update}: {error}"),
            Ok(done) => panic!("{update}: accepted for {} rows", done.rows_affected()),
        }
    }
}

#[tokio::test]
async fn no_check_is_left_untested() {
    let bench = Workbench::new().await;
    let tables: Vec<(String, String)> =
        sqlx::query_as("select name, sql from sqlite_schema where type = 'table' and sql is not null order by name")
            .fetch_all(&bench.store.writer)
            .await
            .unwrap();
    for (table, sql) in tables {
        let code: String = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect();
        let tested = NONSENSE.iter().filter(|(of, ..)| *of == table).count();
        assert_eq!(code.matches("check (").count(), tested, "checks of table {table} and their tests");
    }
}

#[tokio::test]
async fn tables_are_strict_and_references_must_exist() {
    let bench = full().await;
    for (statement, refusal) in [
        ("update experiment set name = x'00'", "cannot store BLOB value in TEXT column"),
        ("update training_run set seed = 'one'", "cannot store TEXT value in INTEGER column"),
        ("update measurement set value = 'nan'", "cannot store TEXT value in REAL column"),
        ("update measurement set value = null", "NOT NULL constraint failed"),
        ("update sample set source_id = 99", "FOREIGN KEY constraint failed"),
        ("update trial_sample set reconstruction = 'none'", "FOREIGN KEY constraint failed"),
        ("delete from training_run", "FOREIGN KEY constraint failed"),
        ("delete from sample", "FOREIGN KEY constraint failed"),
    ] {
        let error = sqlx::query(statement).execute(&bench.store.writer).await.unwrap_err().to_string();
        assert!(error.contains(refusal), "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_deleted_trial_takes_its_numbers_with_it() {
    let bench = full().await;
    for statement in ["delete from experiment_trial", "delete from trial"] {
        sqlx::query(statement).execute(&bench.store.writer).await.unwrap();
    }
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from trial_sample) + (select count(*) from trial_block)
              + (select count(*) from measurement) + (select count(*) from summary)",
    )
    .fetch_one(&bench.store.writer)
    .await
    .unwrap();
    assert_eq!(left, 0);
    assert_eq!(bench.store.samples(bench.dataset).await.unwrap().len(), 4, "what was looked at stays");
}
