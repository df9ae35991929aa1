//! What can be typed of the gate: `check` and `baseline`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

pub(super) const CHECK_HELP: &str = "Examples:
  elastictok check --baseline experiments/baselines/quality.json
  elastictok check --baseline experiments/baselines/quality.json --report report
  elastictok check --baseline experiments/baselines/quality.json --against ../main/target/release/elastictok
  elastictok check --baseline new.json --allow-missing-baseline

It evaluates the baseline's experiment anew and compares sample by sample; what was measured is copied into the store given \
with --db, if one is. It fails only where something got worse beyond its tolerance, chance is excluded, and another run \
shows it too. Seconds and memory are compared only with --against. Without it, those of a baseline that holds some are \
advice on the machine where it was approved, and not comparable on another one.

Exit codes:
  0    nothing got worse
  1    something got worse, or what the baseline has is missing
  2    an argument, the experiment or the baseline's file cannot be used
  3    not comparable: no baseline, other data, another protocol or version, seconds and memory of another machine
       (0 with --allow-missing-baseline)
  4    a fault of this program or its machine
  130  stopped by Ctrl-C";

const APPROVE_HELP: &str = "Examples:
  elastictok baseline approve --baseline my/baseline.json --experiment my/quality.toml --reason \"first numbers\"
  elastictok baseline approve --baseline my/baseline.json --reason \"resizes as Pillow 12 does: 0.1 dB less\"

It runs the experiment, says what changed, and writes the file with reason, program and machine; commit it with the change \
that it belongs to. Rules (`metrics`) are kept: how strict they are, and which failures are expected until when \
(`expected_failures`), is edited in the file. The experiment lies in the baseline's folder, or below it.

With --costs the seconds and memory of a run with the first seed are kept too. Leave it out where checks run on other \
machines: there they end with 3, unless they pass --against BINARY.";

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The numbers to compare with.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) baseline: PathBuf,
    /// Compare seconds and memory with this elastictok: both run the experiment in turn, on this machine.
    #[arg(long, value_name = "BINARY")]
    pub(crate) against: Option<PathBuf>,
    /// How often both run [default: 10, or more where there are more comparisons than ten pairs can tell from chance].
    #[arg(long, value_name = "N", requires = "against", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) pairs: Option<u16>,
    /// Let pass what cannot be compared, say so, and end with 0 instead of 3.
    #[arg(long)]
    pub(crate) allow_missing_baseline: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Write it to this folder too, in every format and as a figure: NAME.txt, .json, .xml (JUnit), .md, .svg, .annotations.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    /// Every number, with the version of its schema.
    Json,
    Junit,
    /// For the summary of a CI.
    Markdown,
    /// Annotations of GitHub Actions.
    Github,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Baseline {
    /// Run the experiment and make its numbers those that `check` compares with.
    #[command(after_help = APPROVE_HELP)]
    Approve(Approve),
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The file to write.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) baseline: PathBuf,
    /// Why the numbers are right; kept in the file, for who reviews it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The experiment of a new baseline; an old one names it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) experiment: Option<PathBuf>,
    /// Keep what a run costs too, for checks on this machine.
    #[arg(long)]
    pub(crate) costs: bool,
}
