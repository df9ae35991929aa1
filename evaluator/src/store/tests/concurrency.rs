//! Many tasks and several stores on one file: nobody is told «database is locked», nobody sees half a transaction.

use std::time::Duration;

use super::fixture::{Workbench, key, record_of};
use crate::store::{NewEvent, NewTrial, Store, StoreError, TrialId};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_write_at_once_and_no_write_is_refused() {
    let bench = Workbench::new().await;
    let stores = [bench.store.clone(), Store::open(bench.store.path()).await.unwrap()];
    let mut writers = Vec::new();
    for number in 0..8 {
        let store = stores[number % 2].clone();
        let new = bench.new_trial(&format!("trial of writer {number}"));
        let (samples, psnr, tokens) = (bench.samples.clone(), bench.psnr, bench.tokens);
        writers.push(tokio::spawn(async move {
            for round in 0..20 {
                let new = NewTrial { key: key(&format!("writer {number} round {round}")), ..new.clone() };
                let trial = store.put_trial(&new).await?.id;
                store.start_trial(trial).await?;
                for &sample in &samples {
                    store.record_sample(trial, &record_of(sample, psnr, tokens)).await?;
                }
                store.finish_trial(trial, &[]).await?;
            }
            Ok::<_, StoreError>(())
        }));
    }
    let reader = Store::open_existing_read_only(bench.store.path()).await.unwrap();
    let watcher = tokio::spawn(async move {
        let mut seen = 0;
        loop {
            // Every recorded sample has its two measurements, whenever one looks.
            let (samples, measurements): (i64, i64) =
                sqlx::query_as("select (select count(*) from trial_sample), (select count(*) from measurement)")
                    .fetch_one(&reader.pool)
                    .await
                    .unwrap();
            assert_eq!(2 * samples, measurements);
            assert!(samples >= seen, "a committed sample disappeared");
            seen = samples;
            if samples == 8 * 20 * 4 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    watcher.await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_what_is_committed_while_a_writer_works() {
    let bench = Workbench::new().await;
    let reader = Store::open_existing_read_only(bench.store.path()).await.unwrap();
    let mut transaction = bench.store.begin().await.unwrap();
    sqlx::query("insert into tag (experiment_id, name) values (?, 'half done')")
        .bind(bench.experiment)
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert!(reader.tags(bench.experiment).await.unwrap().is_empty());
    transaction.commit().await.unwrap();
    assert_eq!(reader.tags(bench.experiment).await.unwrap(), ["half done"]);
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_nothing_and_blocks_nobody() {
    let bench = Workbench::new().await;
    for _ in 0..20 {
        let mut transaction = bench.store.begin().await.unwrap();
        sqlx::query("delete from experiment").execute(&mut *transaction).await.unwrap();
        drop(transaction);
    }
    // Cancelled at some await point, as by a `select!` or a timeout.
    for microseconds in (0..400).step_by(20) {
        let event = NewEvent {
            experiment: None,
            training_run: None,
            trial: None,
            kind: "cancelled".into(),
            payload: serde_json::json!({}),
        };
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), bench.store.append_event(&event)).await;
    }
    bench.store.add_tag(bench.experiment, "still here").await.unwrap();
    assert_eq!(bench.store.tags(bench.experiment).await.unwrap(), ["still here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_open_a_new_store_at_once_all_find_it_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    let mut openers = Vec::new();
    for _ in 0..8 {
        let path = path.clone();
        openers.push(tokio::spawn(async move {
            let store = Store::open(path).await?;
            let experiments = store.experiments().await?.len();
            store.close().await;
            Ok::<_, StoreError>(experiments)
        }));
    }
    for opener in openers {
        assert_eq!(opener.await.unwrap().unwrap(), 0);
    }
    let store = Store::open(path).await.unwrap();
    let migrations: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&store.writer).await.unwrap();
    assert_eq!(migrations, 4);
}

#[tokio::test]
async fn a_report_agrees_with_itself_while_a_trial_ends() {
    let bench = Workbench::new().await;
    let mut snapshot = bench.store.snapshot().await.unwrap();
    let count = "select count(*) from trial where status = 'running'";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await.unwrap();
    bench.store.start_trial(bench.trial).await.unwrap();
    let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await.unwrap();
    assert_eq!((before, after), (0, 0));
    snapshot.commit().await.unwrap();
    assert!(matches!(bench.store.fail_trial(TrialId(5), "none").await, Err(StoreError::NotFound { .. })));
}
