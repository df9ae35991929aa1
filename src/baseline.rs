//! `baseline approve`: makes today's numbers those that `check` compares with.

use crate::check::{Evaluation, Unusable, costs, this_program};
use crate::cli::{Approve, Cli};
use crate::console::{print, write_file};
use anyhow::{Context as _, Result};
use evaluator::EvaluatorError;
use evaluator::gate::{self, Baseline, GateError, Report};
use evaluator::sweep::current_provenance;
use std::path::{Path, PathBuf};

pub(crate) fn approve(cli: &Cli, command: &Approve) -> Result<()> {
    let Approve { baseline: path, reason, experiment, costs: with_costs } = command;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Unusable("--reason: say why the numbers are right; a review will read it".to_owned()).into());
    }
    let before = match Baseline::read(path) {
        Err(GateError::Missing { .. }) => None,
        read => Some(read.map_err(EvaluatorError::from)?),
    };
    let experiment = match (experiment, &before) {
        (Some(file), _) => file.clone(),
        (None, Some(before)) => before.experiment_file(path),
        (None, None) => {
            let rule = "there is no such baseline: name the experiment of a new one with --experiment FILE.toml";
            return Err(Unusable(format!("{}: {rule}", path.display())).into());
        }
    };
    let relative = below(path, &experiment)?;
    let evaluation = Evaluation::new(cli, &experiment, before.as_ref())?;
    let seeds = &evaluation.experiment.seeds;
    let mut measured = evaluation.run(seeds, cli.asked_db.as_deref())?;
    if *with_costs {
        measured.costs = costs(&this_program()?, &evaluation, &seeds[..1])?;
    }
    let made_by = current_provenance();
    let mut told = String::new();
    if let Some(before) = &before {
        let (findings, notes) = gate::compare(before, &measured, None, &made_by, gate::today());
        told = gate::to_text(&Report::new(before, path, made_by.clone(), findings, notes, true));
    }
    let name = &evaluation.experiment.name;
    let approved = Baseline::approved(before, name, relative, measured, reason, made_by);
    let text = approved.to_json();
    // What a check would refuse, or could tell nothing by, is said now.
    Baseline::parse(&text, path).map_err(EvaluatorError::from)?;
    let (_, notes) = gate::compare(&approved, &approved.measured, None, &approved.approval().made_by, gate::today());
    write_file(path, text.as_bytes())?;
    told.extend(notes.iter().map(|note| format!("note: {note}\n")));
    let trials = approved.measured.trials.len();
    print(&format!("{told}approved {trials} trials of {name} as {}: review and commit it\n", path.display()))
}

/// The experiment's file relative to the baseline's folder, in or below which it must lie.
fn below(baseline: &Path, experiment: &Path) -> Result<PathBuf> {
    let folder = baseline.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = |path: &Path| path.canonicalize().with_context(|| format!("cannot find {}", path.display()));
    let (folder, file) = (real(folder)?, real(experiment)?);
    let relative = file.strip_prefix(&folder).map_err(|_| {
        let rule = "must lie in the baseline's folder or below it, so that one is found from the other";
        Unusable(format!("--experiment {}: {rule}", experiment.display()))
    });
    Ok(relative?.to_owned())
}
