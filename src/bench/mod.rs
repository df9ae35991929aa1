//! `bench`: what this machine does, measured.

mod answers;
mod plan;
mod racer;
mod search;
mod steps;
mod tokens;
mod work;

pub(crate) use plan::plan;
pub(crate) use racer::racer;
pub(crate) use search::search;
pub(crate) use steps::steps;
pub(crate) use tokens::tokens;
pub(crate) use work::WorkName;

use crate::cli::Cli;
use anyhow::{Context as _, Result};

/// Threads to measure with.
fn cores(cli: &Cli) -> Result<usize> {
    match cli.threads {
        Some(threads) => Ok(threads.into()),
        None => Ok(std::thread::available_parallelism().context("counting the cores")?.get()),
    }
}
