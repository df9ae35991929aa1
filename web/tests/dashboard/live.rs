//! Running work as a stream, from the first request to the last event.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use evaluator::store::{EventId, Store};
use http_body_util::BodyExt as _;
use scraper::Selector;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixture::{Plan, tell};
use crate::html::well_formed;
use crate::site::{PORT, Site};

const PATH: &str = "/experiments/1/live";

/// A page that follows an experiment.
struct Page {
    body: Body,
    text: String,
}

/// One message of the stream.
#[derive(Debug, PartialEq)]
struct Message {
    id: Option<i64>,
    name: String,
    data: Value,
}

impl Page {
    async fn open(site: &Site, path: &str, last_event: Option<EventId>) -> Self {
        let response = answer(site, path, last_event).await;
        assert_eq!(response.status(), StatusCode::OK);
        Self { body: response.into_body(), text: String::new() }
    }

    async fn next(&mut self) -> Message {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                let message = Message {
                    id: field("id").map(|id| id.parse().unwrap()),
                    name: field("event").unwrap().to_owned(),
                    data: serde_json::from_str(field("data").unwrap()).unwrap(),
                };
                self.text = rest.to_owned();
                return message;
            }
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// The next news; work that changed before is passed over.
    async fn news(&mut self) -> Message {
        loop {
            let message = self.next().await;
            if message.name == "news" {
                return message;
            }
        }
    }

    /// The first work that this is true of.
    async fn work_where(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await;
            if message.name == "work" && is_wanted(&message.data) {
                return message.data;
            }
        }
    }
}

async fn answer(site: &Site, path: &str, last_event: Option<EventId>) -> Response<Body> {
    let mut request = Request::get(path).header("host", format!("127.0.0.1:{PORT}")).header("accept-encoding", "gzip");
    if let Some(id) = last_event {
        request = request.header("last-event-id", id.to_string());
    }
    site.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn under_way() -> Site {
    Site::new(&Plan { sources: 2, thresholds: vec![0.01], under_way: true, ..Plan::default() }).await
}

async fn told(site: &Site, kind: &str) -> EventId {
    tell(&site.store, site.filled.experiment, kind, None, json!({ "error": kind })).await
}

#[tokio::test]
async fn the_first_message_is_the_work_as_it_is() {
    let site = under_way().await;
    let response = answer(&site, PATH, None).await;
    let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!((header("content-encoding"), header("cache-control")), ("", "no-cache"));
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    let mut page = Page { body: response.into_body(), text: String::new() };
    let first = page.next().await;
    assert_eq!((first.name.as_str(), first.id), ("work", None));
    let [training, trial] = &first.data["tasks"].as_array().unwrap()[..] else { panic!("{}", first.data) };
    assert_eq!(training["what"], "train wide, seed 0");
    assert_eq!(training["progress"], json!({ "done": 200, "total": 800, "text": "200 of 800 steps" }));
    // 200 steps in 23.1 s: 600 take 69.3 s.
    assert_eq!(training["note"], "about 1 min 09 s left");
    assert_eq!(trial["what"], "evaluate elastic, kary(4), τ = 0.02, seed 0");
    assert_eq!(trial["progress"], json!({ "done": 2, "total": 4, "text": "2 of 4 samples" }));
    assert!(trial["note"].as_str().unwrap().ends_with(" left"), "{trial}");
    assert!(first.data["state"].as_str().unwrap().starts_with("Running since "), "{}", first.data);
}

#[tokio::test]
async fn what_another_process_does_arrives() {
    let site = under_way().await;
    let mut page = Page::open(&site, PATH, None).await;
    let mut twin = Page::open(&site, PATH, None).await;
    page.next().await;
    let other = Store::open(site.store.path()).await.unwrap();
    let run = *site.filled.runs.last().unwrap();
    other.report_training(run, 500, 30.0, &[]).await.unwrap();
    let step = |work: &Value| work["tasks"][0]["progress"]["done"] == 500;
    page.work_where(step).await;
    other.fail_training(run, "the loss at step 501 is NaN").await.unwrap();
    let id = tell(&other, site.filled.experiment, "training failed", None, json!({ "variant": "wide" })).await;
    for page in [&mut page, &mut twin] {
        let news = page.news().await;
        assert_eq!((news.id, &news.data["text"]), (Some(id.0), &json!("training failed: wide")));
        let work = page.work_where(|work| work["failures"] != json!([])).await;
        assert_eq!(work["failures"][0]["why"], "the loss at step 501 is NaN");
        assert!(work["tasks"].as_array().unwrap().iter().all(|task| task["what"] != "train wide, seed 0"));
    }
}

#[tokio::test]
async fn who_comes_back_gets_exactly_what_was_missed() {
    let site = under_way().await;
    let mut ids = Vec::new();
    for number in 0..250 {
        ids.push(told(&site, &format!("number {number}")).await);
    }
    for (header, query) in [(Some(ids[99]), ""), (None, "?after="), (Some(ids[99]), "?after=0")] {
        let query = if query == "?after=" { format!("{PATH}?after={}", ids[99]) } else { format!("{PATH}{query}") };
        let mut page = Page::open(&site, &query, header).await;
        for id in &ids[100..] {
            assert_eq!(page.next().await.id, Some(id.0), "{query} {header:?}");
        }
        assert_eq!(page.next().await.name, "work", "and nothing twice");
    }
    let mut fresh = Page::open(&site, PATH, None).await;
    assert_eq!(fresh.next().await.name, "work", "who comes first is told nothing of the past");
    let mut ahead = Page::open(&site, PATH, Some(EventId(i64::MAX))).await;
    assert_eq!(ahead.next().await.name, "work");
    let new = told(&site, "new").await;
    assert_eq!(ahead.news().await.id, Some(new.0), "an id from another store does not hide what comes");
}

#[tokio::test]
async fn of_other_experiments_nothing_is_told() {
    let site = under_way().await;
    let mut page = Page::open(&site, PATH, None).await;
    page.next().await;
    let other = Plan { name: "another".into(), sources: 1, thresholds: vec![0.01], under_way: true, ..Plan::default() };
    crate::fixture::fill(&site.store, &other).await;
    let ours = told(&site, "ours").await;
    assert_eq!(page.news().await.id, Some(ours.0));
}

#[tokio::test]
async fn too_many_streams_are_refused_until_one_ends() {
    let site = under_way().await;
    let mut pages = Vec::new();
    for _ in 0..64 {
        pages.push(Page::open(&site, PATH, None).await);
    }
    site.get(PATH).await.says(503, &["64 pages follow running work already"]);
    pages.pop();
    Page::open(&site, PATH, None).await.next().await;
    pages[0].next().await; // the others go on
}

#[tokio::test]
async fn streams_of_nothing_are_refused() {
    let site = Site::small().await;
    site.get("/experiments/77/live").await.says(404, &["There is no experiment 77"]);
    site.get("/experiments/x/live").await.says(400, &["This address is not understood"]);
    site.get("/experiments/1/live?after=x").await.says(400, &["This address is not understood"]);
    let strange = site.ask(PATH, &[("last-event-id", "<b>")]).await;
    strange.says(400, &["Last-Event-ID is the number of an event", "&#60;b&#62;"]);
}

#[tokio::test]
async fn hostile_words_stay_words() {
    let site = under_way().await;
    let words = "</script><script>alert(1)</script>\r\nid: 9\n\ndata: {}\n\n";
    let mut page = Page::open(&site, PATH, None).await;
    page.next().await;
    tell(&site.store, site.filled.experiment, words, None, json!({ "variant": words, "error": words })).await;
    site.store.fail_training(*site.filled.runs.last().unwrap(), words).await.unwrap();
    let news = page.news().await;
    assert_eq!(news.data["text"].as_str().unwrap().matches(words).count(), 3, "{news:?}");
    let work = page.work_where(|work| work["failures"] != json!([])).await;
    assert_eq!(work["failures"][0]["why"], words);
    for path in ["/experiments/1", "/experiments/1/training"] {
        let page = well_formed(path, &site.get(path).await);
        let scripts: Vec<_> = page.select(&Selector::parse("script").unwrap()).map(|s| s.attr("src")).collect();
        assert_eq!(scripts, [Some("/assets/page.js"), Some("/assets/live.js")], "{path}");
        assert!(page.root_element().text().any(|text| text.contains("<script>alert(1)")), "{path}");
    }
}

#[tokio::test]
async fn without_a_script_the_page_says_the_same() {
    let site = under_way().await;
    let plan = Plan { name: "broken".into(), sources: 2, thresholds: vec![0.01], fails: true, ..Plan::default() };
    crate::fixture::fill(&site.store, &plan).await;
    let answer = site.get("/experiments/1").await;
    answer.says(200, &["200 of 800 steps", "about 1 min 09 s left", "2 of 4 samples", "Running since"]);
    let page = well_formed("under way", &answer);
    let select = |selector: &str| page.select(&Selector::parse(selector).unwrap()).collect::<Vec<_>>();
    for bar in select(".tasks progress") {
        assert!(bar.attr("aria-label").is_some() && bar.attr("max").is_some() && bar.attr("value").is_some());
    }
    assert_eq!((select(".tasks progress").len(), select(".failures[aria-live='polite']").len()), (2, 1));
    assert_eq!(select("[data-live]")[0].attr("data-after"), Some("2"), "the stream goes on where the page ends");
    let broken = site.get("/experiments/2").await;
    broken
        .says(200, &["evaluate fixed 25 %, fixed(0.25), τ = 0.01, seed 0", "the disk is full", "Nothing is running."]);
}
