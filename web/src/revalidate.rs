//! What a browser has already is not sent again: every answer in memory is named by the hash of its body, and a request
//! that brings the name gets 304 and no body.
//!
//! The names are weak (`W/`): `CompressionLayer` stands outside and sends the same content in several codings, which a
//! strong name would have to tell apart. So nothing is compressed only to find that it is known. A page is made before
//! it is named; what is saved is its way to the browser.

use std::convert::Infallible;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http_body_util::BodyExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};

use crate::error::Problem;

/// Names the answer, and takes its body away where the request knows it. What already has a name keeps it; streams,
/// problems and answers to other methods pass.
pub async fn revalidate(request: Request, next: Next) -> Response {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().clone();
    let response = next.run(request).await;
    if !only_reads || !matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED) {
        return response;
    }
    let (mut parts, mut body) = response.into_parts();
    // A stream does not know its length.
    if parts.status == StatusCode::OK && body.size_hint().exact().is_some() && !parts.headers.contains_key(header::ETAG)
    {
        let Ok(read) = body.collect().await else { return Problem::mistake().into_response() };
        let bytes = read.to_bytes();
        let tag = format!("W/\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
        if is_known(&known, &tag) {
            parts.status = StatusCode::NOT_MODIFIED;
        }
        parts.headers.insert(header::ETAG, tag.parse().expect("digits are a header's value"));
        body = bytes.into();
    }
    if parts.headers.contains_key(header::ETAG) {
        // Said with 304 too, where the layer outside has no body to say it of.
        parts.headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
    }
    if parts.status == StatusCode::NOT_MODIFIED {
        for of_the_body in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::CONTENT_LENGTH] {
            parts.headers.remove(of_the_body);
        }
        body = no_body();
    }
    Response::from_parts(parts, body)
}

/// Compresses what there is; without a body there is nothing.
pub fn compression() -> CompressionLayer<impl Predicate> {
    let has_body = |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| status != StatusCode::NOT_MODIFIED;
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(has_body))
}

/// Nothing, without saying that it is nothing: axum would send `Content-Length: 0`, which with 304 means the length that
/// the body would have had (RFC 9110, 8.6).
fn no_body() -> Body {
    Body::from_stream(stream::empty::<Result<Bytes, Infallible>>())
}

/// Whether the browser has the content with this entity tag already. Weak and strong tags are compared without the
/// difference, as RFC 9110, 13.1.2 wants it.
pub fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|tags| tags.split(',')).any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}
