//! `figure`: an experiment's figures as SVG or PNG.

use crate::cli::{Cli, Figure, Kind};
use crate::console::write_file;
use crate::table::report;
use anyhow::{Result, bail};
use evaluator::EvaluatorError;
use evaluator::chart::{Size, Theme, to_png, to_svg};
use evaluator::report::Report;
use std::path::Path;

/// Pixels of a PNG for each pixel of the SVG: sharp in print at column width.
const PNG_SCALE: f32 = 2.0;

pub(crate) fn figure(cli: &Cli, command: &Figure) -> Result<()> {
    if !matches!(extension(&command.output), Some("svg" | "png")) {
        bail!("{}: a figure is written as .svg or .png", command.output.display());
    }
    write(&report(&cli.db, command.experiment.as_deref())?, command.kind, &command.output)
}

/// Writes one figure; the file's extension says how.
pub(crate) fn write(report: &Report, kind: Kind, file: &Path) -> Result<()> {
    let (chart, size) = match kind {
        Kind::Satisfaction => (report.satisfaction_figure(), Size::default()),
        Kind::Quality => (report.quality_figure(), Size { width: 640, ..Size::default() }),
    };
    let svg = to_svg(&chart, Theme::Light, size);
    let bytes = match extension(file) {
        Some("png") => to_png(&svg, PNG_SCALE).map_err(EvaluatorError::from)?,
        _ => svg.into_bytes(),
    };
    write_file(file, &bytes)
}

fn extension(file: &Path) -> Option<&str> {
    file.extension().and_then(|extension| extension.to_str())
}
