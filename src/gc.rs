//! `gc`: removes what nothing refers to.

use crate::cli::{Cli, Gc};
use crate::console::{bytes, print};
use crate::run::runtime;
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::store::{Garbage, WasteKind, collect_garbage};
use std::fmt::Write as _;

pub(crate) fn gc(cli: &Cli, command: &Gc) -> Result<()> {
    let garbage = runtime()?.block_on(collect_garbage(cli.db(), command.dry_run)).map_err(EvaluatorError::from)?;
    if let Some(path) = &garbage.open_elsewhere {
        eprintln!(
            "another process has {} open: unreferenced pictures were left, the database was not compacted",
            path.display()
        );
    }
    print(&text(&garbage, command.dry_run, cli.verbose || command.dry_run))
}

fn text(garbage: &Garbage, dry_run: bool, paths: bool) -> String {
    let mut text = String::new();
    if paths {
        for waste in &garbage.waste {
            let _ = writeln!(text, "{:>9}  {}", bytes(waste.bytes), waste.path.display());
        }
    }
    for (kind, name) in [
        (WasteKind::Picture, "pictures that nothing refers to"),
        (WasteKind::Checkpoint, "checkpoints without a training run"),
        (WasteKind::TrainingState, "training states of finished runs"),
        (WasteKind::Temporary, "files of killed writers"),
    ] {
        let sizes: Vec<u64> =
            garbage.waste.iter().filter(|waste| waste.kind == kind).map(|waste| waste.bytes).collect();
        let _ = writeln!(text, "{:>6} {name:<36} {:>9}", sizes.len(), bytes(sizes.iter().sum()));
    }
    let _ = writeln!(text, "{:>6} {:<36} {:>9}", garbage.rows, "rows that nothing refers to", "");
    let compacted = match garbage.compacted_bytes {
        0 => String::new(),
        less => format!(", the database is {} smaller", bytes(less)),
    };
    let done = if dry_run { "would be removed" } else { "removed" };
    text + &format!("{} {done}{compacted}\n", bytes(garbage.bytes()))
}
