//! Runs the experiment of a baseline, always anew: what a store holds may be another program's.

use crate::cli::Cli;
use crate::console::Console;
use crate::run::{open, runtime, stop_on_ctrl_c, use_threads};
use anyhow::{Context as _, Result};
use engine::ring::Mesh;
use evaluator::EvaluatorError;
use evaluator::experiment::Experiment;
use evaluator::gate::{Baseline, Observed, Rule};
use evaluator::store::{Sources, Store, StoreError};
use evaluator::sweep::{self, DataSets, Options, Stop, Until};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An experiment that can be run again and again.
pub(crate) struct Evaluation<'a> {
    pub(crate) file: PathBuf,
    pub(crate) experiment: Experiment,
    pub(super) cli: &'a Cli,
    sets: DataSets,
    pub(super) stop: Stop,
    /// Metrics that are compared.
    gated: Vec<String>,
}

/// A run of minutes does not need to be gone on with.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);

impl<'a> Evaluation<'a> {
    /// Reads the experiment and its pictures. What a baseline gates is measured, and what it would gate if it were new.
    pub(crate) fn new(cli: &'a Cli, file: &Path, baseline: Option<&Baseline>) -> Result<Self> {
        use_threads(cli)?;
        let experiment = load(file, None)?;
        sweep::check_memory(&experiment)?;
        let sets = DataSets::load(&experiment, &Console::new(cli))?;
        let gated = baseline.into_iter().flat_map(|baseline| baseline.metrics.keys().cloned()).collect();
        Ok(Self { file: file.to_owned(), experiment, cli, sets, stop: stop_on_ctrl_c()?, gated })
    }

    /// Runs it with these seeds in a temporary store, and copies that into the one at `kept`, if there is to be one.
    pub(crate) fn run(&self, seeds: &[u64], kept: Option<&Path>) -> Result<Observed> {
        let folder = temporary()?;
        let own = folder.path().join("elastictok.sqlite");
        let experiment = load(&self.file, Some(seeds))?;
        runtime()?.block_on(async {
            // What cannot be opened is found before anything is run.
            let kept = match kept {
                Some(db) => Some(open(db).await?),
                None => None,
            };
            let store = open(&own).await?;
            let observed = self.observed(&experiment, &store).await;
            store.close().await;
            if let Some(kept) = kept {
                let copied = if observed.is_ok() { copy(&own, &kept).await } else { Ok(()) };
                kept.close().await;
                copied?;
            }
            observed
        })
    }

    async fn observed(&self, experiment: &Experiment, store: &Store) -> Result<Observed> {
        let options = Options {
            until: Until::Evaluated,
            checkpoint_every: CHECKPOINT_EVERY,
            stop: self.stop.clone(),
            mesh: Mesh::ONE,
            trace: false,
            ranks: None,
        };
        let trains = experiment.variants.iter().any(|variant| variant.given.is_none());
        let gates = |metric: &str| self.gated.iter().any(|gated| gated == metric) || Rule::is_usual(metric, trains);
        let (id, _) = sweep::run(experiment, &self.sets, store, &options, &Console::new(self.cli)).await?;
        Ok(Observed::read(store, id, gates).await?)
    }
}

/// Copies the store at `own` into another. Numbers that contradict those it holds stay out of it, but are compared.
async fn copy(own: &Path, kept: &Store) -> Result<()> {
    let sources = Sources::open(&[own.to_owned()]).await.map_err(EvaluatorError::from)?;
    match kept.merge(&sources).await {
        Err(StoreError::MergeConflict { what, ours, theirs, .. }) => {
            eprintln!("elastictok: not kept in {}: {what} is {theirs} now, but {ours} there", kept.path().display());
            Ok(())
        }
        merged => merged.map(drop).map_err(|error| EvaluatorError::from(error).into()),
    }
}

/// A folder that goes when it is dropped.
pub(super) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().context("making a temporary folder")
}

fn load(file: &Path, seeds: Option<&[u64]>) -> Result<Experiment> {
    let seeds: Vec<_> = seeds.iter().map(|seeds| ("seeds".to_owned(), format!("{seeds:?}"))).collect();
    Ok(Experiment::load(file, &seeds).map_err(EvaluatorError::from)?)
}
