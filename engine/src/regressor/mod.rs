//! Neural regression (paper, inference: a network predicts the count, one evaluation a block): how many tokens a block
//! will need, from its pixels alone.
//!
//! A small transformer of the same layers reads the block's patches and predicts the whole distortion curve: at every
//! count a Gaussian over the logarithm of the distortion. A threshold is then met by n tokens with probability
//! Φ((ln τ − μ(n)) / σ(n)), so that one pass answers every threshold, and a safety margin is a quantile.
//!
//! Of a clip it reads the blocks before, too: a block costs less behind blocks that show the same scene, and less again
//! if they kept more tokens. What they kept is marked as the model's encoder marks it, by an embedding of each token.

mod batch;
mod file;
mod train;

pub use batch::SeenBlock;
pub use file::{load_regressor, save_regressor};
pub use train::{CurveExample, RegressorTrainer};

use crate::error::EngineError;
use crate::model::{Init, Layer, LayerShape, through_alone};
use crate::ops::{self, LN_DEVIATION_LIMIT, MaybeTape, RopeTable};
use crate::parameters::parameters;
use crate::patch::BlockShape;
use crate::precision::Precision;
use crate::tensor::{Parameter, Tokens, values};
use batch::Batch;
use serde::{Deserialize, Serialize};

/// A regressor's shape and training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressorConfig {
    /// Width of a token: a multiple of 2 · heads.
    pub width: usize,
    /// Width of SwiGLU's hidden layer.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// The blocks it reads.
    pub block: BlockShape,
    /// How many blocks before the one it predicts it reads; there are fewer at a clip's start, and none of a picture.
    pub earlier: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Blocks a step.
    pub batch: usize,
    /// Learning rate after the warm-up, above 0.
    pub learning_rate: f32,
}

impl RegressorConfig {
    /// Whether a regressor can be made of it.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key that cannot be: counts are 1 to 1048576.
    pub fn check(&self) -> Result<(), EngineError> {
        for (key, value) in [
            ("regressor.width", self.width),
            ("regressor.hidden", self.hidden),
            ("regressor.heads", self.heads),
            ("regressor.layers", self.layers),
            ("regressor.steps", self.steps),
            ("regressor.batch", self.batch),
        ] {
            if !(1..=1 << 20).contains(&value) {
                return Err(EngineError::config(key, value, "must be 1 to 1048576"));
            }
        }
        if self.earlier > MOST_EARLIER {
            let rule = format!("must be at most {MOST_EARLIER}");
            return Err(EngineError::config("regressor.earlier", self.earlier, rule));
        }
        if !self.width.is_multiple_of(2 * self.heads) {
            let rule = format!("heads of even width must divide regressor.width = {}", self.width);
            return Err(EngineError::config("regressor.heads", self.heads, rule));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(EngineError::config(
                "regressor.learning_rate",
                self.learning_rate,
                "must be a positive number",
            ));
        }
        BlockShape::new(self.block.frames, self.block.height, self.block.width, self.block.patch)?;
        Ok(())
    }

    /// How many weights, single numbers, a regressor of this shape has for curves of so many counts.
    pub fn parameter_count(&self, counts: usize) -> usize {
        let (width, hidden) = (self.width, self.hidden);
        let layer = 4 * width * width + 3 * width * hidden + 2 * width;
        // A projection of patches, two embeddings, the final norm, the head.
        self.layers * layer + self.block.patch_values() * width + 3 * width + 2 * counts * width
    }

    /// Floating-point operations of one block's prediction at `counts` counts, with so many blocks before it: two a
    /// multiply-add, in linear maps and attention.
    pub fn flops(&self, counts: usize, earlier: usize) -> f64 {
        let (width, tokens) = (self.width as f64, self.block.tokens() as f64);
        let blocks = (earlier.min(self.earlier) + 1) as f64;
        let layer = 4.0 * width * width + 3.0 * width * self.hidden as f64;
        let linear = self.layers as f64 * layer + self.block.patch_values() as f64 * width;
        // Each block sees itself and those before it.
        let pairs = tokens * tokens * blocks * (blocks + 1.0) / 2.0;
        let head = 2.0 * width * (2 * counts) as f64;
        2.0 * linear * tokens * blocks + self.layers as f64 * 4.0 * pairs * width + head
    }
}

/// How ln distortion is scaled for the network: by mean and standard deviation over the training curves, count by
/// count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveScale {
    /// The counts of the curves, rising.
    pub counts: Vec<usize>,
    /// Mean ln distortion at each.
    pub mean: Vec<f64>,
    /// Its standard deviation at each.
    pub deviation: Vec<f64>,
    /// Predicted deviations are multiplied by this, so that they are right on photographs not trained on.
    pub calibration: f64,
}

/// A Gaussian over ln distortion at every count of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveForecast {
    /// (count, mean of ln distortion, its standard deviation), rising in the count.
    pub points: Vec<(usize, f64, f64)>,
}

impl CurveForecast {
    /// The same at every count between its first and its last, means and deviations linear in the logarithm of the count.
    pub fn at_every_count(&self) -> Self {
        let between = self.points.windows(2).flat_map(|pair| {
            let [(n0, m0, d0), (n1, m1, d1)] = [pair[0], pair[1]];
            (n0..n1).map(move |n| {
                let share = (n as f64 / n0 as f64).ln() / (n1 as f64 / n0 as f64).ln();
                (n, m0 + share * (m1 - m0), d0 + share * (d1 - d0))
            })
        });
        Self { points: between.chain(self.points.last().copied()).collect() }
    }

    /// The fewest tokens believed to have at most `ln_threshold`, with a margin of `deviations` predicted deviations (0:
    /// as likely as not; 1.28: nine times of ten); the largest count if none is. `ln_threshold` is ln τ.
    ///
    /// # Panics
    /// If there are no points.
    pub fn fewest(&self, ln_threshold: f64, deviations: f64) -> usize {
        let meets = |(_, mean, deviation): &&(usize, f64, f64)| mean + deviations * deviation <= ln_threshold;
        let (last, ..) = self.points[self.points.len() - 1];
        self.points.iter().find(meets).map_or(last, |(count, ..)| *count)
    }
}

/// The network: patches → layers → mean over the block's tokens → mean and ln deviation at every count.
#[derive(Clone, Debug)]
pub struct Regressor {
    config: RegressorConfig,
    scale: CurveScale,
    in_proj: Parameter,
    /// Added to every token of the block, and to those that earlier blocks kept: beside it, the norms let through how
    /// strong a patch is.
    embedding: Parameter,
    layers: Vec<Layer>,
    norm: Parameter,
    head: Parameter,
    /// Added to tokens that earlier blocks dropped.
    dropped: Parameter,
}

parameters!(Regressor { in_proj, embedding, layers, norm, head, dropped });

/// ε of RMSNorm, base of the rotary frequencies and deviation of fresh weights: as the models it serves.
const NORM_EPSILON: f32 = 1e-5;
const ROPE_THETA: f32 = 1e4;
const INIT_STD: f32 = 0.06;

/// Blocks it may read before its own: more than a model is trained on is a slip.
const MOST_EARLIER: usize = 64;

/// Blocks predicted in one pass.
const LARGEST_BATCH: usize = 64;

impl Regressor {
    /// Fresh weights drawn from `seed`.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a configuration that does not pass [`RegressorConfig::check`].
    pub fn new(config: RegressorConfig, scale: CurveScale, seed: u64) -> Result<Self, EngineError> {
        config.check()?;
        let mut init = Init::new(INIT_STD, seed);
        let RegressorConfig { width, hidden, heads, .. } = config;
        let shape = LayerShape { width, hidden, heads, norm_epsilon: NORM_EPSILON, precision: Precision::F32 };
        Ok(Self {
            in_proj: init.normal(config.block.patch_values(), width),
            embedding: init.embedding(width),
            layers: (0..config.layers).map(|_| Layer::new(shape, &mut init)).collect(),
            norm: init.ones(width),
            head: init.normal(width, 2 * scale.counts.len()),
            dropped: init.embedding(width),
            config,
            scale,
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &RegressorConfig {
        &self.config
    }

    /// How its predictions are scaled.
    pub fn scale(&self) -> &CurveScale {
        &self.scale
    }

    /// Patches (sequences · blocks · tokens, patch) → (sequences, 2 · counts): scaled means of each sequence's last block,
    /// then logarithms of its scaled deviations.
    fn forward<T: MaybeTape>(&self, patches: Tokens<T>, batch: &Batch) -> Tokens<T> {
        let layout = batch.scope.layout;
        let rope = RopeTable::new(layout.tokens_per_sequence(), self.config.width / self.config.heads, ROPE_THETA);
        let h = ops::patch_embed(patches, &self.in_proj, &self.embedding, &self.dropped, &batch.kept);
        let h = through_alone(&self.layers, h, &rope, &batch.scope);
        ops::linear(
            ops::pool_last_block(ops::rms_norm(h, &self.norm, NORM_EPSILON), layout),
            &self.head,
            Precision::F32,
        )
    }

    /// Expects a curve of each block.
    pub fn forecast(&self, blocks: &[SeenBlock]) -> Vec<CurveForecast> {
        let scale = &self.scale;
        let count = scale.counts.len();
        let batches = blocks.chunks(LARGEST_BATCH).flat_map(|blocks| {
            let batch = Batch::of(blocks, &self.config);
            let y = self.forward(batch.patches.clone(), &batch);
            let forecast = |y: &[f32]| {
                let (mean, ln_deviation) = y.split_at(count);
                let point = |i: usize| {
                    let limit = f64::from(LN_DEVIATION_LIMIT);
                    let deviation = f64::from(ln_deviation[i]).clamp(-limit, limit).exp() * scale.calibration;
                    let of_scale = scale.deviation[i];
                    (scale.counts[i], scale.mean[i] + of_scale * f64::from(mean[i]), of_scale * deviation)
                };
                CurveForecast { points: (0..count).map(point).collect() }
            };
            values(&y).chunks(2 * count).map(forecast).collect::<Vec<_>>()
        });
        batches.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_its_counts_a_curve_is_a_power_law() {
        // 4 and 16 tokens: −1 and −3; halfway in ln n, at 8, −2.
        let forecast = CurveForecast { points: vec![(4, -1.0, 0.2), (16, -3.0, 0.4)] }.at_every_count();
        assert_eq!(forecast.points.iter().map(|(n, ..)| *n).collect::<Vec<_>>(), (4..=16).collect::<Vec<_>>());
        let (n, mean, deviation) = forecast.points[4];
        assert!(n == 8 && (mean + 2.0).abs() < 1e-12 && (deviation - 0.3).abs() < 1e-12);
    }

    #[test]
    fn a_margin_keeps_more_tokens_and_a_hopeless_threshold_all() {
        let forecast = CurveForecast { points: vec![(4, -1.0, 0.5), (8, -2.0, 0.5), (16, -3.0, 0.5)] };
        assert_eq!(forecast.fewest(-2.0, 0.0), 8);
        assert_eq!(forecast.fewest(-2.0, 1.0), 16, "at 8 tokens −2 + 0.5 is too much");
        assert_eq!(forecast.fewest(-2.0, -2.0), 4, "at 4 tokens −1 − 2 · 0.5 just meets it");
        assert_eq!(forecast.fewest(-9.0, 0.0), 16);
    }
}
