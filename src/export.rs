//! `export`: rows for other programs.

use crate::cli::{Cli, DataFormat, Export as Asked, ExportRows};
use crate::export_tokens;
use crate::run::runtime;
use crate::table::find;
use anyhow::{Context as _, Result};
use engine::atomic_file::Temporary;
use evaluator::EvaluatorError;
use evaluator::store::{Export, ExportFormat, Reader, Store, StoreError};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write, stdout};

pub(crate) fn export(cli: &Cli, command: &Asked) -> Result<()> {
    match command {
        Asked::Measurements(rows) => export_rows(cli, Export::Measurements, rows),
        Asked::Curves(rows) => export_rows(cli, Export::Curves, rows),
        Asked::Trials(rows) => export_rows(cli, Export::Trials, rows),
        Asked::Tokens(tokens) => export_tokens::export(cli, tokens),
    }
}

fn export_rows(cli: &Cli, what: Export, command: &ExportRows) -> Result<()> {
    runtime()?.block_on(async {
        let reader = Store::open_existing_read_only(cli.db()).await.map_err(EvaluatorError::from)?;
        let rows = match &command.output {
            Some(path) => {
                let writing = || format!("cannot write {}", path.display());
                let file = Temporary::beside(path).with_context(writing)?;
                let mut out = BufWriter::new(File::create(file.path()).with_context(writing)?);
                let rows = write(&reader, what, command, &mut out).await?;
                file.keep().with_context(writing)?;
                rows
            }
            None => match write(&reader, what, command, &mut BufWriter::new(stdout())).await {
                // A reader that has seen enough.
                Err(EvaluatorError::Store(StoreError::File { source, .. }))
                    if source.kind() == ErrorKind::BrokenPipe =>
                {
                    return Ok(());
                }
                written => written?,
            },
        };
        reader.close().await;
        if !cli.quiet {
            eprintln!("{rows} rows");
        }
        Ok(())
    })
}

async fn write(
    reader: &Reader,
    what: Export,
    command: &ExportRows,
    out: &mut (dyn Write + Send),
) -> evaluator::Result<u64> {
    let experiment = match &command.experiment {
        Some(name) => Some(find(reader, name).await?),
        None => None,
    };
    let format = match command.format {
        DataFormat::Csv => ExportFormat::Csv,
        DataFormat::Json => ExportFormat::Json,
    };
    Ok(reader.export(what, experiment, format, out).await?)
}
