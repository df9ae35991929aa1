//! Who gets an answer, and with which headers.

use crate::site::{Answer, PORT, Site};
use axum::body::Body;
use axum::http::Request;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn guarded(path: &str, answer: &Answer) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of {path}");
    }
    assert!(!answer.header("cache-control").is_empty(), "{path}");
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let site = Site::small().await;
    let sample = format!("{}/samples/{}", site.trial(0), site.filled.samples[0]);
    let (original, reconstruction) = (site.filled.originals[0], site.filled.reconstructions[0]);
    let pages = [
        "/".to_owned(),
        "/healthz".to_owned(),
        "/experiments/1".to_owned(),
        "/experiments/1/tables/results.csv".to_owned(),
        "/experiments/1/figures/quality.svg".to_owned(),
        site.trial(0),
        sample,
        format!("/artifacts/{original}"),
        format!("/differences/{original}/{reconstruction}/absolute.png"),
        "/assets/style.css".to_owned(),
        "/assets/page.js".to_owned(),
        "/assets/sample.js".to_owned(),
    ];
    for path in &pages {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        guarded(path, &answer);
    }
    for path in ["/nowhere", "/experiments/77", "/experiments/x", "/assets/nothing"] {
        let answer = site.get(path).await;
        assert!(answer.status.is_client_error(), "{path}");
        guarded(path, &answer);
    }
    // A database that vanishes while it is served.
    site.store.close().await;
    let answer = site.get("/experiments/1").await;
    answer.says(500, &["The results store cannot be read"]);
    guarded("a closed store", &answer);
}

#[tokio::test]
async fn only_the_exact_host_is_answered() {
    let site = Site::small().await;
    let ask = async |hosts: &[&str], path: &str| {
        let request = hosts.iter().fold(Request::get(path), |request, host| request.header("host", *host));
        site.send(request.body(Body::empty()).unwrap()).await
    };
    for host in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        assert_eq!(ask(&[&format!("{host}:{PORT}")], "/").await.status, 200, "{host}");
    }
    let (good, other_port) = (format!("localhost:{PORT}"), format!("localhost:{}", PORT + 1));
    let rebound = format!("evil.example:{PORT}");
    let disguised = format!("localhost:{PORT}.evil.example");
    let strangers: [&[&str]; 8] =
        [&[], &["localhost"], &[&other_port], &[&rebound], &[&disguised], &[""], &[&good, &rebound], &[&good, &good]];
    for hosts in strangers {
        let answer = ask(hosts, "/").await;
        answer.says(421, &["http://localhost:4321/"]);
        assert!(!answer.text().contains("quickstart"));
        guarded("a stranger", &answer);
    }
    assert_eq!(ask(&[&good], &format!("http://{rebound}/")).await.status, 421, "the request line counts too");
}

#[tokio::test]
async fn other_sites_are_refused() {
    let site = Site::small().await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "https://localhost:4321"),
        ("origin", "http://localhost:4322"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = site.ask("/", &[(name, value)]).await;
        answer.says(403, &["Another site sent you here"]);
        guarded(value, &answer);
    }
    for (name, value) in
        [("origin", "http://localhost:4321"), ("sec-fetch-site", "none"), ("sec-fetch-site", "same-origin")]
    {
        assert_eq!(site.ask("/", &[(name, value)]).await.status, 200, "{value}");
    }
}

#[tokio::test]
async fn only_get_and_head_exist() {
    let site = Site::small().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let request =
            Request::builder().method(method).uri("/experiments/1").header("host", format!("localhost:{PORT}"));
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        answer.says(405, &["only GET and HEAD"]);
        assert_eq!(answer.header("allow"), "GET, HEAD");
        guarded(method, &answer);
    }
    let head = Request::head("/experiments/1").header("host", format!("localhost:{PORT}"));
    let answer = site.send(head.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    guarded("HEAD", &answer);
}
