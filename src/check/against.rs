//! Two programs run the same experiment in turn, so that whatever else the machine does falls on both.

use super::Unusable;
use super::evaluation::{Evaluation, temporary};
use crate::cli::Cli;
use crate::console::Console;
use crate::run::{open, runtime};
use anyhow::{Context as _, Result};
use evaluator::EvaluatorError;
use evaluator::gate::{Costs, Observed, PEAK_MEMORY, Pair, RUN_SECONDS};
use evaluator::sweep::Progress as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Another program to compare costs with.
pub(super) struct Against<'a> {
    cli: &'a Cli,
    other: PathBuf,
    this: PathBuf,
    evaluation: &'a Evaluation<'a>,
    pairs: u16,
}

impl<'a> Against<'a> {
    pub(super) fn new(cli: &'a Cli, binary: &Path, evaluation: &'a Evaluation<'a>, pairs: u16) -> Result<Self> {
        let other =
            binary.canonicalize().map_err(|error| Unusable(format!("--against {}: {error}", binary.display())))?;
        let this = std::env::current_exe().context("finding this program")?;
        Ok(Self { cli, other, this, evaluation, pairs })
    }

    /// Runs both programs with these seeds. Which of a pair is the first alternates, so that one that leaves the machine
    /// warmer has no advantage from it.
    pub(super) fn pairs(&self, seeds: &[u64]) -> Result<Vec<Pair>> {
        let console = Console::new(self.cli);
        console.begin("both programs in turn", 0, self.pairs.into());
        let pairs = (0..self.pairs).map(|number| {
            let pair = if number % 2 == 0 {
                let before = self.cost(&self.other, seeds)?;
                Pair { before, after: self.cost(&self.this, seeds)? }
            } else {
                let after = self.cost(&self.this, seeds)?;
                Pair { before: self.cost(&self.other, seeds)?, after }
            };
            console.advance(u64::from(number) + 1, "");
            Ok(pair)
        });
        let pairs = pairs.collect();
        console.end();
        pairs
    }

    /// Lets a program evaluate the experiment in a store of its own.
    fn cost(&self, program: &Path, seeds: &[u64]) -> Result<Costs> {
        let folder = temporary()?;
        let db = folder.path().join("elastictok.sqlite");
        let mut command = Command::new(program);
        command.arg("--quiet").arg("--db").arg(&db);
        command.args(self.cli.threads.iter().flat_map(|threads| ["--threads".to_owned(), threads.to_string()]));
        command.arg("evaluate").arg(&self.evaluation.file).args(["--set", &format!("seeds={seeds:?}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let unusable = |error: &dyn std::fmt::Display| Unusable(format!("--against: {}: {error}", program.display()));
        let used = command.spawn().and_then(wait4::Wait4::wait4).map_err(|error| unusable(&error))?;
        let seconds = began.elapsed().as_secs_f64();
        match used.status.code() {
            Some(0) => {}
            Some(130) => return Err(EvaluatorError::Stopped.into()),
            _ => return Err(unusable(&format!("cannot run the experiment: {}", used.status)).into()),
        }
        let mut costs = runtime()?.block_on(async {
            let store = open(&db).await?;
            let observed = async {
                let id = store.experiment_by_name(&self.evaluation.experiment.name).await?.id;
                Observed::read(&store, id, |_| false).await
            };
            let observed = observed.await;
            store.close().await;
            anyhow::Ok(observed?.costs)
        })?;
        costs.insert(RUN_SECONDS.name.to_owned(), seconds);
        costs.insert(PEAK_MEMORY.name.to_owned(), used.rusage.maxrss as f64 / 1e6);
        Ok(costs)
    }
}
