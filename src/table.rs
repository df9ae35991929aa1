//! `table`: an experiment's main table or one of the paper's, printed or written.

use crate::cli::{Cli, Format, Table as Asked};
use crate::console::{print, write_file};
use crate::run::runtime;
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::report::{NamedTable, Report, TABLES, Table};
use evaluator::store::{ExperimentId, Reader, Store};
use std::path::Path;

pub(crate) fn table(cli: &Cli, command: &Asked) -> Result<()> {
    let tables = TABLES.iter().map(|table| table.name);
    let named = Named::read(command.name.as_deref(), command.experiment.as_deref(), tables, TABLES[0].name);
    let table = NamedTable::find(named.what)?;
    let text = with_report(cli.db(), &named, async |report, reader| {
        let made = table.of(&report, &reader).await?;
        if !command.provenance {
            return Ok(render(&made, command.format));
        }
        let provenance = report.provenance(&reader, &made).await?;
        let table = render(&report.with_trials(made), command.format);
        Ok(match command.format {
            Format::Markdown => format!("{table}\n{provenance}"),
            Format::Latex => table + &commented("% ", &provenance),
            Format::Csv => table + &commented("# ", &provenance),
            // JSON has no comments; its rows name their trials, and `--format markdown` says what made these.
            Format::Json => table,
        })
    })?;
    match &command.output {
        Some(file) => write_file(file, text.as_bytes()),
        None => print(&text),
    }
}

fn commented(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

/// What is shown, of which experiment.
pub(crate) struct Named<'a> {
    pub(crate) what: &'a str,
    experiment: Choice<'a>,
}

enum Choice<'a> {
    /// By name, or by number as `#3`.
    Named(&'a str),
    /// The one called as what is shown, or the latest.
    Fitting(&'a str),
}

impl<'a> Named<'a> {
    /// `name` names something to show, or an experiment to show the `usual` of.
    pub(crate) fn read(
        name: Option<&'a str>,
        experiment: Option<&'a str>,
        mut known: impl Iterator<Item = &'a str>,
        usual: &'a str,
    ) -> Self {
        let is_known = name.is_some_and(|name| known.any(|known| known == name));
        match (name, experiment) {
            (Some(what), Some(experiment)) => Self { what, experiment: Choice::Named(experiment) },
            (Some(what), None) if is_known => Self { what, experiment: Choice::Fitting(what) },
            (Some(experiment), None) => Self { what: usual, experiment: Choice::Named(experiment) },
            (None, Some(experiment)) => Self { what: usual, experiment: Choice::Named(experiment) },
            (None, None) => Self { what: usual, experiment: Choice::Fitting(usual) },
        }
    }

    async fn find(&self, reader: &Reader) -> evaluator::Result<ExperimentId> {
        match self.experiment {
            Choice::Named(name) => find(reader, name).await,
            Choice::Fitting(name) => {
                let all = reader.experiments().await?;
                let fitting = all.iter().find(|experiment| experiment.name == name).or(all.first());
                Ok(fitting.ok_or(EvaluatorError::NoExperiment)?.id)
            }
        }
    }
}

/// The experiment with this name (the latest one) or number (`#3`).
pub(crate) async fn find(reader: &Reader, name: &str) -> evaluator::Result<ExperimentId> {
    match name.strip_prefix('#').and_then(|number| number.parse().ok()) {
        Some(id) => Ok(reader.experiment(id).await?.id),
        None => Ok(reader.experiment_by_name(name).await?.id),
    }
}

/// Opens the store to read, and makes something of the experiment's report.
pub(crate) fn with_report<T>(
    db: &Path,
    named: &Named<'_>,
    make: impl AsyncFnOnce(Report, Reader) -> evaluator::Result<T>,
) -> Result<T> {
    let made = runtime()?.block_on(async {
        let reader = Store::open_existing_read_only(db).await?;
        let report = Report::load(&reader, named.find(&reader).await?).await?;
        if report.unfinished > 0 {
            eprintln!("{} trials are not finished and left out", report.unfinished);
        }
        make(report, reader).await
    });
    Ok(made?)
}

pub(crate) fn render(table: &Table, format: Format) -> String {
    match format {
        Format::Markdown => table.to_markdown(),
        Format::Latex => table.to_latex(),
        Format::Csv => table.to_csv(),
        Format::Json => table.to_json(),
    }
}

pub(crate) fn extension(format: Format) -> &'static str {
    match format {
        Format::Markdown => "md",
        Format::Latex => "tex",
        Format::Csv => "csv",
        Format::Json => "json",
    }
}
