//! What can be typed.

mod bench;
mod gate;
mod plan;
mod tokens;

pub(crate) use bench::{Bench, BenchCommand, BenchPlan, BenchRacer, BenchSearch, BenchSteps, BenchTokens};
pub(crate) use gate::{Approve, Baseline, Check, ReportFormat};
pub(crate) use plan::{DeviceKind, Plan};
pub(crate) use tokens::{ArrayFormat, Decode, Encode, Encoding, ExportTokens, Inspect, Reconstruct};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::Precision;
use engine::model::Preset;
use engine::ring::Mesh;
use evaluator::report::{FIGURES, TABLES};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// A workbench for adaptive visual tokenizers (ElasticTok, arXiv 2410.08368).
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Examples:
  elastictok run experiments/quickstart.toml
  elastictok run experiments/quickstart.toml --train my/photos --test my/other-photos
  elastictok table quickstart --format latex
  elastictok table search --provenance
  elastictok figure quickstart --output quickstart.png")]
pub(crate) struct Cli {
    /// The results: an SQLite file; checkpoints and pictures lie beside it [default: results/elastictok.sqlite].
    #[arg(long = "db", global = true, value_name = "FILE")]
    pub(crate) asked_db: Option<PathBuf>,
    /// Print results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print details too.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Threads to compute with [default: one a core]. Results are the same for the same number and mesh.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where results are, if nobody says.
pub(crate) const DEFAULT_DB: &str = "results/elastictok.sqlite";

impl Cli {
    /// The results.
    pub(crate) fn db(&self) -> &Path {
        self.asked_db.as_deref().unwrap_or(Path::new(DEFAULT_DB))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do what an experiment file asks and is missing: train, evaluate, report.
    #[command(after_help = "Examples:
  elastictok run experiments/quickstart.toml
  elastictok run experiments/quickstart.toml --dry-run
  elastictok run experiments/quickstart.toml --set train.steps=300 --set seeds=[0,1,2]
  elastictok run experiments/quickstart.toml --mesh data=2,sequence=2

Running it again does only what is missing; Ctrl-C stops at the next step.")]
    Run(Run),
    /// Train an experiment's variants, and nothing more.
    #[command(after_help = "Examples:
  elastictok train experiments/quickstart.toml
  elastictok train experiments/quickstart.toml --mesh data=2
  elastictok train long-clips.toml --mesh sequence=4 --trace
  elastictok train long-clips.toml --mesh data=2,sequence=2     # goes on with what another mesh began")]
    Train(Experiment),
    /// Train what is missing and evaluate every variant × threshold × strategy, without a report.
    #[command(after_help = "Examples:
  elastictok evaluate experiments/quickstart.toml
  elastictok evaluate experiments/quickstart.toml --mesh data=2     # how it trains what is missing")]
    Evaluate(Experiment),
    /// Say what training on a long sequence would cost many workers: arithmetic, bytes sent, memory, time.
    #[command(after_help = "Examples:
  elastictok plan --preset fsq-200m --tokens 1M --workers 64 --device h100
  elastictok plan --preset fsq-200m --tokens 16K --workers 4                 # machines like this one
  elastictok plan --config mine.toml --tokens 64K --workers 8 --link 12.5 --memory 32

A configuration file says what --config of `import --help` does. Bytes and arithmetic are counted as training does them; \
rates are measured (cpu) or assumed (h100), and printed.")]
    Plan(Plan),
    /// Compare today's quality and cost with a baseline, and fail if something got worse: for a CI.
    #[command(after_help = gate::CHECK_HELP)]
    Check(Check),
    /// Change what `check` compares with.
    #[command(subcommand)]
    Baseline(Baseline),
    /// Print a table: an experiment's main one, or one of the paper's.
    #[command(after_help = tables_help())]
    Table(Table),
    /// Draw a figure.
    #[command(after_help = figures_help())]
    Figure(Figure),
    /// Show every experiment and how far it is.
    Status,
    /// Measure this machine: whole steps of four models, against PyTorch if it is there.
    #[command(after_help = "Examples:
  elastictok bench
  elastictok bench --works S,M --precision bf16
  elastictok bench --peer ~/torch/bin/python --rounds 11     # in the project's folder, with `pip install torch`
  elastictok bench search

Nothing else should run meanwhile: what it measures is shared.")]
    #[command(args_conflicts_with_subcommands = true)]
    Bench(Bench),
    /// Show the results in a browser: trade-off curves, tables, every picture. On this machine only, unless a token is given.
    #[command(after_help = "Examples:
  elastictok serve --open
  elastictok serve --db other/results.sqlite --port 8080
  (umask 077; openssl rand -hex 32 > token)
  elastictok serve --listen 192.168.1.5 --token-file token
  elastictok serve --listen 0.0.0.0 --url http://bench.example:7878 --token-file token
  elastictok serve --url https://bench.example --token-file token    # behind a proxy on this machine that speaks https

Everybody then needs the token: browsers ask for it once and keep a cookie, programs send `Authorization: Bearer TOKEN`. \
A token may stand in the variable ELASTICTOK_TOKEN instead; on the command line every user of the machine could read it. \
The dashboard speaks plain http: where others listen on the network, use a tunnel (`ssh -L 7878:127.0.0.1:7878 HOST`, \
and http://127.0.0.1:7878 here, which needs none of this) or a proxy that speaks https.")]
    Serve(Serve),
    /// Copy what other stores hold, and this one lacks, into this one: rows, pictures and checkpoints.
    #[command(after_help = "Examples:
  elastictok merge node1.sqlite node2.sqlite --db all.sqlite
  elastictok merge laptop/results/elastictok.sqlite

The store given by --db is made if it is missing; what it holds already stays. Merging twice changes nothing. \
Stores that disagree about a number are refused. Pictures and checkpoints are looked for beside each store.")]
    Merge(Merge),
    /// Remove what nothing refers to: pictures, checkpoints, training states of finished runs, files of killed writers.
    #[command(after_help = "Examples:
  elastictok gc --dry-run
  elastictok gc --db other/results.sqlite

Experiments stay. Nothing is removed while a process works on the store; while one only looks at it (`serve`), \
pictures are left and the database is not compacted.")]
    Gc(Gc),
    /// Copy the database to one file, also while others write to it.
    #[command(after_help = "Examples:
  elastictok backup backups/2025-03-01.sqlite
  elastictok backup latest.sqlite --force

Pictures and checkpoints are files beside the database and not in the copy. To copy them too, merge into a new store:
  elastictok merge results/elastictok.sqlite --db elsewhere/elastictok.sqlite")]
    Backup(Backup),
    /// Write measurements, curves or trials as CSV or JSON, or tokens as arrays, every digit, for other programs.
    #[command(after_help = "Examples:
  elastictok export measurements --experiment quickstart --output measurements.csv
  elastictok export curves --experiment '#3' --format json
  elastictok export trials | head
  elastictok export tokens *.etok --format npz --output tokens.npz

CSV is quoted as in RFC 4180, an empty field is not available. JSON is an array of objects, one a line.")]
    #[command(subcommand, subcommand_value_name = "measurements|curves|trials|tokens")]
    Export(Export),
    /// Turn a checkpoint of the released ElasticTok code into a model file of this program.
    #[command(after_help = import_help())]
    Import(Import),
    /// Encode a picture, a video or a folder of them into token files, with as few tokens as a threshold allows.
    #[command(after_help = "Examples:
  elastictok encode photo.jpg --checkpoint model.safetensors --threshold 0.003 -o photo.etok
  elastictok encode photo.jpg -c model.safetensors --threshold 0.003 --search full -o photo.etok
  elastictok encode photo.jpg -c model.safetensors --tokens 32 -o photo.etok
  elastictok encode clip.mp4 -c model.safetensors --threshold 0.003 --fps 12 --window 4 -o clip.etok
  elastictok encode long.mp4 -c model.safetensors --tokens 512 --mesh sequence=4 -o long.etok
  elastictok encode photos/ -c model.safetensors --threshold 0.003 -o tokens/     # goes on where it was stopped

A checkpoint is what `run` leaves as results/checkpoints/*/weights.safetensors. The shortest side is scaled to the \
model's, and the centre is encoded, as evaluation does.")]
    Encode(Encode),
    /// Decode a token file into a picture or a video, with the checkpoint that it was encoded with.
    #[command(after_help = "Examples:
  elastictok decode photo.etok --checkpoint model.safetensors -o photo.png
  elastictok decode clip.etok -c model.safetensors -o clip.mp4")]
    Decode(Decode),
    /// Show a picture or a video beside what a model makes of it, over a bar for the tokens each block keeps.
    #[command(after_help = "Examples:
  elastictok reconstruct photo.jpg --checkpoint model.safetensors --threshold 0.003 -o compared.png
  elastictok reconstruct photo.jpg -c model.safetensors --tokens 32 -o compared.png")]
    Reconstruct(Reconstruct),
    /// Say what is in a token file or a checkpoint.
    #[command(after_help = "Examples:
  elastictok inspect photo.etok
  elastictok inspect results/checkpoints/0123456789abcdef/weights.safetensors")]
    Inspect(Inspect),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// List what would be done, with an estimate of its cost; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Experiment {
    /// The experiment: a TOML file.
    #[arg(value_name = "EXPERIMENT.toml")]
    pub(crate) file: PathBuf,
    /// Override a key of every variant, as `train.steps=300`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) overrides: Vec<(String, String)>,
    /// Train on the pictures of this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) train: Option<PathBuf>,
    /// Evaluate on the pictures of this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) test: Option<PathBuf>,
    /// Write a checkpoint every so many seconds of training: a kill loses no more.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub(crate) checkpoint_every: f64,
    /// Train with so many workers that share the threads, one each at least: `data=4` deals the batch's sequences to four,
    /// `sequence=2` cuts each sequence in two, `data=2,sequence=2` does both. Losses are the same but for rounding. The N
    /// ranks of an MPI job (`mpirun -n N`) are the workers, and `data=N` is the default.
    #[arg(long, value_name = "MESH")]
    pub(crate) mesh: Option<Mesh>,
    /// After each training, say what its workers did at every step of their rings: seconds of computing attention and of
    /// waiting, bytes sent.
    #[arg(long, requires = "mesh")]
    pub(crate) trace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Table {
    /// A table's name, or an experiment's for its main table [default: the main table of the latest experiment].
    pub(crate) name: Option<String>,
    /// The experiment's name, or its number as `#3` [default: the one called as the table, or the latest].
    #[arg(short, long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// Say which trials each row was made of, and what made these.
    #[arg(long)]
    pub(crate) provenance: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    pub(crate) format: Format,
    /// Write to this file instead of the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Markdown,
    Latex,
    Csv,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The port; 0 takes any free one.
    #[arg(long, default_value_t = 7878)]
    pub(crate) port: u16,
    /// Listen on this address of the machine. Others can reach any but the loopback's: they need a token.
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    pub(crate) listen: IpAddr,
    /// Where browsers open the dashboard, if it is not the address it listens on.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Answer only to who has the token in this file, which only its owner may read [default: what ELASTICTOK_TOKEN says].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Open a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The stores to copy from; they are only read.
    #[arg(value_name = "FILE", required = true, num_args = 1..=10)]
    pub(crate) sources: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// List what would be removed; remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write.
    pub(crate) file: PathBuf,
    /// Overwrite the file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// A row for each metric of each sample of each finished trial.
    Measurements(ExportRows),
    /// A row for each point of the distortion curves.
    Curves(ExportRows),
    /// A row for each trial, with its configuration and, as JSON, its summaries.
    Trials(ExportRows),
    /// The tokens of token files as arrays.
    #[command(after_help = tokens::export_help())]
    Tokens(ExportTokens),
}

#[derive(Debug, Args)]
pub(crate) struct ExportRows {
    /// The experiment's name (the latest one), or its number as `#3` [default: all].
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = DataFormat::Csv)]
    pub(crate) format: DataFormat,
    /// Write to this file instead of the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DataFormat {
    Csv,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Figure {
    /// A figure's name, or an experiment's for its first [default: the first figure of the latest experiment].
    pub(crate) name: Option<String>,
    /// The experiment's name, or its number as `#3` [default: the one called as the figure, or the latest].
    #[arg(short, long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// The file to write: .svg or .png.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What the released code saved: `params`, or a whole `streaming_train_state`; bfloat16 or float32.
    pub(crate) params: PathBuf,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// The model file to write (safetensors, float32).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Which model.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// A released model.
    #[arg(long, value_name = "NAME", value_parser = presets(), required_unless_present = "config")]
    pub(crate) preset: Option<Preset>,
    /// The configuration of another model: TOML, or JSON if it is called .json.
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    pub(crate) config: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, like train.steps=300")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn listed<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    entries.map(|(name, about)| format!("  {name:<18} {about}\n")).collect()
}

fn precisions() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name))
        .map(|name| Precision::named(&name).expect("one of the possible values"))
}

fn presets() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::ALL.map(Preset::name))
        .map(|name| Preset::named(&name).expect("one of the possible values"))
}

fn import_help() -> &'static str {
    "Examples:
  elastictok import params --preset fsq-200m -o fsq-200m.safetensors
  elastictok import streaming_train_state --config mine.toml -o mine.safetensors

A configuration file says what the model was trained with:
  width = 1024
  hidden = 2048            # of the feed-forward layers
  heads = 8
  encoder_layers = 10
  decoder_layers = 10
  rope_theta = 5e7
  norm_epsilon = 1e-5
  block = { frames = 4, height = 256, width = 256, patch = [1, 8, 8] }
  bottleneck = { kind = \"fsq\", levels = [8, 8, 8, 5, 5, 5] }    # or { kind = \"vae\", dim = 8 }"
}

fn tables_help() -> String {
    let tables = listed(TABLES.iter().map(|table| (table.name, table.about)));
    format!(
        "Tables:\n{tables}\nExamples:
  elastictok table                                    # the main table of the latest experiment
  elastictok table quickstart --format latex          # that of another one
  elastictok table fewer-tokens -e satisfaction
  elastictok table search --provenance                # and which trials, code and machine each row comes from"
    )
}

fn figures_help() -> String {
    let figures = listed(FIGURES.iter().map(|figure| (figure.name, figure.about)));
    format!(
        "Figures:\n{figures}\nExamples:
  elastictok figure quickstart --output quickstart.png
  elastictok figure margin -e regressor --output margin.svg"
    )
}
