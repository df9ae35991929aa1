//! `/experiments/{id}/tables/{file}` and `/experiments/{id}/figures/{file}`: the report as files.

use axum::extract::State;
use axum::response::Response;
use evaluator::report::{NamedFigure, Report};
use evaluator::store::{ExperimentId, Reader};
use serde::Deserialize;

use crate::error::Problem;
use crate::extract::Path;
use crate::saved::FigureFile;

/// A way to write the table. The names are those of the address.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum TableFile {
    #[serde(rename = "results.csv")]
    Csv,
    #[serde(rename = "results.md")]
    Markdown,
    #[serde(rename = "results.tex")]
    Latex,
}

/// Where a table's files are, without their endings.
pub fn table_address(experiment: ExperimentId, table: &str) -> String {
    format!("/experiments/{experiment}/tables/{table}")
}

/// Where a figure's files are, without their endings.
pub fn figure_address(experiment: ExperimentId, figure: &str) -> String {
    format!("/experiments/{experiment}/figures/{figure}")
}

/// The experiment's table.
pub async fn table(
    State(reader): State<Reader>,
    Path((experiment, file)): Path<(ExperimentId, TableFile)>,
) -> Result<Response, Problem> {
    let table = Report::load(&reader, experiment).await?.table();
    let (text, media_type, ending) = match file {
        TableFile::Csv => (table.to_csv(), "text/csv; charset=utf-8", "csv"),
        TableFile::Markdown => (table.to_markdown(), "text/markdown; charset=utf-8", "md"),
        TableFile::Latex => (table.to_latex(), "text/x-tex; charset=utf-8", "tex"),
    };
    Ok(super::file(false, &format!("experiment-{experiment}.{ending}"), media_type, text))
}

/// One of the experiment's figures, by its name.
pub async fn figure(
    State(reader): State<Reader>,
    Path((experiment, file)): Path<(ExperimentId, FigureFile)>,
) -> Result<Response, Problem> {
    let report = Report::load(&reader, experiment).await?;
    let chart = NamedFigure::find(&file.name)?.of(&report, &reader).await?;
    file.answer(&format!("experiment-{experiment}-{}", file.name), move || chart).await
}
