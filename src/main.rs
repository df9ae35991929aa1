//! `elastictok`: train ElasticTok variants, sweep thresholds and searches over held-out pictures, see the trade-offs.

mod cli;
mod console;
mod figure;
mod plan;
mod run;
mod serve;
mod status;
mod table;

use clap::Parser as _;
use cli::{Cli, Command};
use engine::EngineError;
use evaluator::EvaluatorError;
use std::process::ExitCode;

/// Training frees and takes the same large buffers at every step; glibc gives them back to the system each time, and
/// the pages are cleared anew. Keeping them makes a training step of the quickstart about 1.5 times as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Run(command) => run::run(&cli, command),
        Command::Train(command) => run::train(&cli, command),
        Command::Evaluate(command) => run::evaluate(&cli, command),
        Command::Table(command) => table::table(&cli, command),
        Command::Figure(command) => figure::figure(&cli, command),
        Command::Status => status::status(&cli),
        Command::Serve(command) => serve::serve(&cli, command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("elastictok: {error:#}");
            exit_code(&error)
        }
    }
}

/// 2: something given to us cannot be used; 1: the work itself failed; 130: stopped by Ctrl-C.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<EvaluatorError>() {
        Some(EvaluatorError::Stopped) => ExitCode::from(130),
        Some(EvaluatorError::Engine(EngineError::NonFinite { .. } | EngineError::Tensor(_))) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}
