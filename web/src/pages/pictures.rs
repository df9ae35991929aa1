//! `/artifacts/{hash}` and `/differences/{original}/{reconstruction}/{kind}`: stored pictures, and what parts two.
//!
//! A hash names its content for ever, so a browser never has to ask twice.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use evaluator::store::{ContentHash, MediaType, Reader};

use super::compute;
use crate::difference::{self, Kind};
use crate::error::Problem;
use crate::extract::Path;
use crate::revalidate::is_known;

const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// A stored picture.
pub async fn artifact(
    State(reader): State<Reader>,
    Path(hash): Path<ContentHash>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("\"{hash}\"");
    require_png(&reader, hash).await?;
    match is_known(&request, &tag) {
        true => Ok(unchanged(tag)),
        false => Ok(picture(tag, reader.read_artifact(hash).await?.1)),
    }
}

/// The difference of two stored pictures.
pub async fn difference(
    State(reader): State<Reader>,
    Path((original, reconstruction, kind)): Path<(ContentHash, ContentHash, Kind)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("\"{original}-{reconstruction}-{kind:?}\"");
    require_png(&reader, original).await?;
    require_png(&reader, reconstruction).await?;
    if is_known(&request, &tag) {
        return Ok(unchanged(tag));
    }
    let (_, original) = reader.read_artifact(original).await?;
    let (_, reconstruction) = reader.read_artifact(reconstruction).await?;
    let map = compute(move || difference::draw(&original, &reconstruction, kind)).await.map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "These pictures cannot be compared", error.to_string())
    })?;
    Ok(picture(tag, map))
}

fn picture(tag: String, bytes: Vec<u8>) -> Response {
    let headers = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, FOR_EVER)];
    (headers, [(header::CONTENT_TYPE, MediaType::Png.name())], bytes).into_response()
}

/// Told before the picture is read or drawn.
fn unchanged(tag: String) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, FOR_EVER)]).into_response()
}

/// Weights and other files are kept as artifacts too; this server hands out pictures.
async fn require_png(reader: &Reader, hash: ContentHash) -> Result<(), Problem> {
    match reader.artifact(hash).await?.media_type {
        MediaType::Png => Ok(()),
        _ => Err(Problem::not_found(format_args!("picture {hash}"))),
    }
}
