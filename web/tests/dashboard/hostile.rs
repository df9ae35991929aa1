//! Addresses that lead nowhere, and names that would like to be more than names.

use std::collections::BTreeSet;

use evaluator::store::Store;
use scraper::Selector;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::fixture::{self, Plan};
use crate::html::well_formed;
use crate::routes::routes;
use crate::site::Site;

#[tokio::test]
async fn what_is_not_there_gets_a_page_that_helps() {
    let site = Site::small().await;
    let unknown = fixture::key("nothing");
    for (path, words) in [
        ("/experiments/77".to_owned(), "There is no experiment 77"),
        ("/experiments/1/trials/77".to_owned(), "There is no trial 77 in experiment 1"),
        ("/experiments/77/trials/1".to_owned(), "There is no experiment 77"),
        (format!("{}/samples/77", site.trial(0)), "There is no sample 77 in trial 1"),
        ("/experiments/77/tables/results.csv".to_owned(), "There is no experiment 77"),
        (format!("/artifacts/{unknown}"), "There is no artifact"),
        ("/assets/../Cargo.toml".to_owned(), "There is no"),
        ("/assets/%2e%2e%2fCargo.toml".to_owned(), "There is no"),
        ("/nowhere".to_owned(), "There is no page /nowhere"),
    ] {
        let answer = site.get(&path).await;
        answer.says(404, &[words, "All experiments"]);
        well_formed(&path, &answer);
    }
    for path in [
        "/experiments/one",
        "/experiments/1/trials/-x",
        "/artifacts/..%2f..%2fetc%2fpasswd",
        "/artifacts/abc",
        "/experiments?page=x",
    ] {
        let answer = site.get(path).await;
        answer.says(400, &["This address is not understood", "All experiments"]);
        well_formed(path, &answer);
    }
}

/// Ends an attribute and a title, begins a script and a formula.
const HOSTILE: &str = "=\"'></title><script>alert(1)</script>";

/// Puts hostile text, then the column's name, before what stands in every column of the store; returns the columns that
/// refuse it.
async fn make_hostile(store: &Store) -> Vec<String> {
    let all = SqlitePool::connect_with(SqliteConnectOptions::new().filename(store.path())).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select t.name, c.name from sqlite_schema as t join pragma_table_info(t.name) as c
         where t.type = 'table' and t.name not glob '_sqlx*' and c.type = 'TEXT' order by t.name, c.cid",
    )
    .fetch_all(&all)
    .await
    .unwrap();
    let mut refused = Vec::new();
    for (table, column) in columns {
        let name = format!("{table}.{column}");
        // Reports look for metrics by name: one that they do not need stands for all.
        let of = if name == "metric.name" { "where name = 'search_seconds'" } else { "" };
        let text = format!("update {table} set {column} = ? || '{name} ' || coalesce({column}, '') {of}");
        let json = format!("update {table} set {column} = json_set({column}, '$.hostile', ? || '{name} ')");
        let put = async |sql| sqlx::query(AssertSqlSafe(sql)).bind(HOSTILE).execute(&all).await.is_ok();
        if name == "artifact.media_type" || !(put(text).await || put(json).await) {
            refused.push(name);
        }
    }
    all.close().await;
    refused
}

#[tokio::test]
async fn hostile_text_in_every_column_is_text_on_every_page() {
    let plan = Plan { sources: 1, thresholds: vec![0.01], fails: true, ..Plan::default() };
    let site = Site::new(&plan).await;
    site.store.add_note(site.filled.experiment, None, "a note").await.unwrap();
    site.store.add_tag(site.filled.experiment, "a tag").await.unwrap();
    for refused in make_hostile(&site.store).await {
        let (_, column) = refused.split_once('.').unwrap();
        let hashes = ["key", "hash", "weights_hash", "artifact", "reconstruction"];
        let choices = ["media_type", "split", "direction", "status"];
        assert!(hashes.contains(&column) || choices.contains(&column), "{refused} was not tried");
    }
    let mut shown = BTreeSet::new();
    for route in routes(&site.filled) {
        let answer = site.get(&route.path).await;
        assert_eq!(answer.status, 200, "{}: {}", route.path, String::from_utf8_lossy(&answer.body));
        if answer.header("content-type") == "image/svg+xml" {
            assert!(answer.text().contains("&lt;script&gt;") && !answer.text().contains("<script"), "{}", route.path);
        }
        if route.is_page() {
            let page = well_formed(&route.path, &answer);
            for script in page.select(&Selector::parse("script").unwrap()) {
                let ours = ["/assets/page.js", "/assets/live.js", "/assets/sample.js"].map(Some);
                assert!(ours.contains(&script.attr("src")), "{}: {}", route.path, script.html());
            }
            let columns = page.root_element().text().flat_map(|text| text.split("<script>alert(1)</script>").skip(1));
            shown.extend(columns.filter_map(|after| after.split(' ').next()).map(str::to_owned));
        }
    }
    for column in [
        "dataset.name",
        "experiment.config",
        "experiment.name",
        "experiment.question",
        "experiment.source",
        "experiment_training.variant",
        "experiment_trial.variant",
        "metric.name",
        "metric.unit",
        "note.text",
        "protocol.description",
        "provenance.cpu",
        "provenance.cpu_features",
        "provenance.os",
        "provenance.rustc",
        "provenance.version",
        "source.name",
        "tag.name",
        "training_run.error",
        "trial.config",
        "trial.error",
        "trial.strategy",
    ] {
        assert!(shown.contains(column), "{column} is on no page: {shown:#?}");
    }
    let answers = site.get("/trade-offs/table.csv?e=all").await;
    assert!(answers.text().contains(",\"'=\"\"'></title>"), "{}", answers.text());
    assert!(!answers.text().contains(",="), "{}", answers.text());
    // In a spreadsheet none of it is computed.
    let table = site.get("/experiments/1/tables/results.csv").await;
    for line in table.text().lines().skip(1) {
        assert!(line.starts_with("\"'=\"\"'></title>"), "{line}");
        assert!(line.contains(",\"'=\"\"'></title><script>alert(1)</script>trial.strategy"), "{line}");
    }
}
