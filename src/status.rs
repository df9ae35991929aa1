//! `status`: every experiment and how far it is.

use crate::cli::Cli;
use crate::console::print;
use crate::run::runtime;
use anyhow::Result;
use evaluator::EvaluatorError;
use evaluator::store::{Store, TrainingStatus};
use std::fmt::Write as _;

pub(crate) fn status(cli: &Cli) -> Result<()> {
    let mut text = String::new();
    runtime()?.block_on(async {
        let reader = Store::open_existing_read_only(cli.db()).await?;
        for experiment in reader.experiments().await? {
            let runs = reader.training_runs(experiment.id).await?;
            let trained = runs.iter().filter(|run| run.run.status == TrainingStatus::Done).count();
            let _ = writeln!(
                text,
                "{}  #{}  {}  trained {trained}/{}  trials {}/{}",
                experiment.name,
                experiment.id,
                experiment.created_at,
                runs.len(),
                experiment.trials_done,
                experiment.trials
            );
            for run in runs.iter().filter(|run| run.run.status != TrainingStatus::Done) {
                let error = run.run.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "  {}: step {}/{}, {:?}{error}",
                    run.variant, run.run.step, run.run.steps, run.run.status
                );
            }
            for trial in reader.trials(experiment.id).await? {
                if let Some(error) = &trial.error {
                    let _ = writeln!(text, "  {} {}: {error}", trial.variant, trial.strategy);
                }
            }
        }
        for lease in reader.leases().await? {
            let alive = if lease.is_alive().unwrap_or(true) { "working" } else { "dead, its work is free" };
            let _ = writeln!(text, "process {} on {}: {} ({alive})", lease.pid, lease.host, lease.subject);
        }
        Ok::<(), EvaluatorError>(())
    })?;
    print(&text)
}
