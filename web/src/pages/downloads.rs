//! `/experiments/{id}/tables/{file}` and `/experiments/{id}/figures/{file}`: the report as files.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use evaluator::chart::{Theme, to_svg};
use evaluator::report::Report;
use evaluator::store::{ExperimentId, Reader};
use serde::Deserialize;

use super::compute;
use crate::charts::{WIDE, size};
use crate::error::Problem;
use crate::extract::{Path, Query};

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

/// A figure. The names are those of the address.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum FigureFile {
    #[serde(rename = "satisfaction.svg")]
    Satisfaction,
    #[serde(rename = "quality.svg")]
    Quality,
}

/// How a figure is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Look {
    theme: ThemeName,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThemeName {
    #[default]
    Light,
    Dark,
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

/// One of the experiment's figures.
pub async fn figure(
    State(reader): State<Reader>,
    Path((experiment, file)): Path<(ExperimentId, FigureFile)>,
    Query(look): Query<Look>,
) -> Result<Response, Problem> {
    let report = Report::load(&reader, experiment).await?;
    let theme = match look.theme {
        ThemeName::Light => Theme::Light,
        ThemeName::Dark => Theme::Dark,
    };
    let svg = compute(move || {
        let chart = match file {
            FigureFile::Satisfaction => Report::satisfaction_figure(&report),
            FigureFile::Quality => Report::quality_figure(&report),
        };
        to_svg(&chart, theme, size(&chart, WIDE))
    });
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg.await).into_response())
}
