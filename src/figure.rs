//! `figure`: an experiment's figures as SVG or PNG.

use crate::cli::{Cli, Figure};
use crate::console::write_file;
use crate::table::{Named, with_report};
use anyhow::{Result, bail};
use evaluator::EvaluatorError;
use evaluator::chart::{Chart, Size, Theme, to_png, to_svg};
use evaluator::report::{FIGURES, NamedFigure};
use std::path::Path;

/// Pixels of a PNG for each pixel of the SVG: sharp in print at column width.
const PNG_SCALE: f32 = 2.0;

pub(crate) fn figure(cli: &Cli, command: &Figure) -> Result<()> {
    if !matches!(extension(&command.output), Some("svg" | "png")) {
        bail!("{}: a figure is written as .svg or .png", command.output.display());
    }
    let figures = FIGURES.iter().map(|figure| figure.name);
    let named = Named::read(command.name.as_deref(), command.experiment.as_deref(), figures, FIGURES[0].name);
    let figure = NamedFigure::find(named.what)?;
    let chart = with_report(cli.db(), &named, async |report, reader| figure.of(&report, &reader).await)?;
    write(&chart, &command.output)
}

/// Writes one figure; the file's extension says how.
pub(crate) fn write(chart: &Chart, file: &Path) -> Result<()> {
    let size = if chart.panels.len() == 1 { Size { width: 640, ..Size::default() } } else { Size::default() };
    let svg = to_svg(chart, Theme::Light, size);
    let bytes = match extension(file) {
        Some("png") => to_png(&svg, PNG_SCALE).map_err(EvaluatorError::from)?,
        _ => svg.into_bytes(),
    };
    write_file(file, &bytes)
}

fn extension(file: &Path) -> Option<&str> {
    file.extension().and_then(|extension| extension.to_str())
}
