//! An experiment: a question, variants of a model, and what is asked of each.
//!
//! The file is TOML. `[data]`, `[model]`, `[train]` and `[sweep]` say what all variants share; each `[[variant]]`
//! overrides some keys; `[[stage]]`s, if there are any, are what training goes through, one after the other; `[grid]`
//! gives lists of values for keys and makes a variant of every combination. What comes out of [`Experiment::load`] is
//! checked and complete: nothing downstream looks at names or defaults again.

mod error;
mod given;
mod keys;
mod networks;
mod raw;
mod read;
#[cfg(test)]
mod tests;

pub use error::ExperimentError;
pub use given::GivenWeights;
pub use read::{Overrides, is_name};

use crate::metric::PerceptualJudge;
use crate::search::SearchStrategy;
use engine::train::TrainConfig;
use engine::{Budget, Encoding, ModelConfig, PerceptualNetwork, RegressorConfig, TokenRange};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// An experiment, ready to run.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name: that of its results.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// The file as it was written.
    pub source: String,
    /// Seeds: every variant is trained once with each.
    pub seeds: Vec<u64>,
    /// The variants in the order of the file.
    pub variants: Vec<Variant>,
}

/// One model to train and what to ask of it.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name, unique in the experiment.
    pub name: String,
    /// Which pictures.
    pub data: Data,
    /// The model's shape.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// Its weights, where they are given instead of trained.
    pub given: Option<GivenWeights>,
    /// What is asked of it.
    pub sweep: Sweep,
    /// The network that predicts its counts, if a strategy asks for one.
    pub regressor: Regression,
    /// The networks that judge its reconstructions.
    pub perceptual: Perceptual,
}

/// Networks that judge how reconstructions look.
#[derive(Clone, Debug, Default)]
pub struct Perceptual {
    /// The one that measures them.
    pub metric: Option<Arc<PerceptualNetwork>>,
    /// The one in the training loss: that which `train.perceptual` names.
    pub loss: Option<Arc<PerceptualNetwork>>,
}

/// How a predictor of counts is trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// Distortion curves of blocks: crops of the training pictures, or of clips of the training videos.
    pub curves: usize,
    /// Counts each is measured at, log-spaced.
    pub counts: usize,
    /// The network.
    pub network: RegressorConfig,
}

/// Which pictures, and what is cut from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Data {
    /// Folder of training pictures.
    pub train: PathBuf,
    /// Folder of held-out pictures.
    pub test: PathBuf,
    /// Pixels of the shortest side after resizing.
    pub resize: usize,
    /// Pixels of a square crop's side.
    pub crop: usize,
    /// Fixed crops of each held-out picture.
    pub crops_per_picture: usize,
    /// Blocks of a training sequence; of the longest, if training has stages.
    #[serde(skip_serializing_if = "is_one")]
    pub blocks: usize,
    /// Videos, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub videos: Option<Videos>,
}

/// Which videos, and what is cut from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Videos {
    /// Folder of training videos.
    pub train: Option<PathBuf>,
    /// Folder of held-out videos, which are evaluated instead of pictures.
    pub test: Option<PathBuf>,
    /// How many of a hundred training sequences are of clips.
    pub percent: u8,
    /// Frames picked from a second.
    pub frames_per_second: u32,
    /// Clips of each held-out video.
    pub clips_per_video: usize,
    /// Blocks of each held-out clip.
    pub clip_blocks: usize,
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

impl Data {
    /// Whether training sees pictures.
    pub fn trains_on_pictures(&self) -> bool {
        self.videos.as_ref().is_none_or(|videos| videos.train.is_none() || videos.percent < 100)
    }

    /// Blocks of a held-out sample: of a clip, or of a picture one.
    pub fn sample_blocks(&self) -> usize {
        self.videos.as_ref().filter(|videos| videos.test.is_some()).map_or(1, |videos| videos.clip_blocks)
    }
}

/// What is asked of a trained model.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What a block must reach, in the order of the file: see [`Criterion`].
    pub thresholds: Vec<f64>,
    /// What thresholds are of.
    pub criterion: Criterion,
    /// When the encoder runs.
    pub encoding: Encoding,
    /// Searches, in the order of the file.
    pub strategies: Vec<Arc<dyn SearchStrategy>>,
    /// Whether searches run the model.
    pub search: SearchMode,
    /// Earlier blocks of a clip that a block sees.
    pub window: usize,
    /// Held-out samples whose reconstructions are kept as tokens are added. Decides no number: it is in no key, and not in
    /// the stored configuration.
    pub progressive: usize,
}

/// Whether a model encoded like this has the curves that are kept, measured with an encoder run for every count: one that
/// is not told of the mask gives the same either way.
pub fn encodes_as_measured(encoding: Encoding, mask_conditioning: bool) -> bool {
    encoding == Encoding::PerCount || !mask_conditioning
}

/// What a threshold is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// Mean squared error in [−1, 1] after clipping: at most the threshold.
    Mse,
    /// SSIM of the rounded picture: at least the threshold. Searches work on 1 − SSIM.
    Ssim,
}

impl Criterion {
    /// What searches make small, of a reconstruction with this error and similarity.
    pub fn distortion(self, mse: f64, ssim: f64) -> f64 {
        match self {
            Self::Mse => mse,
            Self::Ssim => 1.0 - ssim,
        }
    }

    /// What searches make small, in words.
    pub fn distortion_name(self) -> &'static str {
        match self {
            Self::Mse => "MSE",
            Self::Ssim => "1 − SSIM",
        }
    }

    /// The largest acceptable distortion.
    pub fn limit(self, threshold: f64) -> f64 {
        match self {
            Self::Mse => threshold,
            Self::Ssim => 1.0 - threshold,
        }
    }
}

/// Where a search gets its distortions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// From the model, timed.
    Live,
    /// From stored curves: free, and without seconds.
    Replay,
}

/// Curves of at most this many counts are measured at every count, and can answer any search.
pub const REPLAYABLE_COUNTS: usize = 256;

impl Variant {
    /// The counts a block of this variant may keep.
    pub fn range(&self) -> TokenRange {
        TokenRange::new(self.train.min_tokens, self.model.block.tokens()).expect("checked when the file was read")
    }

    /// This variant, its training ended after the first so many stages.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first_stages(&self, count: usize) -> Self {
        Self { train: self.train.first_stages(count), ..self.clone() }
    }

    /// Tokens of a training sequence where there are no stages.
    pub fn tokens_per_sequence(&self) -> usize {
        self.data.blocks * self.model.block.tokens()
    }

    /// Blocks of the training clips on whose curves predictors are trained: as many as the model was trained on and sees
    /// of a held-out clip; of pictures one.
    pub fn curve_blocks(&self) -> usize {
        if self.data.sample_blocks() == 1 { 1 } else { self.data.blocks.min(self.sweep.window.saturating_add(1)) }
    }

    /// Whether distortion curves tell of it. A model of a fixed budget was trained for one count; a model told of the mask,
    /// encoded once nevertheless, has other curves than the ones kept. These are searched live.
    pub fn has_curves(&self) -> bool {
        let elastic = matches!(self.train.budget, Budget::Elastic(_));
        elastic && encodes_as_measured(self.sweep.encoding, self.model.mask_conditioning)
    }

    /// Whether its curves are measured before anything is searched. Those of a clip's blocks depend on what was kept before,
    /// and are measured when a search gets there, if it is replayed.
    pub fn has_curves_beforehand(&self) -> bool {
        self.has_curves() && self.data.sample_blocks() == 1
    }

    /// Whether searches are replayed from curves.
    pub fn replays(&self) -> bool {
        self.has_curves() && self.sweep.search == SearchMode::Replay
    }

    /// The window of its curves: how many blocks before it a block of a clip sees, where not all.
    pub fn curve_window(&self) -> Option<usize> {
        (self.data.sample_blocks() > 1 && self.sweep.window < usize::MAX).then_some(self.sweep.window)
    }

    /// The network that measures its reconstructions, by its content.
    pub fn judge(&self) -> Option<PerceptualJudge> {
        self.perceptual.metric.as_deref().map(PerceptualJudge::from)
    }

    /// Everything that decides what training makes of a seed, besides the content of the pictures and videos; of given
    /// weights, which they are.
    pub fn training_config(&self) -> serde_json::Value {
        let Data { resize, crop, blocks, videos, .. } = &self.data;
        if let Some(given) = &self.given {
            return json!({ "model": self.model, "weights": given.weights, "resize": resize, "crop": crop });
        }
        let mut config = json!({ "model": self.model, "train": self.train, "resize": resize, "crop": crop });
        // Stages say themselves how long their sequences are.
        if *blocks > 1 && self.train.stages.is_empty() {
            config["blocks"] = json!(blocks);
        }
        if let Some(videos) = videos.as_ref().filter(|videos| videos.train.is_some()) {
            config["video_percent"] = json!(videos.percent);
            config["frames_per_second"] = json!(videos.frames_per_second);
        }
        config
    }

    fn config(&self) -> serde_json::Value {
        let strategies: Vec<String> = self.sweep.strategies.iter().map(|strategy| strategy.name()).collect();
        let mut config = json!({
            "name": self.name,
            "data": self.data,
            "model": self.model,
            "train": self.train,
            "sweep": { "thresholds": self.sweep.thresholds, "strategies": strategies, "search": self.sweep.search,
                       "criterion": self.sweep.criterion, "encoding": self.sweep.encoding },
            "regressor": self.regressor,
        });
        if self.sweep.window < usize::MAX {
            config["sweep"]["window"] = json!(self.sweep.window);
        }
        // Only where there are any: experiments without keep their key.
        if let Some(given) = &self.given {
            config["weights"] = json!(given.weights);
        }
        if let Some(judge) = self.judge() {
            config["perceptual"] = json!(judge);
        }
        config
    }
}

impl Experiment {
    /// The complete configuration, defaults and overrides included: what is stored with the results.
    pub fn config(&self) -> serde_json::Value {
        let variants: Vec<_> = self.variants.iter().map(Variant::config).collect();
        json!({ "name": self.name, "question": self.question, "seeds": self.seeds, "variants": variants })
    }

    /// Every variant with every seed, in the order in which they are trained.
    pub fn runs(&self) -> impl Iterator<Item = (&Variant, u64)> {
        self.variants.iter().flat_map(|variant| self.seeds.iter().map(move |seed| (variant, *seed)))
    }
}
