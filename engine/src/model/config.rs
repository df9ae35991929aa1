//! What decides a model's shape.

use crate::bottleneck::Bottleneck;
use crate::error::EngineError;
use crate::patch::BlockShape;
use serde::{Deserialize, Serialize};

/// A model's shape and initialization; checked by [`ModelConfig::check`] before a model is made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of a token inside the transformer.
    pub width: usize,
    /// Width of SwiGLU's hidden layer.
    pub hidden: usize,
    /// Attention heads; each has width / heads values.
    pub heads: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// ε of RMSNorm.
    pub norm_epsilon: f32,
    /// Standard deviation of freshly drawn weights.
    pub init_std: f32,
    /// How a block is cut into patches.
    pub block: BlockShape,
    /// What a token may say.
    pub bottleneck: Bottleneck,
}

impl ModelConfig {
    /// Fails with the first key that cannot be.
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
        for (key, value) in [("model.rope_theta", self.rope_theta), ("model.init_std", self.init_std)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(EngineError::config(key, value, "must be a positive number"));
            }
        }
        BlockShape::new(self.block.frames, self.block.height, self.block.width, self.block.patch)?;
        self.bottleneck.check()
    }

    /// Floating-point operations of encoding and decoding once, for `sequences` × `blocks` blocks: two a
    /// multiply-add, in linear maps and attention (only what the block-causal mask lets through).
    pub fn forward_flops(&self, sequences: usize, blocks: usize) -> f64 {
        let (width, tokens) = (self.width as f64, self.block.tokens() as f64);
        let layer = 4.0 * width * width + 3.0 * width * self.hidden as f64;
        let ends = 2.0 * self.block.patch_values() as f64 * width
            + width * (self.bottleneck.input_width() + self.bottleneck.output_width()) as f64;
        let layers = (self.encoder_layers + self.decoder_layers) as f64;
        let pairs = tokens * tokens * (blocks * (blocks + 1)) as f64 / 2.0;
        sequences as f64 * (2.0 * (layers * layer + ends) * tokens * blocks as f64 + layers * 4.0 * pairs * width)
    }
}
