//! What it costs to let a program run an experiment, in a process of its own.

use super::Unusable;
use super::evaluation::{Evaluation, temporary};
use crate::run::{open, runtime};
use anyhow::{Context as _, Result};
use evaluator::EvaluatorError;
use evaluator::gate::{self, Costs, PEAK_MEMORY, RUN_SECONDS};
use evaluator::metric::SEARCH_SECONDS;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The file of this program.
pub(crate) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program")
}

/// Lets an elastictok run the experiment with these seeds, in a store of its own.
pub(crate) fn costs(program: &Path, evaluation: &Evaluation<'_>, seeds: &[u64]) -> Result<Costs> {
    if evaluation.stop.is_asked() {
        return Err(EvaluatorError::Stopped.into());
    }
    let folder = temporary()?;
    let db = folder.path().join("elastictok.sqlite");
    let mut command = Command::new(program);
    command.arg("--quiet").arg("--db").arg(&db);
    command.args(evaluation.cli.threads.iter().flat_map(|threads| ["--threads".to_owned(), threads.to_string()]));
    command.arg("evaluate").arg(&evaluation.file).args(["--set", &format!("seeds={seeds:?}")]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let unusable =
        |error: &dyn Display| Unusable(format!("cannot run the experiment with {}: {error}", program.display()));
    let began = Instant::now();
    let used = command.spawn().and_then(wait4::Wait4::wait4).map_err(|error| unusable(&error))?;
    let seconds = began.elapsed().as_secs_f64();
    match used.status.code() {
        Some(0) => {}
        Some(130) => return Err(EvaluatorError::Stopped.into()),
        _ => return Err(unusable(&used.status).into()),
    }
    let search_seconds = runtime()?.block_on(async {
        let store = open(&db).await?;
        let seconds = async {
            let id = store.experiment_by_name(&evaluation.experiment.name).await?.id;
            gate::search_seconds(&store, id).await
        };
        let seconds = seconds.await;
        store.close().await;
        anyhow::Ok(seconds?)
    })?;
    let whole = [(RUN_SECONDS.name, seconds), (PEAK_MEMORY.name, used.rusage.maxrss as f64 / 1e6)];
    let all = whole.into_iter().chain(search_seconds.map(|seconds| (SEARCH_SECONDS.name, seconds)));
    Ok(all.map(|(cost, value)| (cost.to_owned(), value)).collect())
}
