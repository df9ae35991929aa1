//! `check`: today's quality and cost against a baseline.

mod against;
mod evaluation;
mod process;
mod reports;

pub(crate) use evaluation::Evaluation;
pub(crate) use process::{costs, this_program};

use crate::cli::{Check, Cli};
use crate::console::{Console, print};
use crate::message;
use against::Against;
use anyhow::Result;
use engine::EngineError;
use evaluator::EvaluatorError;
use evaluator::gate::{self, Baseline, Finding, GateError, Kind, Observed, Report, Verdict};
use evaluator::search::SearchError;
use evaluator::store::StoreError;
use evaluator::sweep::{Progress as _, current_provenance};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

pub(crate) fn check(cli: &Cli, command: &Check) -> ExitCode {
    let code = match catch_unwind(AssertUnwindSafe(|| perform(cli, command))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("elastictok: {}", message(&error));
            exit_code(&error, cli)
        }
        Err(_) => FAULT, // the panic has said what it was
    };
    code.into()
}

/// A fault of this program or its machine.
const FAULT: u8 = 4;

/// Something given to us that cannot be used, and what to do.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// As `check --help` lists them.
fn exit_code(error: &anyhow::Error, cli: &Cli) -> u8 {
    if error.is::<Unusable>() {
        return 2;
    }
    match error.downcast_ref::<EvaluatorError>() {
        Some(EvaluatorError::Stopped) => 130,
        Some(EvaluatorError::Engine(EngineError::Tensor(_) | EngineError::Ring(_) | EngineError::Threads(_))) => FAULT,
        Some(EvaluatorError::Gate(_) | EvaluatorError::Experiment(_) | EvaluatorError::Engine(_)) => 2,
        Some(EvaluatorError::Store(_)) if cli.asked_db.is_some() => 2,
        Some(EvaluatorError::Memory { .. }) => 2,
        _ => FAULT,
    }
}

fn perform(cli: &Cli, command: &Check) -> Result<u8> {
    if let Some(folder) = &command.report {
        reports::make(folder)?;
    }
    let report = report(cli, command)?;
    if let Some(folder) = &command.report {
        reports::write(&report, folder)?;
    }
    print(&reports::rendered(&report, command.format))?;
    Ok(report.exit_code)
}

/// A CI shows what came of a check also where there is nothing to compare with, or no number to compare.
fn report(cli: &Cli, command: &Check) -> Result<Report> {
    let (path, allows) = (&command.baseline, command.allow_missing_baseline);
    let baseline = match Baseline::read(path) {
        Err(missing @ GateError::Missing { .. }) => {
            let let_pass = if allows { "nothing was compared: " } else { "" };
            eprintln!("elastictok: {let_pass}{missing}");
            return Ok(Report::without_baseline(path, current_provenance(), &missing, allows));
        }
        read => read.map_err(EvaluatorError::from)?,
    };
    let (findings, notes) = match compared(cli, command, &baseline) {
        Err(error) if is_not_finite(&error) => {
            let message = message(&error);
            eprintln!("elastictok: {message}");
            (vec![Finding::not_finite(&message)], Vec::new())
        }
        compared => compared?,
    };
    Ok(Report::new(&baseline, path, current_provenance(), findings, notes, allows))
}

/// Whether a run ended with what is no number.
fn is_not_finite(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<EvaluatorError>(),
        Some(
            EvaluatorError::Engine(EngineError::NonFinite { .. })
                | EvaluatorError::Search(SearchError::NotFinite { .. })
                | EvaluatorError::Store(StoreError::NotFinite { .. } | StoreError::MeasurementNotFinite { .. })
        )
    )
}

/// What a run gives beside the baseline, and if something got worse, whether another run shows it too.
fn compared(cli: &Cli, command: &Check, baseline: &Baseline) -> Result<(Vec<Finding>, Vec<String>)> {
    let [seeds, others] = baseline.seeds();
    let evaluation = Evaluation::new(cli, &baseline.experiment_file(&command.baseline), Some(baseline))?;
    let against = command.against.as_deref().map(|binary| Against::new(binary, &evaluation, command.pairs));
    let mut against = against.transpose()?;
    let here = current_provenance();
    let compare = |run: &Observed, seeds: &[u64], against: Option<&Against<'_>>| -> Result<_> {
        let pairs = against.map(|against| against.pairs(seeds)).transpose()?;
        Ok(gate::compare(baseline, run, pairs.as_deref(), &here, gate::today()))
    };

    let mut run = evaluation.run(&seeds, cli.asked_db.as_deref())?;
    if against.is_none() && !baseline.measured.costs.is_empty() && baseline.is_of_machine(&here) {
        run.costs = costs(&this_program()?, &evaluation, &seeds[..1])?;
    }
    if let Some(against) = &mut against {
        against.tell_from_chance(&compare(&run, &seeds, None)?.0);
    }
    let (mut findings, notes) = compare(&run, &seeds, against.as_ref())?;
    let regressed = |finding: &&Finding| finding.verdict == Verdict::Regression;
    if findings.iter().any(|finding| regressed(&finding)) {
        Console::new(cli).say("something got worse: running again to see whether it shows again");
        let costs_too = findings.iter().filter(regressed).any(|finding| finding.kind == Kind::Noisy);
        let (again, _) = compare(&evaluation.run(&others, None)?, &others, against.as_ref().filter(|_| costs_too))?;
        gate::confirm(&mut findings, &again);
    }
    Ok((findings, notes))
}
