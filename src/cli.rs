//! What can be typed.

mod gate;

pub(crate) use gate::{Approve, Baseline, Check, ReportFormat};

use crate::bench::WorkName;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::Precision;
use engine::model::Preset;
use engine::ring::Mesh;
use evaluator::report::{FIGURES, TABLES};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
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
    #[command(after_help = tokens_help())]
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

#[derive(Debug, Args)]
pub(crate) struct ExportTokens {
    /// Token files of one model, or folders of them; with --checkpoint a folder of pictures and videos to encode first.
    #[arg(value_name = "FILE.etok", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// The weights to encode pictures and videos with.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) encoding: Encoding,
    /// How to write them.
    #[arg(long, value_enum, default_value_t = ArrayFormat::Npz)]
    pub(crate) format: ArrayFormat,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ArrayFormat {
    Npz,
    Safetensors,
}

#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// The picture (.jpg, .png, .webp), the video (.mp4, .gif, .y4m; others with ffmpeg), or a folder of them.
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
    /// The model's weights.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) encoding: Encoding,
    #[command(flatten)]
    pub(crate) shared: Shared,
    /// The token file to write: .etok; of a folder, the folder for its token files. What is encoded there is not encoded
    /// again.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Who computes.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// Cut the sequence among so many workers, as `sequence=4`, that share the threads, one each at least: each holds a
    /// fourth of it. Needs --tokens where something is encoded, and every block sees all before it. Tokens are the same but
    /// for rounding.
    #[arg(long, value_name = "MESH", default_value_t = Mesh::ONE)]
    pub(crate) mesh: Mesh,
}

/// How something is encoded.
#[derive(Debug, Args)]
pub(crate) struct Encoding {
    /// Frames a second to take of a video [default: all].
    #[arg(long, value_name = "RATE")]
    pub(crate) fps: Option<f64>,
    /// Let each block of a video see so many blocks before it [default: all]: bounds memory and time. A model that was
    /// trained on single blocks wants 0.
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) window: Option<usize>,
    /// The largest mean squared error of a block, in [−1, 1] after clipping: the fewest tokens within it are kept.
    #[arg(long, value_name = "MSE", allow_negative_numbers = true, requires = "checkpoint", conflicts_with = "tokens")]
    pub(crate) threshold: Option<f64>,
    /// Keep this many tokens of each block.
    #[arg(long, value_name = "N", requires = "checkpoint")]
    pub(crate) tokens: Option<usize>,
    /// How to look for the fewest tokens, as experiments name it.
    #[arg(long, value_name = "STRATEGY", default_value = "binary", conflicts_with = "tokens")]
    pub(crate) search: String,
    /// The fewest tokens the search may choose: fewer than training kept mean nothing to the model.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "tokens")]
    pub(crate) min_tokens: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The token file.
    #[arg(value_name = "FILE.etok")]
    pub(crate) file: PathBuf,
    /// The weights that the tokens were made with.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) shared: Shared,
    /// The picture (.png) or the video (.mp4, .gif, .y4m) to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Reconstruct {
    /// The picture (.jpg, .png, .webp) or the video (.mp4, .gif, .y4m; others with ffmpeg).
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
    /// The model's weights.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) encoding: Encoding,
    #[command(flatten)]
    pub(crate) shared: Shared,
    /// The picture (.png) or the video (.mp4, .gif, .y4m) to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A token file (.etok) or a checkpoint (.safetensors).
    pub(crate) file: PathBuf,
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

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Tokens of a sequence; K stands for 1024, M for 1024 K.
    #[arg(long, value_name = "N", value_parser = binary_number)]
    pub(crate) tokens: usize,
    /// Sequences of a batch.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Workers that share each sequence.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Layers keep their inputs alone and make the rest again, as `train.recompute` has it.
    #[arg(long)]
    pub(crate) recompute: bool,
    /// What a worker is.
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// What a worker sends in a second [default: 1.25 from a cpu, 10 Gb/s; 40 from an h100, 80 % of 400 Gb/s].
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    pub(crate) link: Option<f64>,
    /// Memory of a worker [default: 80 for an h100].
    #[arg(long, value_name = "GB", value_parser = positive)]
    pub(crate) memory: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceKind {
    /// This machine, with the threads of --threads, measured when the plan is made.
    Cpu,
    /// NVIDIA's H100 SXM by its data sheet, in bf16.
    H100,
}

/// «64K», «1M», or all digits.
fn binary_number(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M' | 'm')) => (&text[..end], 20),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| "write a whole number, as 65536, 64K or 1M".to_owned())?;
    number.checked_mul(1 << shift).filter(|tokens| *tokens <= 1 << 40).ok_or_else(|| "is too large".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write a number above 0".to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, like train.steps=300")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

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

fn tokens_help() -> String {
    format!(
        "{}\nExamples:
  elastictok export tokens *.etok --output tokens.npz
  elastictok export tokens photos/ --checkpoint model.safetensors --threshold 0.003 --output tokens.npz
  elastictok export tokens a.etok b.etok --format safetensors --output tokens.safetensors

With --checkpoint, several files are encoded at once into token files in a folder beside the output: here tokens.etok/. \
Stopped and run again, it encodes only what is not there, and what changed.",
        engine::token_file::export::LAYOUT
    )
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
