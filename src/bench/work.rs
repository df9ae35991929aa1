//! What is timed: whole steps of models of four sizes.

use clap::ValueEnum;
use engine::model::Preset;
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig, Precision};
use serde_json::{Value, json};

/// A step that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkName {
    /// Training: 256 wide, 4 + 4 layers, 16 sequences of one block of 256 tokens.
    S,
    /// Training: 512 wide, 6 + 6 layers, 2 sequences of one block of 1024 tokens.
    M,
    /// Reconstruction: the vae-200m preset, one block of 2048 tokens.
    F,
    /// Training: 256 wide, 1 + 1 layers, one sequence of 16 blocks of 1024 tokens.
    L,
}

/// A model and what goes through it in one step.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) model: ModelConfig,
    pub(super) sequences: usize,
    /// Of each sequence.
    pub(super) blocks: usize,
    /// Forward, backward and update; otherwise forward alone.
    pub(super) is_training: bool,
}

impl Work {
    /// In this precision, with so many blocks a sequence instead of those of the name.
    pub(super) fn named(name: WorkName, blocks: Option<usize>, precision: Precision) -> Result<Self, EngineError> {
        let fsq = || Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] };
        let (model, sequences, own_blocks) = match name {
            WorkName::S => (model(256, 4, 4, 128, fsq())?, 16, 1),
            WorkName::M => (model(512, 8, 6, 256, fsq())?, 2, 1),
            WorkName::F => (Preset::Vae200m.config(), 1, 1),
            WorkName::L => (model(256, 4, 1, 256, Bottleneck::Vae { dim: 8 })?, 1, 16),
        };
        let model = ModelConfig { precision, ..model };
        Ok(Self { model, sequences, blocks: blocks.unwrap_or(own_blocks), is_training: name != WorkName::F })
    }

    pub(super) fn tokens(&self) -> usize {
        self.sequences * self.blocks * self.model.block.tokens()
    }

    /// Of linear maps and attention; a training step is three forward passes.
    pub(super) fn flops(&self) -> f64 {
        let forward = self.model.encoder_flops(self.blocks) + self.model.decoder_flops(self.blocks);
        let passes = if self.is_training { 3.0 } else { 1.0 };
        passes * self.sequences as f64 * forward
    }

    /// The same for a program that is not ours.
    pub(super) fn json(&self) -> Value {
        let ModelConfig { width, hidden, heads, encoder_layers, decoder_layers, .. } = self.model;
        let (levels, dim) = match &self.model.bottleneck {
            Bottleneck::Fsq { levels } => (Some(levels), None),
            Bottleneck::Vae { dim } => (None, Some(dim)),
        };
        json!({
            "model": {
                "width": width, "hidden": hidden, "heads": heads,
                "encoder_layers": encoder_layers, "decoder_layers": decoder_layers,
                "rope_theta": self.model.rope_theta, "norm_epsilon": self.model.norm_epsilon,
                "tokens_per_block": self.model.block.tokens(), "patch": self.model.block.patch_values(),
                "levels": levels, "dim": dim,
            },
            "sequences": self.sequences, "blocks": self.blocks, "is_training": self.is_training,
        })
    }
}

/// A model with SwiGLU twice as wide as a token, for blocks of one square frame.
fn model(
    width: usize,
    heads: usize,
    layers: usize,
    side: usize,
    bottleneck: Bottleneck,
) -> Result<ModelConfig, EngineError> {
    Ok(ModelConfig {
        width,
        hidden: 2 * width,
        heads,
        encoder_layers: layers,
        decoder_layers: layers,
        rope_theta: 5e6,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        precision: Precision::F32,
        mask_conditioning: true,
        block: BlockShape::new(1, side, side, [1, 8, 8])?,
        bottleneck,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GFLOP by hand: multiply-adds of a layer's maps (4·w² + 3·w·2w) and of the ends, two each; scores and values of
    /// every pair that may see each other, four a width.
    #[test]
    fn steps_are_as_much_work_as_they_say() {
        let gigaflop = |name| (Work::named(name, None, Precision::F32).unwrap().flops() / 1e9).round();
        assert_eq!([WorkName::S, WorkName::M, WorkName::F, WorkName::L].map(gigaflop), [157.0, 544.0, 1206.0, 1015.0]);
    }
}
