//! `backup`: the database in one file.

use crate::cli::{Backup, Cli};
use crate::console::{bytes, print};
use crate::run::runtime;
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::store::Store;

pub(crate) fn backup(cli: &Cli, command: &Backup) -> Result<()> {
    let length = runtime()?.block_on(async {
        let reader = Store::open_existing_read_only(cli.db()).await?;
        let length = reader.backup(&command.file, command.force).await;
        reader.close().await;
        Ok::<_, EvaluatorError>(length?)
    })?;
    if !cli.quiet {
        eprintln!("pictures and checkpoints are not in it: `elastictok backup --help` says how to copy them too");
    }
    print(&format!("{} ({}), checked\n", command.file.display(), bytes(length)))
}
