//! Reports find their rows by index: a store with millions of measurements answers as fast as a small one.

use sqlx::{AssertSqlSafe, Row};

use super::super::catalogue::{FINISHED, MEANS};
use super::super::experiment::TAGGED;
use super::super::note::{NOTES, NOTES_ABOUT, TAGS, TAGS_OF};
use super::super::progress::UNFINISHED;
use super::super::report::{BLOCKS, MEASUREMENTS, SUMMARIES, TRIAL, TRIAL_SAMPLES, TRIAL_SUMMARIES, TRIALS};
use super::fixture::Workbench;

async fn plan(bench: &Workbench, query: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("explain query plan {query}")))
        .bind(1)
        .fetch_all(&bench.store.reader.pool)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

#[tokio::test]
async fn no_report_scans_a_table() {
    let bench = Workbench::new().await;
    let of_trials = [TRIALS, TRIAL, SUMMARIES, TRIAL_SUMMARIES, MEASUREMENTS, BLOCKS, TRIAL_SAMPLES, FINISHED, MEANS];
    let of_people = [NOTES, NOTES_ABOUT, TAGS];
    for query in of_trials.into_iter().chain(of_people) {
        let plan = plan(&bench, query).await;
        assert!(plan.iter().any(|step| step.starts_with("SEARCH")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{query}\n{plan:#?}");
    }
}

#[tokio::test]
async fn a_trials_measurements_are_one_range_of_the_primary_key() {
    let bench = Workbench::new().await;
    let plan = plan(&bench, MEASUREMENTS).await;
    let expected = "SEARCH measurement USING PRIMARY KEY (trial_id=?)";
    assert!(plan.iter().any(|step| step == expected), "{plan:#?}");
}

#[tokio::test]
async fn tags_are_looked_up_for_each_experiment_that_is_listed() {
    let bench = Workbench::new().await;
    for (query, key) in [(TAGGED, "experiment_id=? AND name=?"), (TAGS_OF, "experiment_id=?")] {
        let plan = plan(&bench, query).await;
        let lookup = format!("SEARCH tag USING PRIMARY KEY ({key})");
        assert!(plan.contains(&lookup), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN tag") || step.contains("TEMP B-TREE")), "{plan:#?}");
    }
}

#[tokio::test]
async fn a_page_of_trials_reads_summaries_and_no_measurement() {
    let bench = Workbench::new().await;
    for query in [TRIALS, SUMMARIES] {
        let plan = plan(&bench, query).await;
        assert!(!plan.iter().any(|step| step.contains("measurement")), "{plan:#?}");
    }
}

#[tokio::test]
async fn whoever_watches_finds_unfinished_trials_without_a_scan_and_their_starts_from_the_end() {
    let bench = Workbench::new().await;
    let plan = plan(&bench, UNFINISHED).await;
    let scans: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
    // The events are gone through backwards until the newest start is found; nothing is sorted.
    assert_eq!(scans, ["SCAN event"], "{plan:#?}");
    assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:#?}");
}
