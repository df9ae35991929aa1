//! Who may ask, and what a browser may do with the answer.
//!
//! Any web page may send requests to `127.0.0.1`, or point its own name there (DNS rebinding) and then read the answers
//! as its own. So a request must name this server as its host, exactly, and must not come from another site.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Problem;

const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Answers strangers with an error, and puts the headers on every answer.
pub async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    let mut response = match admit(&request, port) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page shows the store as it is: ask again.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

fn admit(request: &Request, port: u16) -> Result<(), Problem> {
    let ours = |name: &str| {
        let names = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    };
    let headers = request.headers();
    // «GET http://elsewhere/ HTTP/1.1»: the name in the request line counts more than the header.
    let in_line = request.uri().authority().is_none_or(|authority| ours(authority.as_str()));
    if !in_line || !only(headers, &header::HOST).is_some_and(ours) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "This is not the host you asked for",
            format!("The dashboard answers to http://127.0.0.1:{port}/ and http://localhost:{port}/ only."),
        ));
    }
    let from_elsewhere = headers.contains_key(header::ORIGIN)
        && !only(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")).is_some_and(ours);
    if from_elsewhere || headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Another site sent you here",
            format!("Only the dashboard's own pages may open it: type http://localhost:{port}/ into the address bar."),
        ));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "The dashboard only shows",
            "It changes nothing in the store, so only GET and HEAD mean something here.".to_owned(),
        ));
    }
    Ok(())
}

/// The header's value, if it is there once and is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
