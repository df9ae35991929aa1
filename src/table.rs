//! `table`: an experiment's main table, printed or written.

use crate::cli::{Cli, Format, Table as Asked};
use crate::console::{print, write_file};
use crate::run::runtime;
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::report::{Report, Table};
use evaluator::store::{ExperimentId, Reader, Store};
use std::path::Path;

pub(crate) fn table(cli: &Cli, command: &Asked) -> Result<()> {
    let report = report(&cli.db, command.experiment.as_deref())?;
    let text = render(&report.table(), command.format);
    match &command.output {
        Some(file) => write_file(file, text.as_bytes()),
        None => print(&text),
    }
}

/// The report of the experiment with this name (the latest one) or number (`#3`), or of the latest of all.
pub(crate) fn report(db: &Path, name: Option<&str>) -> Result<Report> {
    let report = runtime()?.block_on(async {
        let reader = Store::open_existing_read_only(db).await?;
        let experiment = match name {
            Some(name) => find(&reader, name).await?,
            None => reader.experiments().await?.first().ok_or(EvaluatorError::NoExperiment)?.id,
        };
        Report::load(&reader, experiment).await
    })?;
    if report.unfinished > 0 {
        eprintln!("{} trials are not finished and left out", report.unfinished);
    }
    Ok(report)
}

/// The experiment with this name (the latest one) or number (`#3`).
pub(crate) async fn find(reader: &Reader, name: &str) -> evaluator::Result<ExperimentId> {
    Ok(match name.strip_prefix('#').and_then(|number| number.parse().ok()) {
        Some(id) => reader.experiment(id).await?.id,
        None => reader.experiment_by_name(name).await?.id,
    })
}

pub(crate) fn render(table: &Table, format: Format) -> String {
    match format {
        Format::Markdown => table.to_markdown(),
        Format::Latex => table.to_latex(),
        Format::Csv => table.to_csv(),
    }
}

pub(crate) fn extension(format: Format) -> &'static str {
    match format {
        Format::Markdown => "md",
        Format::Latex => "tex",
        Format::Csv => "csv",
    }
}
