//! Perceptual distance: how different two pictures look, as a network trained on people's judgements sees it.
//!
//! LPIPS (Zhang et al. 2018, «The unreasonable effectiveness of deep features as a perceptual metric», arXiv 1801.03924)
//! compares the features of five stages of a network made for classification. ST-LPIPS (Ghildyal & Liu 2022,
//! «Shift-tolerant perceptual similarity metric», arXiv 2207.13686) blurs before it halves, so that a shift by a pixel
//! changes little, and was trained anew. The reference trains ElasticTok with 0.1 · LPIPS of one frame a step beside the
//! squared error; here either is a loss ([`loss`]) and a metric ([`PerceptualNetwork::distance`]).
//!
//! Weights come from files that the user names; none are part of this project. Everything is for one picture at a time:
//! channels lie together (`map`), convolutions are matrix products (`conv`, `winograd`), blurs and resizes are
//! maps along one axis (`separable`), and only the picture gets a gradient.

mod bands;
mod conv;
mod distance;
mod loss;
mod map;
mod max_pool;
mod network;
mod separable;
mod weights;
mod winograd;

pub use loss::{FramePlace, loss};
pub use network::Architecture;

use crate::error::EngineError;
use crate::patch::CHANNELS;
use map::FeatureMap;
use network::Stages;
use std::path::PathBuf;
use weights::{Arrays, WeightsProblem};

/// What is subtracted from each colour in [−1, 1], and what the rest is divided by: ImageNet's means and deviations, as
/// LPIPS states them.
const SHIFT: [f32; CHANNELS] = [-0.030, -0.088, -0.188];
const SCALE: [f32; CHANNELS] = [0.458, 0.448, 0.450];

/// A network with its weights, which never change.
#[derive(Clone)]
pub struct PerceptualNetwork {
    architecture: Architecture,
    stages: Stages,
    /// One weight a channel, for each stage's feature.
    heads: Vec<Vec<f32>>,
    key: blake3::Hash,
    smallest_side: usize,
}

impl std::fmt::Debug for PerceptualNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Millions of weights say less than their key.
        f.debug_struct("PerceptualNetwork").field("architecture", &self.architecture).field("key", &self.key).finish()
    }
}

impl PerceptualNetwork {
    /// Reads PyTorch files that together hold a network: ST-LPIPS's one, or torchvision's VGG16 and LPIPS's heads.
    ///
    /// # Errors
    /// [`EngineError::File`] for a file that is not there, else [`EngineError::PerceptualWeights`], which says what is
    /// missing or does not fit.
    pub fn load(files: &[PathBuf]) -> Result<Self, EngineError> {
        let problem = |path: &PathBuf, problem: WeightsProblem| EngineError::PerceptualWeights {
            path: path.clone(),
            reason: problem.to_string(),
        };
        let mut arrays = Arrays::default();
        for path in files {
            std::fs::metadata(path).map_err(EngineError::file("cannot read the perceptual network", path))?;
            arrays.read(path).map_err(|error| problem(path, error))?;
        }
        Self::new(&arrays).map_err(|error| problem(&files.first().cloned().unwrap_or_default(), error))
    }

    fn new(arrays: &Arrays) -> Result<Self, WeightsProblem> {
        let architecture = Architecture::of(arrays).ok_or(WeightsProblem::Unknown)?;
        let stages = Stages::new(architecture, arrays)?;
        let head = |(index, channels): (usize, usize)| {
            let head = arrays.get(&format!("lin{index}.model.1.weight"))?;
            head.expect_shape(&[1, channels, 1, 1])?;
            Ok(head.values.clone())
        };
        let heads = stages.feature_channels().into_iter().enumerate().map(head).collect::<Result<_, _>>()?;
        let smallest_side = stages.smallest_side();
        Ok(Self { architecture, stages, heads, key: arrays.key(), smallest_side })
    }

    /// Which distance it computes.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// A blake3 hash over the names, shapes and values of its arrays: names it by its content, whatever the files are
    /// called.
    pub fn key(&self) -> blake3::Hash {
        self.key
    }

    /// Pixels of the shortest side of a picture it can see.
    pub fn smallest_side(&self) -> usize {
        self.smallest_side
    }

    /// How different two pictures of `height` × `width` pixels look: 0 for identical ones, without a unit (Zhang et al.
    /// 2018, equation 1). Values are in [−1, 1], as (row, column, channel).
    ///
    /// # Panics
    /// If a side is shorter than [`smallest_side`](Self::smallest_side).
    pub fn distance(&self, a: &[f32], b: &[f32], height: usize, width: usize) -> f64 {
        let features = |values: &[f32]| self.stages.features(self.standardized(values, height, width));
        let (a, b) = rayon::join(|| features(a), || features(b));
        a.iter().zip(&b).zip(&self.heads).map(|((a, b), head)| distance::distance(a, b, head)).sum()
    }

    /// The [`distance`](Self::distance) of `a` from `b`, and its gradient with respect to `a`, (row, column, channel).
    ///
    /// # Panics
    /// As [`distance`](Self::distance).
    pub fn distance_and_gradient(&self, a: &[f32], b: &[f32], height: usize, width: usize) -> (f64, Vec<f32>) {
        let (a, b) = (self.standardized(a, height, width), self.standardized(b, height, width));
        let ((a, record), b) = rayon::join(|| self.stages.recorded(a), || self.stages.features(b));
        let (mut sum, mut gradients) = (0.0, Vec::with_capacity(a.len()));
        for ((a, b), head) in a.iter().zip(&b).zip(&self.heads) {
            let (distance, gradient) = distance::distance_and_gradient(a, b, head);
            sum += distance;
            gradients.push(gradient);
        }
        let mut gradient = self.stages.backward(record, gradients).values;
        for pixel in gradient.chunks_mut(CHANNELS) {
            pixel.iter_mut().zip(SCALE).for_each(|(value, scale)| *value /= scale);
        }
        (sum, gradient)
    }

    fn standardized(&self, values: &[f32], height: usize, width: usize) -> FeatureMap {
        let shortest = height.min(width);
        assert!(
            shortest >= self.smallest_side,
            "{height} × {width} pixels are fewer than the network's {} a side",
            self.smallest_side
        );
        let scaled = values.iter().enumerate().map(|(index, value)| {
            let channel = index % CHANNELS;
            (value - SHIFT[channel]) / SCALE[channel]
        });
        FeatureMap::new(height, width, CHANNELS, scaled.collect())
    }
}
