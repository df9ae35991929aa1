//! `elastictok`: train ElasticTok variants, sweep thresholds and searches over held-out pictures, see the trade-offs.

#![deny(unsafe_code)]

mod allocator;
mod backup;
mod baseline;
mod bench;
mod check;
mod cli;
mod console;
mod decode;
mod dry_run;
mod encode;
mod export;
mod export_tokens;
mod figure;
mod frames;
mod gc;
mod import;
mod inspect;
mod machines;
mod merge;
mod plan;
mod ranks;
mod reconstruct;
mod run;
mod serve;
mod shape;
mod status;
mod table;

use clap::Parser as _;
use cli::{Baseline, Bench, BenchCommand, Cli, Command};
use engine::EngineError;
use evaluator::EvaluatorError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Run(command) => ranks::on_all(|ranks| run::run(&cli, command, ranks)),
        Command::Train(command) => ranks::on_all(|ranks| run::train(&cli, command, ranks)),
        Command::Evaluate(command) => ranks::on_all(|ranks| run::evaluate(&cli, command, ranks)),
        Command::Bench(Bench { command: Some(command), .. }) => match command {
            BenchCommand::Search(command) => bench::search(&cli, command),
            BenchCommand::Plan(command) => bench::plan(&cli, command),
            BenchCommand::Tokens(command) => bench::tokens(&cli, command),
            BenchCommand::Racer(command) => bench::racer(&cli, command),
        },
        Command::Bench(Bench { command: None, steps }) => bench::steps(&cli, steps),
        Command::Plan(command) => plan::plan(&cli, command),
        Command::Check(command) => return check::check(&cli, command),
        Command::Baseline(Baseline::Approve(command)) => baseline::approve(&cli, command),
        Command::Table(command) => table::table(&cli, command),
        Command::Figure(command) => figure::figure(&cli, command),
        Command::Status => status::status(&cli),
        Command::Serve(command) => serve::serve(&cli, command),
        Command::Merge(command) => merge::merge(&cli, command),
        Command::Gc(command) => gc::gc(&cli, command),
        Command::Backup(command) => backup::backup(&cli, command),
        Command::Export(command) => export::export(&cli, command),
        Command::Import(command) => import::import(&cli, command),
        Command::Encode(command) => encode::encode(&cli, command),
        Command::Decode(command) => decode::decode(&cli, command),
        Command::Reconstruct(command) => reconstruct::reconstruct(&cli, command),
        Command::Inspect(command) => inspect::inspect(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("elastictok: {}", message(&error));
            exit_code(&error).into()
        }
    }
}

/// The error and its causes, leaving out those that the message before already tells.
fn message(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

/// 2: something given to us, on whichever rank (a file, a folder, a key, a store, a disk), cannot be used; 1: training
/// failed; 130: stopped by Ctrl-C.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<EvaluatorError>() {
        Some(EvaluatorError::Stopped) => 130,
        Some(EvaluatorError::Engine(EngineError::Ring(lost))) if lost.is_refusal => 2,
        Some(EvaluatorError::Engine(
            EngineError::NonFinite { .. } | EngineError::Tensor(_) | EngineError::Ring(_) | EngineError::Threads(_),
        )) => 1,
        Some(EvaluatorError::RanksDrifted { .. }) => 1,
        _ => 2,
    }
}
