//! `/experiments`: all experiments or those with some tags, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::store::{ExperimentId, ExperimentRow, Reader};
use serde::Deserialize;

use super::render;
use crate::error::Problem;
use crate::extract::Query;
use crate::format;
use crate::paging::Pager;
use crate::tag_filter::TagFilter;

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
    filter: TagFilter,
    trade_offs: Option<String>,
}

struct Entry {
    row: ExperimentRow,
    tags: Vec<String>,
    last_activity: String,
}

/// The list.
pub async fn page(
    State(reader): State<Reader>,
    Query(asked): Query<Asked>,
    Query(filter): Query<TagFilter>,
) -> Result<Html<String>, Problem> {
    let all = reader.experiments_tagged(&filter.tags).await?;
    let pager = Pager::new("experiments", all.len(), PAGE_SIZE, asked.page).keeping(&filter.query(), "");
    let ids = |rows: &[ExperimentRow]| rows.iter().map(|row| row.id).collect::<Vec<ExperimentId>>();
    let mut tags = reader.tags_of(&ids(pager.slice(&all))).await?;
    let mut experiments = Vec::new();
    for row in pager.slice(&all) {
        let last_activity = format::time(&reader.last_activity(row.id).await?);
        experiments.push(Entry { row: row.clone(), tags: tags.remove(&row.id).unwrap_or_default(), last_activity });
    }
    render(&Page { experiments, pager, trade_offs: filter.trade_offs(&ids(&all)), filter })
}
