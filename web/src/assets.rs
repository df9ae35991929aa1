//! The style sheet and the script, compiled into the program.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::Problem;
use crate::extract::Path;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// One asset, by its name in the program: no file is opened.
pub async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let file = Assets::get(&name).ok_or_else(|| Problem::not_found("such asset"))?;
    let media_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    Ok(([(header::CONTENT_TYPE, media_type)], file.data.into_owned()).into_response())
}
