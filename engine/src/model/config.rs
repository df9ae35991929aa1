//! What decides a model's shape.

use super::layer::LayerShape;
use crate::bottleneck::Bottleneck;
use crate::error::EngineError;
use crate::patch::BlockShape;
use crate::precision::Precision;
use serde::{Deserialize, Serialize};

/// A model's shape and initialization; checked by [`ModelConfig::check`] before a model is made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of a token inside the transformer, 1 to 65536: a multiple of 2 · heads.
    pub width: usize,
    /// Width of SwiGLU's hidden layer, 1 to 65536.
    pub hidden: usize,
    /// Attention heads; each has d = width / heads values.
    pub heads: usize,
    /// Layers of the encoder, at least 1.
    pub encoder_layers: usize,
    /// Layers of the decoder, at least 1.
    pub decoder_layers: usize,
    /// Base θ of the rotary frequencies, above 0 (released: 5e7 with FSQ, 5e6 with VAE).
    pub rope_theta: f32,
    /// ε of RMSNorm, above 0 (released: 1e-5).
    pub norm_epsilon: f32,
    /// Standard deviation of freshly drawn weights, above 0; the reference's 0.02 if a file does not say.
    #[serde(default = "reference_init_std")]
    pub init_std: f32,
    /// Whether the encoder is told which tokens will be kept, as the paper's is. Without, it need run only once a
    /// block.
    #[serde(default = "yes")]
    pub mask_conditioning: bool,
    /// Arithmetic of the layers; the maps at the ends, of patches and codes, are f32 always. Left out of files where it is
    /// f32, so that older ones keep their identity.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
    /// How a block is cut into patches.
    pub block: BlockShape,
    /// What a token may say.
    pub bottleneck: Bottleneck,
}

fn reference_init_std() -> f32 {
    0.02
}

fn yes() -> bool {
    true
}

impl ModelConfig {
    /// The shape of its layers.
    pub(super) fn layer(&self) -> LayerShape {
        let Self { width, hidden, heads, norm_epsilon, precision, .. } = *self;
        LayerShape { width, hidden, heads, norm_epsilon, precision }
    }

    /// Whether a model can be made of it.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first key that cannot be.
    pub fn check(&self) -> Result<(), EngineError> {
        let positive = [
            ("model.width", self.width),
            ("model.hidden", self.hidden),
            ("model.heads", self.heads),
            ("model.encoder_layers", self.encoder_layers),
            ("model.decoder_layers", self.decoder_layers),
        ];
        for (key, value) in positive {
            if !(1..=1 << 16).contains(&value) {
                return Err(EngineError::config(key, value, "must be 1 to 65536"));
            }
        }
        if !self.width.is_multiple_of(2 * self.heads) {
            let rule = format!("heads of even width must divide model.width = {}", self.width);
            return Err(EngineError::config("model.heads", self.heads, rule));
        }
        let positive = [
            ("model.rope_theta", self.rope_theta),
            ("model.init_std", self.init_std),
            ("model.norm_epsilon", self.norm_epsilon),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(EngineError::config(key, value, "must be a positive number"));
            }
        }
        BlockShape::new(self.block.frames, self.block.height, self.block.width, self.block.patch)?;
        self.bottleneck.check()
    }

    /// How many weights, single numbers, a model of this shape has.
    pub fn parameter_count(&self) -> usize {
        let (width, hidden) = (self.width, self.hidden);
        let layer = 4 * width * width + 3 * width * hidden + 2 * width;
        let codes = self.bottleneck.input_width() + self.bottleneck.output_width();
        // Two projections of patches, two embeddings, two final norms.
        let ends = 2 * self.block.patch_values() * width + 4 * width + codes * width;
        (self.encoder_layers + self.decoder_layers) * layer + ends
    }

    /// Floating-point operations of encoding `blocks` blocks of one sequence once: two a multiply-add, in linear maps
    /// and attention (only what the block-causal mask lets through).
    pub fn encoder_flops(&self, blocks: usize) -> f64 {
        self.flops(self.encoder_layers, self.bottleneck.input_width(), blocks)
    }

    /// The same for decoding them.
    pub fn decoder_flops(&self, blocks: usize) -> f64 {
        self.flops(self.decoder_layers, self.bottleneck.output_width(), blocks)
    }

    /// Those of linear maps alone, for one token through encoder and decoder.
    pub fn linear_flops(&self) -> f64 {
        let encoder = self.linear_flops_of(self.encoder_layers, self.bottleneck.input_width());
        encoder + self.linear_flops_of(self.decoder_layers, self.bottleneck.output_width())
    }

    fn flops(&self, layers: usize, code: usize, blocks: usize) -> f64 {
        let tokens = self.block.tokens() as f64;
        let pairs = tokens * tokens * (blocks * (blocks + 1)) as f64 / 2.0;
        self.linear_flops_of(layers, code) * tokens * blocks as f64 + layers as f64 * 4.0 * pairs * self.width as f64
    }

    fn linear_flops_of(&self, layers: usize, code: usize) -> f64 {
        let width = self.width as f64;
        let layer = 4.0 * width * width + 3.0 * width * self.hidden as f64;
        let ends = width * (self.block.patch_values() + code) as f64;
        2.0 * (layers as f64 * layer + ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the PyTorch peer: S is 157 GFLOP a train step (3 forward passes) of 16 sequences.
    #[test]
    fn flops_of_configuration_s_are_those_of_its_table() {
        let config = ModelConfig {
            width: 256,
            hidden: 512,
            heads: 4,
            encoder_layers: 4,
            decoder_layers: 4,
            rope_theta: 1e4,
            norm_epsilon: 1e-5,
            init_std: 0.02,
            mask_conditioning: true,
            precision: Precision::F32,
            block: BlockShape::new(1, 128, 128, [1, 8, 8]).unwrap(),
            bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
        };
        let step = 3.0 * 16.0 * (config.encoder_flops(1) + config.decoder_flops(1));
        assert_eq!((step / 1e9).round(), 157.0);
    }
}
