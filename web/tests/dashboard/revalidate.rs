//! What a browser has already is not sent again, and what has changed is.

use axum::body::Body;
use axum::http::Request;
use evaluator::store::NewExperiment;

use crate::fixture;
use crate::routes::routes;
use crate::site::{Answer, PORT, Site};

const SAID_WITH_304: [&str; 3] = ["etag", "cache-control", "vary"];

async fn head(site: &Site, path: &str) -> Answer {
    let request = Request::head(path).header("host", format!("127.0.0.1:{PORT}"));
    site.send(request.body(Body::empty()).unwrap()).await
}

/// The tag of an answer that has one.
async fn tag(site: &Site, path: &str) -> String {
    let tag = site.get(path).await.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") || tag.starts_with('"'), "{path}: {tag}");
    tag
}

#[tokio::test]
async fn every_answer_but_a_stream_is_sent_once() {
    let site = Site::small().await;
    for route in routes(&site.filled) {
        let path = &route.path;
        let first = site.get(path).await;
        if first.header("content-type") == "text/event-stream" {
            assert_eq!((first.header("etag"), first.header("content-encoding")), ("", ""), "{path}");
            continue;
        }
        let tag = tag(&site, path).await;
        assert_eq!(first.header("etag"), tag, "{path} changes by itself");
        let again = site.ask(path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        for name in SAID_WITH_304 {
            assert!(!first.header(name).is_empty(), "{name} of {path}");
            assert_eq!(again.header(name), first.header(name), "{name} of {path}");
        }
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy"] {
            assert_eq!(again.header(name), first.header(name), "{name} of {path}");
        }
        for of_the_body in ["content-length", "content-type", "content-disposition", "content-encoding"] {
            assert_eq!(again.header(of_the_body), "", "{of_the_body} of {path}");
        }
        assert!(!again.header("x-request-id").is_empty());
        let head = head(&site, path).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        for name in ["etag", "cache-control", "vary", "content-length", "content-type", "content-disposition"] {
            assert_eq!(head.header(name), first.header(name), "{name} of {path}");
        }
    }
}

#[tokio::test]
async fn a_changed_store_has_other_pages() {
    let site = Site::small().await;
    let old = tag(&site, "/experiments").await;
    let new = NewExperiment {
        key: fixture::key("newer"),
        name: "newer".into(),
        question: String::new(),
        source: String::new(),
        config: serde_json::json!({}),
    };
    site.store.put_experiment(&new).await.unwrap();
    let answer = site.ask("/experiments", &[("if-none-match", &old)]).await;
    answer.says(200, &["newer"]);
    assert_ne!(answer.header("etag"), old);
    assert_eq!(answer.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn tags_are_compared_as_the_protocol_says() {
    let site = Site::small().await;
    let own = tag(&site, "/experiments").await;
    let opaque = own.strip_prefix("W/").unwrap();
    for known in [opaque.to_owned(), "*".to_owned(), format!("\"a\", W/\"b\" ,{own}"), format!(" {own} , \"c\"")] {
        assert_eq!(site.ask("/experiments", &[("if-none-match", &known)]).await.status, 304, "{known}");
    }
    let two_lines = [("if-none-match", "\"a\""), ("if-none-match", own.as_str())];
    assert_eq!(site.ask("/experiments", &two_lines).await.status, 304);
    for other in ["\"a\"", "", "W/", opaque.trim_matches('"'), "\"*\"", &own[..own.len() - 2]] {
        assert_eq!(site.ask("/experiments", &[("if-none-match", other)]).await.status, 200, "{other}");
    }
}

#[tokio::test]
async fn compressed_or_not_it_is_the_same_page() {
    let site = Site::small().await;
    for path in ["/experiments", "/assets/style.css"] {
        let (plain, zipped) = (site.get(path).await, site.ask(path, &[("accept-encoding", "gzip")]).await);
        assert_eq!((plain.header("content-encoding"), zipped.header("content-encoding")), ("", "gzip"));
        assert_ne!(plain.body, zipped.body);
        assert!(plain.header("etag").starts_with("W/"), "a strong tag would be of one coding only");
        assert_eq!(plain.header("etag"), zipped.header("etag"));
        assert_eq!((plain.header("vary"), zipped.header("vary")), ("accept-encoding", "accept-encoding"));
        let known = [("accept-encoding", "gzip"), ("if-none-match", zipped.header("etag"))];
        let again = site.ask(path, &known).await;
        assert_eq!((again.status.as_u16(), again.body.len(), again.header("content-encoding")), (304, 0, ""));
        assert_eq!(again.header("vary"), "accept-encoding");
    }
}

#[tokio::test]
async fn problems_have_no_tag() {
    let site = Site::small().await;
    for path in ["/nowhere", "/experiments/77", "/experiments/x", "/api/nowhere"] {
        let answer = site.ask(path, &[("if-none-match", "*")]).await;
        assert!(answer.status.is_client_error() && !answer.body.is_empty(), "{path}");
        assert_eq!(answer.header("etag"), "");
    }
    let redirected = site.ask("/?x=kept_tokens", &[("if-none-match", "*")]).await;
    assert_eq!((redirected.status.as_u16(), redirected.header("etag")), (303, ""));
}
