//! The tags of an experiment: a part of its page, and the forms in it.

use askama::Template;
use axum::extract::State;
use axum::response::Redirect;
use evaluator::store::{ExperimentId, MOST_TAG_CHARACTERS, Reader, Result};
use serde::Deserialize;

use crate::database::Database;
use crate::error::Problem;
use crate::extract::{Form, Path};
use crate::tag_filter::TagFilter;

/// Tags of other experiments that are proposed: those used most.
const PROPOSALS: u32 = 100;

/// The tags, and the forms that change them.
#[derive(Debug, Template)]
#[template(path = "tags.html")]
pub struct Tags {
    experiment: ExperimentId,
    tags: Vec<String>,
    /// Those of other experiments.
    proposals: Vec<String>,
}

/// What both forms send.
#[derive(Debug, Deserialize)]
pub struct Named {
    name: String,
}

impl Tags {
    /// As the store has them now.
    pub async fn read(reader: &Reader, experiment: ExperimentId) -> Result<Self> {
        let tags = reader.tags(experiment).await?;
        let mut proposals = reader.tags_in_use(PROPOSALS).await?;
        proposals.retain(|tag| !tags.contains(tag));
        Ok(Self { experiment, tags, proposals })
    }
}

/// Adds a tag.
pub async fn add(
    State(database): State<Database>,
    Path(experiment): Path<ExperimentId>,
    Form(tag): Form<Named>,
) -> Result<Redirect, Problem> {
    database.write(async |store| store.add_tag(experiment, &tag.name).await).await?;
    Ok(back_to(experiment))
}

/// Removes a tag.
pub async fn remove(
    State(database): State<Database>,
    Path(experiment): Path<ExperimentId>,
    Form(tag): Form<Named>,
) -> Result<Redirect, Problem> {
    database.write(async |store| store.remove_tag(experiment, &tag.name).await).await?;
    Ok(back_to(experiment))
}

fn back_to(experiment: ExperimentId) -> Redirect {
    Redirect::to(&format!("/experiments/{experiment}#tags"))
}
