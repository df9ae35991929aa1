//! `merge`: copies what other stores hold and this one lacks.

use crate::cli::{Cli, Merge};
use crate::console::{bytes, print};
use crate::run::{open, runtime};
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::store::Sources;

pub(crate) fn merge(cli: &Cli, command: &Merge) -> Result<()> {
    let merged = runtime()?.block_on(async {
        // Sources that cannot be read are found before a new store is made.
        let sources = Sources::open(&command.sources).await.map_err(EvaluatorError::from)?;
        let store = open(cli.db()).await?;
        let merged = store.merge(&sources).await;
        store.close().await;
        Ok::<_, anyhow::Error>(merged.map_err(EvaluatorError::from)?)
    })?;
    if merged.lost_files > 0 {
        eprintln!(
            "{} files are missing or damaged beside the sources: pictures will not show, and lost weights are trained \
             again when they are needed",
            merged.lost_files
        );
    }
    print(&format!(
        "{} experiments, {} training runs, {} trials, {} curves copied into {} ({} rows, {} files, {})\n",
        merged.experiments,
        merged.training_runs,
        merged.trials,
        merged.curves,
        cli.db().display(),
        merged.rows,
        merged.files,
        bytes(merged.bytes)
    ))
}
