//! `/experiments/{id}/trials/{trial}`: one variant × strategy × threshold, its numbers, and its samples, worst first.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::store::{DatasetRow, ExperimentId, ExperimentRow, ProtocolRow, Reader, TrialId, TrialReport};

use super::notes::Notes;
use super::{render, trial_of, trial_title};
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::format;
use crate::paging::Pager;
use crate::samples::{self, Arrangement, Measured, Order, Sort};

const SAMPLES_ON_A_PAGE: usize = 48;

#[derive(Template)]
#[template(path = "trial.html")]
struct Page {
    experiment: ExperimentRow,
    trial: TrialReport,
    title: String,
    dataset: DatasetRow,
    protocol: ProtocolRow,
    notes: Notes,
    samples: Vec<Measured>,
    pager: Pager,
    /// What they can be sorted by.
    sorts: Vec<Sort>,
    arrangement: Arrangement,
    /// What links to a sample carry on, with its question mark.
    query: String,
}

/// The trial.
pub async fn page(
    State(reader): State<Reader>,
    Path((experiment, trial)): Path<(ExperimentId, TrialId)>,
    Query(arrangement): Query<Arrangement>,
) -> Result<Html<String>, Problem> {
    let (experiment, mut trial) = trial_of(&reader, experiment, trial).await?;
    let metrics = samples::metrics(&reader).await?;
    let samples = samples::load(&reader, trial.id, &arrangement, &metrics).await?;
    trial.summaries.sort_by_key(|summary| format::metric_order(&summary.metric));
    let query = arrangement.query();
    let pager = Pager::new("samples", samples.len(), SAMPLES_ON_A_PAGE, arrangement.page).keeping(&query, "#samples");
    let page = Page {
        title: trial_title(&trial),
        dataset: reader.dataset(trial.dataset_id).await?,
        protocol: reader.protocol(trial.protocol_id).await?,
        notes: Notes::of_trial(&reader, experiment.id, trial.id).await?,
        sorts: Sort::all(&samples),
        samples: pager.slice(&samples).to_vec(),
        experiment,
        trial,
        pager,
        arrangement,
        query: if query.is_empty() { query } else { format!("?{query}") },
    };
    render(&page)
}
