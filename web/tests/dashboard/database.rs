//! A database that is lost, replaced, damaged, newer or locked while it is served: the page says so, and the server goes
//! on.

use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;
use evaluator::store::Store;
use http_body_util::BodyExt as _;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tower::ServiceExt as _;

use crate::fixture::{Plan, fill, open};
use crate::html::well_told;
use crate::routes::{forms, routes};
use crate::site::{PORT, Site};

/// A served store that nobody writes to, and the path of its file.
async fn served() -> (Site, PathBuf) {
    let site = Site::small().await;
    site.store.close().await;
    let path = site.store.path().to_owned();
    let reader = Store::open_existing_read_only(&path).await.unwrap();
    let site = site.over(reader);
    works(&site).await;
    (site, path)
}

async fn works(site: &Site) {
    for route in routes(&site.filled) {
        let answer = site.get(&route.path).await;
        assert_eq!(answer.status, 200, "{}: {}", route.path, String::from_utf8_lossy(&answer.body));
    }
}

/// Every address that needs the store says this, and the others work.
async fn says(site: &Site, title: &str, advice: &str) {
    for route in routes(&site.filled) {
        let answer = site.get(&route.path).await;
        if route.stored {
            answer.says(503, &[title, advice, "reload this page"]);
            well_told(&route.path, &answer);
        } else {
            assert_eq!(answer.status, 200, "{}", route.path);
        }
    }
    for form in forms(&site.filled) {
        let answer = site.post(&form.path, form.fields).await;
        answer.says(503, &[title, advice, "reload this page"]);
        well_told(&form.path, &answer);
    }
}

async fn plain(path: &Path) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap()
}

#[tokio::test]
async fn a_file_that_is_gone_is_missed_until_it_is_back() {
    let (site, path) = served().await;
    let elsewhere = path.with_extension("away");
    fs::rename(&path, &elsewhere).unwrap();
    says(&site, "The results store is gone", "elastictok run").await;
    assert!(!path.exists(), "looking for it does not create it");
    fs::rename(&elsewhere, &path).unwrap();
    works(&site).await;
}

#[tokio::test]
async fn another_store_in_its_place_is_shown() {
    let (site, path) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let other = open(folder.path()).await;
    fill(&other, &Plan { name: "successor".into(), sources: 1, thresholds: vec![0.01], ..Plan::default() }).await;
    other.close().await;
    fs::rename(other.path(), &path).unwrap();
    site.get("/").await.says(200, &["successor"]);
    assert!(!site.get("/").await.text().contains("quickstart"));
}

#[tokio::test]
async fn pages_that_follow_a_store_are_sent_away_when_another_takes_its_place() {
    let (site, path) = served().await;
    let request = Request::get("/experiments/1/live").header("host", format!("127.0.0.1:{PORT}"));
    let following = site.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    works(&site).await;
    following.into_body().collect().await.unwrap(); // it ends
}

#[tokio::test]
async fn garbage_in_its_place_is_named_and_left_alone() {
    let (site, path) = served().await;
    let (kept, garbage) = (path.with_extension("kept"), "no database at all\n".repeat(1000));
    fs::rename(&path, &kept).unwrap();
    fs::write(&path, &garbage).unwrap();
    says(&site, "The results store cannot be read", "not an SQLite database").await;
    assert!(fs::read_to_string(&path).unwrap() == garbage);
    fs::write(&path, "").unwrap();
    says(&site, "The results store cannot be read", "schema version 0").await;
    fs::rename(&kept, &path).unwrap();
    works(&site).await;
}

#[tokio::test]
async fn damage_under_way_is_met_and_forgotten_when_it_is_repaired() {
    let (site, path) = served().await;
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[4096..].fill(0xAA); // every page but the first
    fs::write(&path, bad).unwrap();
    // What a connection read before may still be shown once; what it has to read is not.
    let mut met = false;
    for route in routes(&site.filled).iter().filter(|route| route.stored) {
        let answer = site.get(&route.path).await;
        met |= answer.status == 503;
        assert!(matches!(answer.status.as_u16(), 200 | 503), "{}: {}", route.path, answer.status);
    }
    assert!(met);
    says(&site, "The results store cannot be read", "is damaged").await;
    fs::write(&path, good).unwrap();
    works(&site).await;
}

#[tokio::test]
async fn a_newer_program_may_take_the_store_over() {
    let (site, path) = served().await;
    let newer = plain(&path).await;
    let migrate = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                   values (99, 'from the future', true, x'00', 0)";
    sqlx::query(migrate).execute(&newer).await.unwrap();
    says(&site, "The results store is newer than this program", "update elastictok").await;
    sqlx::query("delete from _sqlx_migrations where version = 99").execute(&newer).await.unwrap();
    works(&site).await;
}

#[tokio::test]
async fn a_store_that_another_program_keeps_to_itself_is_waited_for_a_little() {
    let (site, path) = served().await;
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    let greedy = plain(&copy).await;
    let mut connection = greedy.acquire().await.unwrap();
    for lock in ["pragma locking_mode = exclusive", "begin exclusive"] {
        sqlx::query(lock).execute(&mut *connection).await.unwrap();
    }
    fs::rename(&copy, &path).unwrap();
    tokio::time::pause(); // nothing else happens while the page waits: its patience ends at once
    says(&site, "The results store is busy", "another process keeps it locked").await;
    tokio::time::resume();
    sqlx::query("rollback").execute(&mut *connection).await.unwrap();
    drop(connection);
    greedy.close().await;
    works(&site).await;
}
