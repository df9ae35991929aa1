//! `/artifacts/{hash}` and `/differences/{original}/{reconstruction}/{kind}`: stored pictures, and what parts two.
//!
//! A hash names its content for ever, so a browser never has to ask twice.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use evaluator::store::{ContentHash, MediaType, Reader};

use super::compute;
use crate::assets::{is_known, tagged};
use crate::difference::{self, Kind};
use crate::error::Problem;
use crate::extract::Path;

const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// A stored picture.
pub async fn artifact(
    State(reader): State<Reader>,
    Path(hash): Path<ContentHash>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let tag = hash.to_string();
    require_png(&reader, hash).await?;
    let bytes = match is_known(&request, &tag) {
        true => Vec::new(),
        false => reader.read_artifact(hash).await?.1,
    };
    Ok(tagged(&request, &tag, FOR_EVER, MediaType::Png.name(), bytes))
}

/// The difference of two stored pictures.
pub async fn difference(
    State(reader): State<Reader>,
    Path((original, reconstruction, kind)): Path<(ContentHash, ContentHash, Kind)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("{original}-{reconstruction}-{kind:?}");
    require_png(&reader, original).await?;
    require_png(&reader, reconstruction).await?;
    if is_known(&request, &tag) {
        return Ok(tagged(&request, &tag, FOR_EVER, MediaType::Png.name(), Vec::new()));
    }
    let (_, original) = reader.read_artifact(original).await?;
    let (_, reconstruction) = reader.read_artifact(reconstruction).await?;
    let map = compute(move || difference::draw(&original, &reconstruction, kind)).await.map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "These pictures cannot be compared", error.to_string())
    })?;
    Ok(tagged(&request, &tag, FOR_EVER, MediaType::Png.name(), map))
}

/// Weights and other files are kept as artifacts too; this server hands out pictures.
async fn require_png(reader: &Reader, hash: ContentHash) -> Result<(), Problem> {
    match reader.artifact(hash).await?.media_type {
        MediaType::Png => Ok(()),
        _ => Err(Problem::not_found(format_args!("picture {hash}"))),
    }
}
