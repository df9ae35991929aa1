//! What can be typed of `bench`.

use super::precisions;
use crate::bench::WorkName;
use clap::{Args, Subcommand};
use engine::Precision;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    #[command(flatten)]
    pub(crate) steps: BenchSteps,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Evaluations a second of a search, and seconds an answer takes, on one thread and on all.
    #[command(after_help = "Examples:
  elastictok bench search
  elastictok bench search --checkpoints results/checkpoints/*/weights.safetensors --pictures photos/*.jpg")]
    Search(BenchSearch),
    /// Seconds of training steps on long sequences, beside what `plan` foretells.
    Plan(BenchPlan),
    /// Memory and time of a training step as its sequence grows.
    Tokens(BenchTokens),
    /// Make a step for each line that says so.
    #[command(hide = true)]
    Racer(BenchRacer),
}

#[derive(Debug, Args)]
pub(crate) struct BenchSteps {
    /// Which steps [default: all].
    #[arg(long, value_name = "WORK,…", value_delimiter = ',', ignore_case = true)]
    pub(crate) works: Vec<WorkName>,
    /// Arithmetic of the layers.
    #[arg(long, value_name = "P,…", value_delimiter = ',', default_value = "f32,bf16", value_parser = precisions())]
    pub(crate) precision: Vec<Precision>,
    /// Steps of each, in turn with the peer's.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
    /// A Python that has PyTorch: the same model is run by it, step by step in turn with ours.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peer: Option<PathBuf>,
    /// Let our training steps recompute, as `train.recompute` has it. The peer's never do.
    #[arg(long)]
    pub(crate) recompute: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchRacer {
    pub(crate) work: WorkName,
    /// Blocks of a sequence, instead of the work's own.
    #[arg(long)]
    pub(crate) blocks: Option<usize>,
    #[arg(long, value_parser = precisions())]
    pub(crate) precision: Precision,
    /// As `train.recompute`.
    #[arg(long)]
    pub(crate) recompute: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchTokens {
    /// Tokens of the one sequence, in thousands of 1024.
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    pub(crate) thousands: Vec<NonZeroUsize>,
    /// Arithmetic of the layers.
    #[arg(long, value_name = "P", default_value = "f32", value_parser = precisions())]
    pub(crate) precision: Precision,
    /// Steps of each, in turn, of which the median is shown.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
}

#[derive(Debug, Args)]
pub(crate) struct BenchPlan {
    /// Steps of each kind, of which the median is shown.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
}

#[derive(Debug, Args)]
pub(crate) struct BenchSearch {
    /// Seconds of one measurement.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    pub(crate) seconds: f64,
    /// Measurements of each, of which the median is shown.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
    /// Trained models instead of fresh weights.
    #[arg(short, long, value_name = "FILE", num_args = 1.., requires = "pictures")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Pictures to search for the fewest tokens of: time the answers of the models too.
    #[arg(short, long, value_name = "FILE", num_args = 1.., requires = "checkpoints")]
    pub(crate) pictures: Vec<PathBuf>,
}
