//! What can be typed of pictures, videos and their tokens: `encode`, `decode`, `reconstruct`, `inspect`, `export tokens`.

use clap::{Args, ValueEnum};
use engine::ring::Mesh;
use std::path::PathBuf;

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

pub(super) fn export_help() -> String {
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
