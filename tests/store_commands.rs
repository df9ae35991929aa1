//! `merge`, `gc`, `backup`, `export` through the built binary.

mod common;

use common::{Bench, assert_same, signal, texts, wait_until};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::HashMap;
use std::path::Path;

const SEED_0: [&str; 4] = ["run", "tiny.toml", "--set", "seeds=[0]"];
const SEED_1: [&str; 4] = ["run", "tiny.toml", "--set", "seeds=[1]"];
const BOTH_SEEDS: [&str; 4] = ["run", "tiny.toml", "--set", "seeds=[0,1]"];

/// One value each of what a query finds, as text.
fn column(db: &Path, query: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(db)).await.unwrap();
        let found = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(&pool).await.unwrap();
        pool.close().await;
        found.iter().map(|row| row.get(0)).collect()
    })
}

fn execute(db: &Path, statements: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(db)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
    });
}

/// Quoted fields and line ends as RFC 4180 has them.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    assert!(!quoted && field.is_empty() && row.is_empty(), "the text ends in the middle of a line");
    rows
}

/// A CSV table without its columns of times.
fn without_times(csv: &str) -> Vec<Vec<String>> {
    let mut rows = parse_csv(csv);
    let is_time: Vec<bool> = rows[0].iter().map(|name| name.contains("seconds")).collect();
    assert!(is_time.contains(&true));
    for row in &mut rows {
        let mut column = 0;
        row.retain(|_| {
            column += 1;
            !is_time[column - 1]
        });
    }
    rows
}

#[test]
fn two_merged_stores_are_what_one_run_would_have_made() {
    let (one, two, whole) = (Bench::new(), Bench::new(), Bench::new());
    one.succeed(&SEED_0);
    two.succeed(&SEED_1);
    whole.succeed(&BOTH_SEEDS);
    let merged = Bench::new();
    let sources = [one.db(), two.db()].map(|db| db.to_str().unwrap().to_owned());
    let (out, err) = merged.succeed(&["merge", &sources[0], &sources[1]]);
    assert!(
        out.starts_with("2 experiments, 6 training runs, 28 trials, 24 curves copied into results/elastic"),
        "{out}"
    );
    assert_eq!(err, "");
    for (seed, bench) in [("#1", &one), ("#2", &two)] {
        let table = |bench: &Bench, name: &str| bench.succeed(&["table", name, "--format", "csv"]).0;
        assert_eq!(table(&merged, seed), table(bench, "tiny"));
    }

    // Nothing is missing for the experiment with both seeds: no weights, no curve, no sample.
    let (_, err) = merged.succeed(&BOTH_SEEDS);
    assert!(err.contains("0 trained, 6 reused; 0 trials evaluated, 28 reused"), "{err}");
    assert_same(&merged.numbers(), &whole.numbers());
    let table = |bench: &Bench| without_times(&bench.succeed(&["table", "tiny", "--format", "csv"]).0);
    assert_eq!(table(&merged), table(&whole));
    let pictures = |bench: &Bench| {
        bench.files().iter().filter(|path| path.extension().is_some_and(|extension| extension == "png")).count()
    };
    assert!(pictures(&merged) > 50, "{}", pictures(&merged));

    let exported = || merged.succeed(&["export", "trials", "--format", "json"]).0;
    let before = (exported(), merged.files());
    let (out, _) = merged.succeed(&["merge", &sources[1], &sources[0]]);
    assert!(
        out.starts_with("0 experiments, 0 training runs, 0 trials, 0 curves") && out.contains("(0 rows, 0 files, 0 B)"),
        "{out}"
    );
    assert!(before == (exported(), merged.files()), "merging again changed something");
}

#[test]
fn a_merged_unfinished_run_goes_on_where_it_stopped() {
    const LONG: [&str; 6] = ["train", "tiny.toml", "--set", "train.steps=150", "--checkpoint-every", "0.05"];
    let (one, merged) = (Bench::new(), Bench::new());
    let mut child = one.start(&LONG);
    let state = || {
        let folders = std::fs::read_dir(one.path("results/checkpoints"));
        folders.is_ok_and(|mut f| f.any(|folder| folder.unwrap().path().join("training.safetensors").exists()))
    };
    wait_until("a checkpoint", state);
    signal(&child, "INT");
    child.wait().unwrap();
    merged.succeed(&["merge", one.db().to_str().unwrap()]);
    let (_, err) = merged.succeed(&LONG);
    assert!(err.contains("goes on at step"), "{err}");
    one.succeed(&LONG);
    assert_same(&merged.numbers(), &one.numbers());
}

#[test]
fn stores_that_disagree_are_not_merged() {
    let (one, two) = (Bench::new(), Bench::new());
    one.succeed(&SEED_0);
    two.succeed(&SEED_0);
    execute(
        &two.db(),
        "update measurement set value = value + 1e-9 where metric_id = (select id from metric where name = 'psnr')",
    );
    let before = (one.numbers(), one.files());
    let message = one.refuse(&["merge", two.db().to_str().unwrap()]);
    assert!(
        message.contains("nothing was merged: psnr of ") && message.contains("in trial 1 (tiny, elastic FSQ"),
        "{message}"
    );
    assert_eq!((one.numbers(), one.files()), before);
    // A source that is not there: no new store is made.
    let none = Bench::new();
    let before = none.files();
    let message = none.refuse(&["merge", "absent.sqlite"]);
    assert!(message.contains("there is no results store at absent.sqlite"), "{message}");
    let message = none.refuse(&["merge"]);
    assert!(message.contains("<FILE>"), "{message}");
    assert_eq!(none.files(), before);
}

#[test]
fn gc_removes_what_a_deleted_experiment_leaves() {
    let bench = Bench::new();
    bench.succeed(&SEED_0);
    let kept = bench.numbers();
    let files: Vec<_> =
        bench.files().into_iter().filter(|path| !path.starts_with(bench.path("results/reports"))).collect();
    let (out, _) = bench.succeed(&["gc"]);
    assert!(out.ends_with("0 B removed\n") || out.contains("0 B removed, the database is"), "{out}");
    assert_eq!(bench.numbers(), kept, "gc keeps what is used");
    bench.succeed(&SEED_1);
    execute(
        &bench.db(),
        "pragma foreign_keys = on;
         create temp table gone as select trial_id as id from experiment_trial where experiment_id = 2;
         create temp table runs as select training_run_id as id from experiment_training where experiment_id = 2;
         delete from experiment where id = 2;
         delete from trial where id in (select id from gone);
         delete from training_run where id in (select id from runs);",
    );
    let (out, _) = bench.succeed(&["gc", "--dry-run"]);
    assert!(out.contains("3 checkpoints without a training run") && out.contains(".png\n"), "{out}");
    let (out, _) = bench.succeed(&["gc"]);
    assert!(out.contains("3 checkpoints without a training run") && out.contains("the database is"), "{out}");
    let left: Vec<_> =
        bench.files().into_iter().filter(|path| !path.starts_with(bench.path("results/reports"))).collect();
    assert_eq!(left.iter().filter(|path| path.is_file()).count(), files.iter().filter(|path| path.is_file()).count());
    assert_eq!(bench.numbers(), kept);
    let (_, err) = bench.succeed(&SEED_0);
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated, 14 reused"), "{err}");
}

#[test]
fn gc_touches_nothing_while_a_process_works() {
    let bench = Bench::new();
    let mut child = bench.start(&["run", "tiny.toml", "--set", "train.steps=5000"]);
    wait_until("a lease", || texts(&bench.run(&["status"])).0.contains("(working)"));
    let message = bench.refuse(&["gc"]);
    assert!(message.contains(&format!("process {} on", child.id())) && message.contains("training_run:1"), "{message}");
    signal(&child, "KILL");
    child.wait().unwrap();
    bench.succeed(&["gc"]);
    assert!(bench.refuse(&["gc", "--db", "absent.sqlite"]).contains("absent.sqlite"));
}

#[test]
fn a_backup_is_made_while_a_sweep_writes() {
    let bench = Bench::new();
    let mut child = bench.start(&["run", "tiny.toml"]);
    let recorded =
        || bench.db().exists() && column(&bench.db(), "select name from sqlite_schema").contains(&"trial".into());
    wait_until("the schema", recorded);
    for number in 0..5 {
        let file = format!("backups/{number}.sqlite");
        let (out, err) = bench.succeed(&["backup", &file]);
        assert!(out.starts_with(&file) && out.contains("checked"), "{out}");
        assert!(err.contains("pictures and checkpoints are not in it"), "{err}");
        assert_eq!(column(&bench.path(&file), "pragma integrity_check"), ["ok"]);
    }
    assert!(child.wait().unwrap().success());
    let message = bench.refuse(&["backup", "backups/0.sqlite"]);
    assert!(message.contains("exists already") && message.contains("--force"), "{message}");
    bench.succeed(&["backup", "backups/0.sqlite", "--force"]);
    let table = bench.succeed(&["table"]).0;
    assert_eq!(bench.succeed(&["--db", "backups/0.sqlite", "table"]).0, table);
    assert!(bench.refuse(&["backup", "results/elastictok.sqlite", "--force"]).contains("is the results store itself"));
    assert_eq!(std::fs::read_dir(bench.path("backups")).unwrap().count(), 5, "only backups are left");
}

#[test]
fn exported_numbers_are_those_of_the_database() {
    let bench = Bench::new();
    bench.succeed(&SEED_0);
    bench.succeed(&SEED_1);
    execute(&bench.db(), "update source set name = 'a \"quoted\",\nname' where name like 'c%'");
    bench.succeed(&["export", "measurements", "--output", "out/m.csv"]);
    let text = std::fs::read_to_string(bench.path("out/m.csv")).unwrap();
    assert_eq!(bench.succeed(&["export", "measurements"]).0, text, "the same twice");
    let rows = parse_csv(&text);
    let place: HashMap<&str, usize> = rows[0].iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let mut exported: Vec<String> = rows[1..]
        .iter()
        .map(|row| {
            let [source, crop, metric, trial, value] =
                ["source", "crop", "metric", "trial", "value"].map(|name| row[place[name]].as_str());
            format!("{trial} {source} {crop} {metric} {:016x}", value.parse::<f64>().unwrap().to_bits())
        })
        .collect();
    // The bits of each number, by way of SQLite's own blobs: text would not show the last ones.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stored: Vec<String> = runtime.block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(bench.db())).await.unwrap();
        let query = "select trial.key || ' ' || source.name || ' ' || sample.ordinal || ' ' || metric.name, value
                     from measurement join trial on trial.id = trial_id join sample on sample.id = sample_id
                     join source on source.id = source_id join metric on metric.id = metric_id";
        let found: Vec<(String, f64)> = sqlx::query_as(query).fetch_all(&pool).await.unwrap();
        found.into_iter().map(|(name, value)| format!("{name} {:016x}", value.to_bits())).collect()
    });
    exported.sort();
    stored.sort();
    assert!(stored.len() > 1000);
    assert_same(&exported, &stored);

    let (one, _) = bench.succeed(&["export", "measurements", "--experiment", "#1"]);
    let (two, _) = bench.succeed(&["export", "measurements", "--experiment", "tiny"]);
    let joined: Vec<_> = [&parse_csv(&one)[..], &parse_csv(&two)[1..]].concat();
    assert_eq!(joined, rows, "a name is the latest experiment of it");
}

#[test]
fn curves_and_trials_are_exported_as_csv_and_json() {
    let bench = Bench::new();
    bench.succeed(&SEED_0);
    let (curves, err) = bench.succeed(&["export", "curves"]);
    let points = column(&bench.db(), "select cast(count(*) as text) from curve_point");
    assert_eq!((curves.lines().count() - 1).to_string(), points[0]);
    assert!(err.contains(&format!("{} rows", points[0])), "{err}");
    let (json, _) = bench.succeed(&["-q", "export", "trials", "--format", "json"]);
    execute(&bench.db(), "create table exported as select '' as text where false");
    let quoted = json.replace('\'', "''");
    execute(&bench.db(), &format!("insert into exported values ('{quoted}')"));
    // SQLite's own parser reads it.
    let found = column(
        &bench.db(),
        "select row.value ->> 'variant' || ' ' || (row.value -> 'config' ->> 'strategy') || ' '
                || json_array_length(row.value, '$.summaries') from exported, json_each(text) as row",
    );
    assert_eq!(found.len(), 14);
    assert_eq!(found[0], "elastic FSQ full 18");
    let message = bench.refuse(&["export", "trials", "--experiment", "unknown"]);
    assert!(message.contains("the store has no experiment unknown"), "{message}");
    assert!(bench.refuse(&["export", "nothing"]).contains("measurements"));
}

#[test]
fn an_export_into_a_pipe_that_closes_is_no_error_and_a_failed_one_leaves_no_file() {
    use std::process::Stdio;
    let bench = Bench::new();
    bench.succeed(&SEED_0);
    let mut child =
        bench.command(&["export", "measurements"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = bench.command(&["export", "measurements"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    std::fs::create_dir(bench.path("out")).unwrap();
    bench.refuse(&["export", "trials", "--experiment", "unknown", "--output", "out/t.csv"]);
    assert_eq!(std::fs::read_dir(bench.path("out")).unwrap().count(), 0);
}
