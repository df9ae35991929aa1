//! `/`: all experiments, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::store::{ExperimentRow, Reader};
use serde::Deserialize;

use super::render;
use crate::error::Problem;
use crate::extract::Query;
use crate::format;
use crate::paging::Pager;

const PAGE_SIZE: usize = 25;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    page: usize,
}

#[derive(Template)]
#[template(path = "experiments.html")]
struct Page {
    experiments: Vec<Entry>,
    pager: Pager,
}

struct Entry {
    row: ExperimentRow,
    last_activity: String,
}

/// The list.
pub async fn page(State(reader): State<Reader>, Query(asked): Query<Asked>) -> Result<Html<String>, Problem> {
    let all = reader.experiments().await?;
    let pager = Pager::new("experiments", all.len(), PAGE_SIZE, asked.page);
    let mut experiments = Vec::new();
    for row in pager.slice(&all) {
        let last_activity = format::time(&reader.last_activity(row.id).await?);
        experiments.push(Entry { row: row.clone(), last_activity });
    }
    render(&Page { experiments, pager })
}
