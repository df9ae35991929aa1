//! The style sheet and the script, compiled into the program.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::Problem;
use crate::extract::Path;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// One asset, by its name in the program: no file is opened.
pub async fn asset(Path(name): Path<String>, request: HeaderMap) -> Result<Response, Problem> {
    let file = Assets::get(&name).ok_or_else(|| Problem::not_found("such asset"))?;
    let media_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let digest = file.metadata.sha256_hash();
    let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(tagged(&request, &tag, "no-cache", media_type, file.data.into_owned()))
}

/// An answer that need not be sent again while its tag stays the same.
pub fn tagged(
    request: &HeaderMap,
    tag: &str,
    caching: &'static str,
    media_type: &'static str,
    body: Vec<u8>,
) -> Response {
    let headers = [(header::ETAG, format!("\"{tag}\"")), (header::CACHE_CONTROL, caching.to_owned())];
    if is_known(request, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// Whether the browser has the content with this tag already.
pub fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|tags| tags.split(','))
        .map(|known| known.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|known| known == tag)
}
