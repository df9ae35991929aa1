//! `/experiments/{id}/predictors`: how well counts are predicted without asking the model.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::EvaluatorError;
use evaluator::report::{NamedFigure, NamedTable, Report};
use evaluator::store::{ExperimentId, ExperimentRow, Reader};

use super::{compute, downloads, render, tables};
use crate::charts::Figure;
use crate::error::Problem;
use crate::extract::Path;
use crate::listing::Listing;

/// What is drawn of them, by name.
const FIGURES: [&str; 3] = ["predictions", "violations", "margin"];
/// The table of them, by its name.
pub const TABLE: &str = "regressor";

#[derive(Template)]
#[template(path = "predictors.html")]
struct Page {
    experiment: ExperimentRow,
    figures: Vec<Figure>,
    table: Option<Listing>,
}

/// Figures and table of the predictors.
pub async fn page(State(reader): State<Reader>, Path(id): Path<ExperimentId>) -> Result<Html<String>, Problem> {
    let report = Report::load(&reader, id).await?.of_predictors();
    let mut charts = Vec::new();
    for name in FIGURES {
        if let Some(chart) = unless_empty(NamedFigure::find(name)?.of(&report, &reader).await)? {
            charts.push((name, chart));
        }
    }
    let table = match charts.is_empty() {
        true => None,
        false => unless_empty(NamedTable::find(TABLE)?.of(&report, &reader).await)?,
    };
    let draw = move || {
        let charts = charts.iter();
        charts.map(|(name, chart)| Figure::of(chart).with_files(&downloads::figure_address(id, name), "")).collect()
    };
    let page = Page {
        experiment: report.experiment,
        figures: compute(draw).await,
        table: table.map(|table| Listing::of(&table).with_files(&tables::of_experiment_at(id, TABLE))),
    };
    render(&page)
}

fn unless_empty<T>(made: Result<T, EvaluatorError>) -> Result<Option<T>, EvaluatorError> {
    match made {
        Err(EvaluatorError::NothingToShow { .. }) => Ok(None),
        made => made.map(Some),
    }
}
