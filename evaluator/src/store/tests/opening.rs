//! What a store does with a file or folder it cannot work with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

use super::child;
use super::fixture::{Workbench, record};
use crate::store::{Store, StoreError};

fn new_file(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

/// A connection without any of the store's settings.
async fn plain(path: &Path) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await.unwrap()
}

#[tokio::test]
async fn the_library_and_the_settings_are_those_that_keep_a_store_whole() {
    let bench = Workbench::new().await;
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&bench.store.writer).await.unwrap();
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(parts >= vec![3, 51, 3], "SQLite {version}: versions before 3.51.3 can corrupt a write-ahead log");

    let number = async |pragma: &'static str, pool: &SqlitePool| -> i64 {
        sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap()
    };
    let (writer, reader) = (&bench.store.writer, &bench.store.reader.pool);
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(reader).await.unwrap();
    assert_eq!(mode, "wal");
    for pool in [writer, reader] {
        assert_eq!(number("pragma foreign_keys", pool).await, 1);
        assert_eq!(number("pragma trusted_schema", pool).await, 0);
        assert!(number("pragma busy_timeout", pool).await >= 5000);
    }
    assert_eq!(number("pragma synchronous", writer).await, 1, "normal");
    assert_eq!(number("pragma query_only", reader).await, 1);
    let error = sqlx::query("delete from tag").execute(reader).await.unwrap_err().to_string();
    assert!(error.contains("readonly"), "{error}");
}

#[tokio::test]
async fn a_closed_store_is_one_file_and_opens_again() {
    let bench = Workbench::new().await;
    bench.store.close().await;
    let names: Vec<_> = fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["results.db"]);
    let again = Store::open(bench.folder.path().join("results.db")).await.unwrap();
    assert_eq!(again.experiments().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_newer_store_is_refused_with_both_versions() {
    let bench = Workbench::new().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99, 'from the future', true, x'00', 0)",
    )
    .execute(&bench.store.writer)
    .await
    .unwrap();
    let path = bench.store.path();
    let (write, read) = (Store::open(path).await.unwrap_err(), Store::open_existing_read_only(path).await.unwrap_err());
    for error in [write, read] {
        let text = error.to_string();
        assert!(matches!(error, StoreError::NewerDatabase { database: 99, .. }), "{text}");
        assert!(text.contains("99") && text.contains("up to 4") && text.contains("update elastictok"), "{text}");
    }
}

#[tokio::test]
async fn a_store_made_by_another_first_migration_is_refused() {
    let bench = Workbench::new().await;
    sqlx::query("update _sqlx_migrations set checksum = x'00'").execute(&bench.store.writer).await.unwrap();
    let error = Store::open(bench.store.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::AlteredMigration { version: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_missing_file_is_created_for_writing_and_explained_for_reading() {
    let (_folder, path) = new_file("results.db");
    let error = Store::open_existing_read_only(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }));
    assert!(error.to_string().contains("elastictok run") && error.to_string().contains("results.db"), "{error}");
    assert!(!path.exists());
    let store = Store::open(&path).await.unwrap();
    let reader = Store::open_existing_read_only(&path).await.unwrap();
    assert!(reader.experiments().await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn an_empty_file_is_filled_for_writing_and_too_old_for_reading() {
    let (_folder, path) = new_file("results.db");
    fs::write(&path, "").unwrap();
    let error = Store::open_existing_read_only(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::OlderDatabase { database: 0, known: 4, .. }), "{error}");
    Store::open(&path).await.unwrap();
    Store::open_existing_read_only(&path).await.unwrap();
}

#[tokio::test]
async fn a_store_opened_as_it_is_is_neither_created_nor_migrated_but_written() {
    let patience = Duration::from_millis(100);
    let (_folder, path) = new_file("results.db");
    let error = Store::open_existing(&path, patience).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    let error = Store::open_existing(&path, patience).await.unwrap_err();
    assert!(matches!(error, StoreError::OlderDatabase { database: 0, known: 4, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"");

    let bench = Workbench::new().await;
    let path = bench.store.path();
    let copy = path.with_extension("copy");
    bench.store.backup(&copy, false).await.unwrap(); // it has no log
    for path in [path, &copy] {
        let store = Store::open_existing(path, patience).await.unwrap();
        store.add_tag(bench.experiment, "written").await.unwrap();
        let reader = Store::open_existing_read_only(path).await.unwrap();
        assert_eq!(reader.tags(bench.experiment).await.unwrap(), ["written"]);
    }
    sqlx::query("delete from _sqlx_migrations where version = 4").execute(&bench.store.writer).await.unwrap();
    let error = Store::open_existing(path, patience).await.unwrap_err();
    assert!(matches!(error, StoreError::OlderDatabase { database: 3, known: 4, .. }), "{error}");
    let left: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&bench.store.writer).await.unwrap();
    assert_eq!(left, 3);
}

#[tokio::test]
async fn a_short_patience_ends_and_a_lock_that_is_let_go_was_nothing() {
    let bench = Workbench::new().await;
    let short = Store::open_existing(bench.store.path(), Duration::from_millis(50)).await.unwrap();
    let transaction = bench.store.begin().await.unwrap();
    let error = short.add_tag(bench.experiment, "locked").await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    transaction.rollback().await.unwrap();
    short.add_tag(bench.experiment, "free").await.unwrap();
    assert_eq!(bench.store.tags(bench.experiment).await.unwrap(), ["free"]);
}

#[tokio::test]
async fn a_file_that_took_the_place_of_the_store_is_not_written() {
    let (bench, other) = (Workbench::new().await, Workbench::new().await);
    let path = bench.store.path();
    let kept = path.with_extension("kept");
    bench.store.add_tag(bench.experiment, "ours").await.unwrap();
    other.store.close().await;
    bench.store.fold_log().await.unwrap();
    fs::rename(path, &kept).unwrap();
    let error = bench.store.add_tag(bench.experiment, "lost").await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    fs::copy(other.store.path(), path).unwrap();
    let error = bench.store.add_tag(bench.experiment, "lost").await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    fs::rename(&kept, path).unwrap();
    bench.store.add_tag(bench.experiment, "back").await.unwrap();
    assert_eq!(bench.store.tags(bench.experiment).await.unwrap(), ["back", "ours"]);
}

#[tokio::test]
async fn a_log_is_folded_when_nobody_is_in_the_way_and_nobody_is_waited_for() {
    let bench = Workbench::new().await;
    let log = || fs::metadata(bench.store.path().with_extension("db-wal")).unwrap().len();
    let mut snapshot = bench.store.snapshot().await.unwrap();
    sqlx::query("select count(*) from tag").execute(&mut *snapshot).await.unwrap();
    bench.store.add_tag(bench.experiment, "written").await.unwrap();
    bench.store.fold_log().await.unwrap();
    assert!(log() > 0, "somebody reads what was before");
    snapshot.commit().await.unwrap();
    let transaction = bench.store.begin().await.unwrap();
    bench.store.fold_log().await.unwrap();
    assert!(log() > 0, "somebody writes");
    transaction.commit().await.unwrap();
    bench.store.fold_log().await.unwrap();
    assert_eq!(log(), 0);
    assert_eq!(bench.store.tags(bench.experiment).await.unwrap(), ["written"]);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let (folder, path) = new_file("results.db");
    let error = Store::open(folder.path().join("none/results.db")).await.unwrap_err();
    assert!(matches!(&error, StoreError::NoFolder { folder, .. } if folder.ends_with("none")), "{error}");
    fs::create_dir(&path).unwrap();
    let error = Store::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("results.db"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_was() {
    let (_folder, path) = new_file("experiment.toml");
    let text = "question = \"How many tokens?\"\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let (write, read) =
        (Store::open(&path).await.unwrap_err(), Store::open_existing_read_only(&path).await.unwrap_err());
    for error in [write, read] {
        assert!(matches!(&error, StoreError::NotADatabase { path } if path.ends_with("experiment.toml")), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn another_programs_database_is_left_as_it_was() {
    for table in ["bookmark", "_sqlx_migrations", "experiment"] {
        let (_folder, path) = new_file("other.db");
        let other = plain(&path).await;
        let create = format!("create table {table} (version integer, checksum blob)");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&other).await.unwrap();
        other.close().await;
        let before = fs::read(&path).unwrap();
        let error = Store::open(&path).await.unwrap_err();
        assert!(matches!(&error, StoreError::ForeignDatabase { table: found, .. } if found == table), "{error}");
        assert!(fs::read(&path).unwrap() == before, "the file was changed");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let bench = Workbench::new().await;
    bench.store.close().await;
    let path = bench.store.path().to_owned();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xAA); // every page but the first
    fs::write(&path, bytes).unwrap();
    let error = match Store::open(&path).await {
        Ok(store) => store.experiments().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, StoreError::Corrupt { path: named, .. } if *named == path), "{error:?}");
    assert!(error.to_string().contains(".recover"), "{error}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_work_goes_on_when_there_is_space() {
    let bench = Workbench::new().await;
    let (store, trial) = (&bench.store, bench.trial);
    store.start_trial(trial).await.unwrap();
    // As small as the file is now: SQLite then reports SQLITE_FULL, as it does for ENOSPC.
    sqlx::query("pragma max_page_count = 1").execute(&store.writer).await.unwrap();
    let mut big = record(&bench, bench.samples[0]);
    big.blocks[0].probes = (1..4000).map(|count| (count, 1.0 / f64::from(count))).collect();
    let error = store.record_sample(trial, &big).await.unwrap_err();
    assert!(matches!(&error, StoreError::DiskFull { path } if path == store.path()), "{error:?}");
    assert!(error.to_string().contains("results.db is full: free some space"), "{error}");
    assert!(store.done_samples(trial).await.unwrap().is_empty());

    sqlx::query("pragma max_page_count = 4294967294").execute(&store.writer).await.unwrap();
    store.record_sample(trial, &big).await.unwrap();
    let verdict: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&store.writer).await.unwrap();
    assert_eq!((verdict.as_str(), store.done_samples(trial).await.unwrap().len()), ("ok", 1));
}

/// File permissions do not bind the superuser: what is denied is tested in a child process without privileges.
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_read_only_file_or_folder_can_be_read_and_says_so_when_written() {
    let bench = Workbench::new().await;
    bench.store.close().await;
    let child = child::test_name(module_path!(), "child_finds_the_store_read_only");
    for (file, folder) in [(0o444, 0o555), (0o444, 0o777), (0o666, 0o555)] {
        set_mode(bench.store.path(), file);
        set_mode(bench.folder.path(), folder);
        child::without_privileges(&child, bench.store.path());
    }
    set_mode(bench.folder.path(), 0o755);
}

#[tokio::test]
#[ignore = "runs as a child of a_read_only_file_or_folder_can_be_read_and_says_so_when_written"]
async fn child_finds_the_store_read_only() {
    let Some(path) = child::path() else { return };
    let patience = Duration::from_millis(100);
    for opened in [Store::open(&path).await, Store::open_existing(&path, patience).await] {
        let error = opened.unwrap_err();
        assert!(matches!(&error, StoreError::ReadOnly { path: named } if *named == path), "{error:?}");
    }
    let reader = Store::open_existing_read_only(&path).await.unwrap();
    assert_eq!(reader.experiments().await.unwrap().len(), 1);

    // A copy in a folder of this user, who may give and take rights on it.
    let (folder, copy) = new_file("results.db");
    fs::copy(&path, &copy).unwrap();
    set_mode(folder.path(), 0o555);
    let reader = Store::open_existing_read_only(&copy).await.unwrap();
    reader.check().await.unwrap();
    set_mode(folder.path(), 0o755);
    set_mode(&copy, 0o644);
    let _writer = Store::open_existing(&copy, patience).await.unwrap();
    let error = reader.check().await.unwrap_err();
    assert!(matches!(&error, StoreError::LogLeft { .. }), "who trusts that nobody writes is told: {error:?}");
}

#[tokio::test]
async fn a_new_store_in_a_read_only_folder_is_refused() {
    let (folder, path) = new_file("results.db");
    set_mode(folder.path(), 0o555);
    child::without_privileges(&child::test_name(module_path!(), "child_cannot_create_the_store"), &path);
    set_mode(folder.path(), 0o755);
}

#[tokio::test]
#[ignore = "runs as a child of a_new_store_in_a_read_only_folder_is_refused"]
async fn child_cannot_create_the_store() {
    let Some(path) = child::path() else { return };
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(&error, StoreError::ReadOnly { path: named } if *named == path), "{error:?}");
}

#[tokio::test]
async fn a_log_left_on_a_read_only_disk_is_explained() {
    let bench = Workbench::new().await;
    let (folder, copy) = new_file("results.db");
    // As a killed process leaves it: the newest rows are in the log only.
    for ending in ["", "-wal"] {
        let name = format!("results.db{ending}");
        fs::copy(bench.folder.path().join(&name), folder.path().join(&name)).unwrap();
    }
    set_mode(folder.path(), 0o555);
    child::without_privileges(&child::test_name(module_path!(), "child_cannot_fold_the_log_in"), &copy);
    set_mode(folder.path(), 0o755);
    let store = Store::open(&copy).await.unwrap();
    assert_eq!(store.experiments().await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "runs as a child of a_log_left_on_a_read_only_disk_is_explained"]
async fn child_cannot_fold_the_log_in() {
    let Some(path) = child::path() else { return };
    let error = Store::open_existing_read_only(path).await.unwrap_err();
    assert!(matches!(&error, StoreError::LogLeft { .. }), "{error:?}");
}
