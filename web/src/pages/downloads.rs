//! `/experiments/{id}/figures/{file}`: the figures of the report as files.

use axum::extract::State;
use axum::response::Response;
use evaluator::report::{NamedFigure, Report};
use evaluator::store::{ExperimentId, Reader};

use crate::error::Problem;
use crate::extract::Path;
use crate::saved::FigureFile;

/// Where a figure's files are, without their endings.
pub fn figure_address(experiment: ExperimentId, figure: &str) -> String {
    format!("/experiments/{experiment}/figures/{figure}")
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
