//! Who may write, what is never written, and stores that cannot be written just now.

use std::fs;
use std::time::Duration;

use evaluator::store::{ContentHash, ExperimentId, NewExperiment, NoteRow, Reader, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::fixture::{Plan, fill, open};
use crate::html::well_formed;
use crate::routes::{forms, routes};
use crate::site::{FORM, OURS, Site, posted};

/// All that people said.
async fn held(store: &Reader) -> Vec<(ExperimentId, Vec<String>, Vec<NoteRow>)> {
    let mut held = Vec::new();
    for experiment in store.experiments().await.unwrap() {
        let id = experiment.id;
        held.push((id, store.tags(id).await.unwrap(), store.notes(id).await.unwrap()));
    }
    held
}

/// A store in which every form would change something.
async fn tagged() -> Site {
    let site = Site::small().await;
    site.store.add_tag(site.filled.experiment, "draft").await.unwrap();
    site.store.add_note(site.filled.experiment, None, "a note").await.unwrap();
    site
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Another program's connection to a store.
async fn stranger(store: &Store) -> SqliteConnection {
    SqliteConnectOptions::new().filename(store.path()).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

#[tokio::test]
async fn other_sites_and_programs_that_say_nothing_change_nothing() {
    let site = tagged().await;
    let before = held(&site.store).await;
    for form in forms(&site.filled) {
        let body = encoded(form.fields);
        for headers in [
            &[FORM][..],
            &[FORM, ("origin", "http://evil.example")],
            &[FORM, ("origin", "null")],
            &[FORM, OURS, ("sec-fetch-site", "cross-site")],
            &[FORM, ("sec-fetch-site", "none")],
            &[FORM, ("referer", "http://127.0.0.1:4321/experiments/1")],
            &[("content-type", "text/plain"), ("origin", "http://evil.example")],
        ] {
            let answer = site.send(posted(&form.path, headers, body.clone())).await;
            assert_eq!(answer.status, 403, "{} {headers:?}", form.path);
        }
        assert_eq!(site.send(posted(&form.path, &[OURS, ("content-type", "text/plain")], body)).await.status, 415);
        assert_eq!(site.get(&format!("{}?{}", form.path, encoded(form.fields))).await.status, 405);
    }
    assert_eq!(held(&site.store).await, before);
}

#[tokio::test]
async fn who_lacks_the_token_changes_nothing() {
    const TOKEN: &str = "9f2c.a-long_secret~0";
    let site = tagged().await.behind(TOKEN);
    let before = held(&site.store).await;
    for form in forms(&site.filled) {
        site.post(&form.path, form.fields).await.says(401, &["This dashboard needs its token"]);
    }
    assert_eq!(held(&site.store).await, before);
    let (bearer, form) = (format!("Bearer {TOKEN}"), &forms(&site.filled)[0]);
    let headers = [FORM, OURS, ("authorization", bearer.as_str())];
    site.send(posted(&form.path, &headers, encoded(form.fields))).await.leads_to("/experiments/1#tags");
}

#[tokio::test]
async fn what_belongs_to_another_experiment_is_not_there() {
    let site = tagged().await;
    let plan = Plan { name: "clips".into(), sources: 1, thresholds: vec![0.02], ..Plan::default() };
    let other = fill(&site.store, &plan).await;
    let theirs = site.store.add_note(other.experiment, None, "theirs").await.unwrap();
    let before = held(&site.store).await;
    let trial = other.trials[0];
    let foreign = format!("There is no trial {trial} in experiment 1");
    for (path, field, words) in [
        (format!("/experiments/1/notes/{theirs}/delete"), "trial", "There is no note 2 about experiment 1"),
        (format!("/experiments/1/trials/{trial}/notes"), "text", foreign.as_str()),
        ("/experiments/1/trials/77/notes".into(), "text", "There is no trial 77 in experiment 1"),
        ("/experiments/1/notes/77/delete".into(), "trial", "There is no note 77"),
        ("/experiments/77/notes".into(), "text", "There is no experiment 77"),
        ("/experiments/77/tags".into(), "name", "There is no experiment 77"),
        ("/experiments/77/tags/remove".into(), "name", "There is no experiment 77"),
    ] {
        let answer = site.post(&path, &[(field, "1")]).await;
        answer.says(404, &[words]);
        well_formed(&path, &answer);
    }
    site.post("/experiments/one/notes", &[("text", "x")]).await.says(400, &["This address is not understood"]);
    assert_eq!(held(&site.store).await, before);
}

const HOSTILE: [&str; 7] = [
    "</textarea></title><script>alert(1)</script>",
    "\" onfocus=alert(1) autofocus x='",
    "'; drop table tag; --",
    "=HYPERLINK(\"http://evil.example\")",
    "\u{202e}gnp.exe\u{2066}\u{200f} עברית",
    "{{ experiment.name }}%s%n${7*7}",
    "a&tag=b#c?d+e%20f/../g\\",
];

#[tokio::test]
async fn hostile_words_stay_words_on_every_page() {
    let site = Site::small().await;
    for text in HOSTILE {
        site.post("/experiments/1/tags", &[("name", text)]).await.leads_to("/experiments/1#tags");
        for path in ["/experiments/1".to_owned(), site.trial(0)] {
            assert_eq!(site.post(&format!("{path}/notes"), &[("text", text)]).await.status, 303);
        }
    }
    let mut tags = HOSTILE.map(str::to_owned).to_vec();
    tags.sort();
    assert_eq!(site.store.tags(site.filled.experiment).await.unwrap(), tags);
    for route in routes(&site.filled) {
        let answer = site.get(&route.path).await;
        assert_eq!(answer.status, 200, "{}", route.path);
        if route.path.starts_with("/api/") {
            // Programs get the words as they are, in what no browser takes for a page.
            assert_eq!(answer.header("content-type"), "application/json", "{}", route.path);
            continue;
        }
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("alert(1)</script>"), "{}", route.path);
        assert!(route.is_page() || !text.contains("HYPERLINK"), "no export has them: {}", route.path);
        if !route.is_page() {
            continue;
        }
        let page = well_formed(&route.path, &answer);
        let shown: Vec<&str> = page.root_element().text().collect();
        let is_about = |address| route.address == address;
        for text in HOSTILE {
            let times = shown.iter().filter(|shown| **shown == text).count();
            let expected = match () {
                () if is_about("/experiments/{experiment}") => 3,
                () if is_about("/experiments/{experiment}/trials/{trial}") || is_about("/experiments") => 1,
                () => 0,
            };
            assert_eq!(times, expected, "{text} on {}", route.path);
        }
    }
    for tag in HOSTILE {
        let path = format!("/experiments?{}", encoded(&[("tag", tag)]));
        let answer = site.get(&path).await;
        answer.says(200, &["quickstart"]);
        well_formed(&path, &answer);
        site.post("/experiments/1/tags/remove", &[("name", tag)]).await.leads_to("/experiments/1#tags");
    }
    assert_eq!(site.store.tags(site.filled.experiment).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn two_who_add_the_same_tag_at_once_add_it_once() {
    let site = Site::small().await;
    let add = || site.post("/experiments/1/tags", &[("name", "paper")]);
    let (one, two, three) = tokio::join!(add(), add(), add());
    for answer in [one, two, three] {
        answer.leads_to("/experiments/1#tags");
    }
    assert_eq!(site.store.tags(site.filled.experiment).await.unwrap(), ["paper"]);
}

#[tokio::test]
async fn a_change_waits_a_little_for_its_turn() {
    let site = Site::small().await;
    let mut sweep = stranger(&site.store).await;
    run(&mut sweep, "begin immediate").await;
    let (answer, ()) = tokio::join!(site.post("/experiments/1/tags", &[("name", "paper")]), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(site.get("/experiments/1").await.status == 200, "pages are read meanwhile");
        run(&mut sweep, "commit").await;
    });
    answer.leads_to("/experiments/1#tags");
    assert_eq!(site.store.tags(site.filled.experiment).await.unwrap(), ["paper"]);
}

#[tokio::test]
async fn a_store_that_stays_locked_is_named_and_nothing_is_written_later() {
    let site = tagged().await;
    let before = held(&site.store).await;
    let mut sweep = stranger(&site.store).await;
    run(&mut sweep, "begin immediate").await;
    let answer = site.post("/experiments/1/tags", &[("name", "paper")]).await;
    answer.says(503, &["The results store is locked", "Nothing was changed", "results.db"]);
    well_formed("locked", &answer);
    run(&mut sweep, "insert into tag (experiment_id, name) values (1, 'of the sweep')").await;
    run(&mut sweep, "delete from tag where name = 'of the sweep'").await;
    run(&mut sweep, "commit").await; // it was not disturbed
    assert_eq!(held(&site.store).await, before);
    site.post("/experiments/1/tags", &[("name", "paper")]).await.leads_to("/experiments/1#tags");
}

/// A store with one experiment that has nothing but a name.
async fn bare(folder: &std::path::Path) -> Store {
    let store = open(folder).await;
    let new = NewExperiment {
        key: ContentHash::of(b"successor"),
        name: "successor".into(),
        question: String::new(),
        source: String::new(),
        config: serde_json::json!({}),
    };
    store.put_experiment(&new).await.unwrap();
    store
}

#[tokio::test]
async fn the_store_at_the_path_is_written_and_not_the_deleted_one() {
    let site = tagged().await;
    let path = site.store.path().to_owned();
    site.get("/").await.says(200, &["quickstart"]); // all is read that is kept: the log can be folded
    site.post("/experiments/1/tags", &[("name", "first")]).await.leads_to("/experiments/1#tags"); // it is open now
    let old = held(&site.store).await;
    site.store.close().await;
    let folder = tempfile::tempdir().unwrap();
    let successor = bare(folder.path()).await;
    successor.close().await;
    let kept = path.with_extension("kept");
    fs::copy(&path, &kept).unwrap();
    fs::rename(successor.path(), &path).unwrap();
    site.post("/experiments/1/tags", &[("name", "second")]).await.leads_to("/experiments/1#tags");
    let now = Store::open_existing_read_only(&path).await.unwrap();
    assert_eq!(now.tags(ExperimentId(1)).await.unwrap(), ["second"]);
    assert_eq!(held(&Store::open_existing_read_only(&kept).await.unwrap()).await, old);
}

#[tokio::test]
async fn a_file_that_takes_the_place_while_a_change_waits_is_not_written() {
    let site = tagged().await;
    site.get("/").await.says(200, &["quickstart"]); // all is read that is kept: the log can be folded
    site.post("/experiments/1/tags", &[("name", "first")]).await.leads_to("/experiments/1#tags");
    let path = site.store.path().to_owned();
    let mut sweep = stranger(&site.store).await;
    let folder = tempfile::tempdir().unwrap();
    let successor = bare(folder.path()).await;
    successor.close().await;
    run(&mut sweep, "begin immediate").await;
    let (answer, ()) = tokio::join!(site.post("/experiments/1/tags", &[("name", "late")]), async {
        tokio::time::sleep(Duration::from_millis(500)).await; // it waits for its turn
        fs::rename(successor.path(), &path).unwrap();
        run(&mut sweep, "commit").await;
    });
    answer.says(503, &["The results store was replaced", "nothing was written into either"]);
    site.get("/experiments/1").await.says(200, &["successor"]);
    let now = Store::open_existing_read_only(&path).await.unwrap();
    assert_eq!(held(&now).await, [(ExperimentId(1), vec![], vec![])]);
}
