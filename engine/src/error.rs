//! Everything that can go wrong in the engine, with the offending values and what to do.

use crate::released::ReleasedError;
use std::path::PathBuf;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A token range that holds no count.
    #[error("token range {min}..={max} is empty: need 1 <= min_tokens <= max_tokens")]
    TokenRange {
        /// The fewest tokens asked for.
        min: usize,
        /// The most tokens there are.
        max: usize,
    },
    /// A model or training configuration that cannot be.
    #[error("{key} = {value}: {rule}")]
    Config {
        /// The configuration's key, as `model.heads`.
        key: &'static str,
        /// What it said.
        value: String,
        /// What it must fulfil.
        rule: String,
    },
    /// A stage of a training run that cannot be.
    #[error("stage {number}: {source}")]
    Stage {
        /// Which, from 1.
        number: usize,
        /// The rule it breaks.
        source: Box<EngineError>,
    },
    /// A folder that is not there or is not a folder.
    #[error("cannot read the folder {folder}: {source}; give an existing folder of {noun}s ({extensions})")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What it should hold one or more of.
        noun: &'static str,
        /// The extensions it should have.
        extensions: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A folder in which nothing could be used.
    #[error("no usable {noun} in {folder}: {found} files with {extensions} found, {skipped} skipped{first}")]
    NothingUsable {
        /// The folder.
        folder: PathBuf,
        /// What it should hold one or more of.
        noun: &'static str,
        /// The extensions it should have.
        extensions: &'static str,
        /// Files with a fitting extension.
        found: usize,
        /// Files that could not be used.
        skipped: usize,
        /// The first one's reason, or nothing.
        first: String,
    },
    /// A video that cannot be read or written.
    #[error("video {path}: {reason}")]
    Video {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A picture that does not decode.
    #[error("cannot decode the picture {path}: {reason}; give a .jpg, .png or .webp file")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A frame of a shape that a model's frame cannot be cut out of.
    #[error(
        "a frame of {width}×{height} pixels cannot be made to fit the model's {frame_width}×{frame_height}: it is empty or \
         more than 64 times as long; crop it first"
    )]
    Frame {
        /// Pixels from left to right.
        width: usize,
        /// Pixels from top to bottom.
        height: usize,
        /// The model's pixels from left to right.
        frame_width: usize,
        /// The model's pixels from top to bottom.
        frame_height: usize,
    },
    /// Loss or gradient is no longer a number.
    #[error(
        "the loss at step {step} is {loss} (gradient norm {gradient_norm}): lower train.learning_rate ({learning_rate}) or train.clip_norm; the last good checkpoint is kept"
    )]
    NonFinite {
        /// Which step, counted from 1.
        step: usize,
        /// The loss.
        loss: f32,
        /// The norm of all gradients, before clipping.
        gradient_norm: f64,
        /// The learning rate of the step.
        learning_rate: f32,
    },
    /// A checkpoint that cannot be used.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A checkpoint of the released code that cannot be imported.
    #[error("{path}: {source}")]
    Released {
        /// The file.
        path: PathBuf,
        /// Why; boxed, as it is larger than all others.
        source: Box<ReleasedError>,
    },
    /// Files that do not hold a perceptual network.
    #[error("perceptual network {path}: {reason}")]
    PerceptualWeights {
        /// The first file.
        path: PathBuf,
        /// What is missing or does not fit.
        reason: String,
    },
    /// A file that could not be written or read.
    #[error("{action} {path}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A worker of a mesh is lost.
    #[error(transparent)]
    Ring(#[from] crate::ring::RingError),
    /// Tokens that the model cannot have made.
    #[error(transparent)]
    Tokens(#[from] crate::decoding::UndecodableBlock),
    /// The system gives no more threads.
    #[error("cannot start the workers of a mesh: {0}; use fewer")]
    Threads(String),
    /// dfdx could not run an operation.
    #[error("the tensor library failed: {0}")]
    Tensor(String),
}

impl EngineError {
    /// For `map_err` around file operations.
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// A configuration's rule that is broken.
    /// The same, of a stage of a training run, counted from 0.
    pub(crate) fn of_stage(self, index: usize) -> Self {
        Self::Stage { number: index + 1, source: Box::new(self) }
    }

    pub(crate) fn config(key: &'static str, value: impl ToString, rule: impl Into<String>) -> Self {
        Self::Config { key, value: value.to_string(), rule: rule.into() }
    }
}

impl From<crate::tensor::TapeError> for EngineError {
    fn from(error: crate::tensor::TapeError) -> Self {
        Self::Tensor(format!("{error:?}"))
    }
}
