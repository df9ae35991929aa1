//! What every answer carries, also the one to a stranger or after a mistake: a number, and orders for the browser.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use crate::error::{Language, Problem};

/// Names a request to a person and, on standard error, to whoever runs the server.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Run and load nothing but this server's own files, show this server nowhere else, tell no other where a link was.
/// (With the referrer policy `no-referrer` browsers would say `Origin: null` for the forms of the dashboard too.)
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Numbers the requests; the start time tells two runs of the server apart.
#[derive(Debug)]
pub struct RequestIds {
    started: u64,
    last: AtomicU64,
}

impl RequestIds {
    /// From now on.
    pub fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { started, last: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:x}-{}", self.started, self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Numbers the request, survives mistakes, and puts the headers on the answer.
pub async fn answer(State(ids): State<Arc<RequestIds>>, request: Request, next: Next) -> Response {
    let id = ids.next();
    let language = language(&request);
    let asked = format!("{} {}", request.method(), request.uri().path());
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            eprintln!("{}", mistake(&id, &asked, panic.as_ref()));
            Problem::mistake().into_response()
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.tell(language, &id);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, id.parse().expect("digits and a dash are a header's value"));
    // A page shows the store as it is: ask again.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Programs that ask for JSON are told problems in JSON.
fn language(request: &Request) -> Language {
    let accepts = |media_type: &str| {
        let accepted = request.headers().get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        accepted.flat_map(|accept| accept.split(',')).any(|accept| accept.trim().starts_with(media_type))
    };
    match request.uri().path().starts_with("/api/") || (accepts("application/json") && !accepts("text/html")) {
        true => Language::Json,
        false => Language::Html,
    }
}

/// One line for the terminal, whatever the address and the panic hold.
fn mistake(id: &str, asked: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("elastictok: request {id} ({asked:?}) ended in a panic: {:?}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn slip() -> &'static str {
        panic!("an index\nout of bounds")
    }

    async fn ask(router: &Router, path: &str, accept: &str) -> (u16, String, String) {
        let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, id, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_mistake_is_told_with_its_number_and_the_next_request_is_answered() {
        let router = Router::new()
            .route("/", get(|| async { "well" }))
            .route("/slip", get(slip))
            .route("/api/slip", get(slip))
            .layer(from_fn_with_state(Arc::new(RequestIds::new()), answer));
        let browser = "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8";
        let (status, id, page) = ask(&router, "/slip", browser).await;
        assert_eq!(status, 500);
        assert!(page.contains("<h1>The dashboard made a mistake</h1>") && page.contains(&id), "{page}");
        for (path, accept) in [("/slip", "application/json"), ("/api/slip", "*/*")] {
            let (status, id, json) = ask(&router, path, accept).await;
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!((status, json["request_id"].as_str()), (500, Some(id.as_str())));
            assert_eq!(json["error"], "The dashboard made a mistake");
        }
        let (status, other, text) = ask(&router, "/", browser).await;
        assert_eq!((status, text.as_str()), (200, "well"));
        assert_ne!(id, other);
    }

    #[test]
    fn the_terminal_gets_one_line() {
        let panic: Box<dyn Any + Send> = Box::new("an index\nout of bounds".to_owned());
        let line = mistake("67c2d3f0-1", "GET /\u{1b}[2J", panic.as_ref());
        let expected =
            r#"elastictok: request 67c2d3f0-1 ("GET /\u{1b}[2J") ended in a panic: "an index\nout of bounds""#;
        assert_eq!(line, expected);
    }
}
