//! What an experiment file may say, key by key, with the values that stand where it says nothing.

use engine::Precision;
use engine::plan::faster_precision;
use engine::train::TrainConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The sections of a file, after overrides; [`Variant`](super::Variant) is what they mean.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSections {
    pub data: RawData,
    pub model: RawModel,
    pub train: TrainConfig,
    pub stage: Vec<RawStage>,
    pub sweep: RawSweep,
    pub regressor: RawRegressor,
    pub perceptual: RawPerceptual,
}

/// `[data]`: which pictures, and what is cut from them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawData {
    /// Folder of training pictures, relative to the experiment file.
    pub train: PathBuf,
    /// Folder of held-out pictures.
    pub test: PathBuf,
    /// Pixels of the shortest side after resizing.
    pub resize: usize,
    /// Pixels of a square crop's side.
    pub crop: usize,
    /// Fixed crops of each held-out picture.
    pub crops_per_picture: usize,
    /// Blocks of a training sequence; a still image is one.
    pub blocks: usize,
    /// Folder of training videos, if any: sequences are then of clips too.
    pub train_videos: PathBuf,
    /// Folder of held-out videos, if any: they are evaluated instead of pictures.
    pub test_videos: PathBuf,
    /// How many of a hundred training sequences are of clips; with 100 no pictures are read.
    pub video_percent: u8,
    /// Frames picked from a second of video.
    pub frames_per_second: u32,
    /// Clips of each held-out video.
    pub clips_per_video: usize,
    /// Blocks of each held-out clip.
    pub clip_blocks: usize,
}

impl Default for RawData {
    fn default() -> Self {
        Self {
            train: "data/photos/train".into(),
            test: "data/photos/test".into(),
            resize: 128,
            crop: 64,
            crops_per_picture: 5,
            blocks: 1,
            train_videos: PathBuf::new(),
            test_videos: PathBuf::new(),
            video_percent: 50,
            frames_per_second: 8,
            clips_per_video: 4,
            clip_blocks: 8,
        }
    }
}

/// `[model]`: the model's shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    /// A file of weights, relative to the experiment file: the model is then what it holds, and nothing is trained.
    pub checkpoint: PathBuf,
    pub width: usize,
    pub hidden: usize,
    pub heads: usize,
    pub encoder_layers: usize,
    pub decoder_layers: usize,
    /// (time, height, width).
    pub patch: [usize; 3],
    pub frames_per_block: usize,
    pub bottleneck: RawBottleneck,
    pub fsq_levels: Vec<usize>,
    pub vae_dim: usize,
    pub rope_theta: f32,
    pub norm_epsilon: f32,
    pub init_std: f32,
    /// Whether the encoder is told which tokens will be kept.
    pub mask_conditioning: bool,
    /// Arithmetic of the layers.
    pub precision: RawPrecision,
}

/// `model.precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPrecision {
    F32,
    Bf16,
    /// The faster one here: see [`faster_precision`].
    Auto,
}

impl From<RawPrecision> for Precision {
    fn from(raw: RawPrecision) -> Self {
        match raw {
            RawPrecision::F32 => Self::F32,
            RawPrecision::Bf16 => Self::Bf16,
            RawPrecision::Auto => faster_precision(),
        }
    }
}

/// `model.bottleneck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawBottleneck {
    Fsq,
    Vae,
}

impl Default for RawModel {
    fn default() -> Self {
        Self {
            checkpoint: PathBuf::new(),
            width: 96,
            hidden: 256,
            heads: 4,
            encoder_layers: 3,
            decoder_layers: 3,
            patch: [1, 8, 8],
            frames_per_block: 1,
            bottleneck: RawBottleneck::Fsq,
            fsq_levels: vec![8, 8, 8, 5, 5, 5],
            vae_dim: 8,
            rope_theta: 1e4,
            norm_epsilon: 1e-5,
            init_std: 0.06,
            mask_conditioning: true,
            precision: RawPrecision::F32,
        }
    }
}

/// A `[[stage]]` of training: a run without any is one, of sequences of `data.blocks` blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    /// Tokens of a sequence: whole blocks.
    pub context: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// The highest learning rate; left out, that of `[train]`.
    pub learning_rate: Option<f32>,
    /// Sequences a forward pass. Left out, as many as keep the tokens of a pass constant; of the first stage, as `[train]`
    /// says.
    pub batch: Option<usize>,
}

/// The keys of a [`RawStage`].
pub(super) const STAGE_KEYS: [&str; 4] = ["context", "steps", "learning_rate", "batch"];

/// `[sweep]`: what is asked of the trained models.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSweep {
    /// What a block must reach: mean squared errors in [−1, 1] at most, or values of SSIM at least.
    pub thresholds: Vec<f64>,
    /// What thresholds are of.
    pub criterion: super::Criterion,
    /// Names of search strategies; a variant with a fixed budget uses `fixed(share)` instead.
    pub strategies: Vec<String>,
    /// "live": searches run the model and are timed; "replay": they read the stored curves.
    pub search: super::SearchMode,
    /// Earlier blocks of a clip that a block sees, which bounds the memory of long videos.
    pub window: Window,
    /// "per-count": the encoder runs for every count; "once": once a block, and the tail is dropped behind it.
    pub encoding: engine::Encoding,
    /// Held-out samples, spread over the test set, of which reconstructions from more and more tokens are stored for the
    /// dashboard: a number, 0 for none, or "all". Numbers do not depend on it.
    pub progressive: Progressive,
}

/// `sweep.progressive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"all\", or a number of samples")]
pub(super) enum Progressive {
    Samples(usize),
    Named(NamedAll),
}

impl Progressive {
    pub(super) fn samples(self) -> usize {
        match self {
            Self::Samples(samples) => samples,
            Self::Named(NamedAll::All) => usize::MAX,
        }
    }
}

/// `sweep.window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"all\", or a number of blocks")]
pub(super) enum Window {
    Blocks(usize),
    Named(NamedAll),
}

/// The word for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamedAll {
    All,
}

impl Window {
    pub(super) fn blocks(self) -> usize {
        match self {
            Self::Blocks(blocks) => blocks,
            Self::Named(NamedAll::All) => usize::MAX,
        }
    }
}

/// `[regressor]`: the network that predicts counts, trained where a strategy asks for one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRegressor {
    /// Distortion curves of crops of the training pictures.
    pub curves: usize,
    /// Counts each of these is measured at, log-spaced.
    pub counts: usize,
    /// Blocks before the one it predicts that it reads of a clip; at most as many as the model was trained behind.
    pub earlier: usize,
    pub width: usize,
    pub hidden: usize,
    pub heads: usize,
    pub layers: usize,
    pub steps: usize,
    pub batch: usize,
    pub learning_rate: f32,
}

impl Default for RawRegressor {
    fn default() -> Self {
        Self {
            curves: 5000,
            counts: 16,
            earlier: 1,
            width: 64,
            hidden: 128,
            heads: 4,
            layers: 3,
            steps: 1500,
            batch: 64,
            learning_rate: 2e-3,
        }
    }
}

/// `[perceptual]`: networks that judge how reconstructions look. Each is the files that together hold its weights,
/// relative to the experiment file; none by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPerceptual {
    /// The network that measures reconstructions.
    pub metric: Vec<PathBuf>,
    /// The network whose distance is part of the training loss.
    pub loss: Vec<PathBuf>,
    /// What that distance is multiplied by.
    pub loss_weight: f32,
    /// Pixels of the square that a frame is scaled to before it is judged in training. "frame": as it is, but no more than
    /// the reference's 224; enlarging small frames costs more and shows the network nothing new.
    pub loss_side: LossSide,
}

/// `perceptual.loss_side`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"frame\", or a number of pixels")]
pub(super) enum LossSide {
    Pixels(usize),
    Named(NamedSide),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamedSide {
    Frame,
}

/// The side that the reference scales frames to before LPIPS sees them.
const REFERENCE_SIDE: usize = 224;

impl LossSide {
    /// Pixels, of frames of `crop` pixels a side.
    pub(super) fn pixels(self, crop: usize) -> usize {
        match self {
            Self::Pixels(side) => side,
            Self::Named(NamedSide::Frame) => crop.min(REFERENCE_SIDE),
        }
    }
}

impl Default for RawPerceptual {
    fn default() -> Self {
        Self { metric: Vec::new(), loss: Vec::new(), loss_weight: 0.1, loss_side: LossSide::Named(NamedSide::Frame) }
    }
}

impl Default for RawSweep {
    fn default() -> Self {
        Self {
            thresholds: vec![0.003, 0.007, 0.015],
            strategies: ["full", "binned(16)", "binary"].map(str::to_owned).to_vec(),
            search: super::SearchMode::Live,
            criterion: super::Criterion::Mse,
            encoding: engine::Encoding::PerCount,
            window: Window::Named(NamedAll::All),
            progressive: Progressive::Samples(8),
        }
    }
}
