//! The models that were released with the paper, by name.

use super::ModelConfig;
use crate::bottleneck::Bottleneck;
use crate::patch::BlockShape;
use crate::precision::Precision;

/// A released model's shape (the reference's «200m»): four frames of 256 × 256 pixels a block, 1024 wide, 10 + 10
/// layers of 8 heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 64 000 codes, 4096 tokens a block, contexts up to 1M tokens.
    Fsq200m,
    /// 8 Gaussian dimensions a token, 2048 tokens a block (patches of two frames), contexts up to 512K tokens.
    Vae200m,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 2] = [Self::Fsq200m, Self::Vae200m];

    /// What it is called: `fsq-200m`, `vae-200m`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsq200m => "fsq-200m",
            Self::Vae200m => "vae-200m",
        }
    }

    /// The preset of this name; none if there is no such.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its shape.
    pub fn config(self) -> ModelConfig {
        let (patch, rope_theta, bottleneck) = match self {
            Self::Fsq200m => ([1, 8, 8], 5e7, Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] }),
            Self::Vae200m => ([2, 8, 8], 5e6, Bottleneck::Vae { dim: 8 }),
        };
        ModelConfig {
            width: 1024,
            hidden: 2048,
            heads: 8,
            encoder_layers: 10,
            decoder_layers: 10,
            rope_theta,
            norm_epsilon: 1e-5,
            init_std: 0.02,
            mask_conditioning: true,
            precision: Precision::F32,
            block: BlockShape { frames: 4, height: 256, width: 256, patch },
            bottleneck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens a block as the release states them; weights by hand: a layer has 4·1024² + 3·1024·2048 + 2·1024 =
    /// 10 487 808, the ends of FSQ 2·192·1024 + 4·1024 + 12·1024 = 409 600, of the VAE 2·384·1024 + 4·1024 + 24·1024 =
    /// 815 104.
    #[test]
    fn presets_have_the_tokens_and_weights_of_the_release() {
        let facts = Preset::ALL.map(|preset| {
            let config = preset.config();
            config.check().unwrap();
            (preset.name(), config.block.tokens(), config.parameter_count())
        });
        let layers = 20 * 10_487_808;
        assert_eq!(facts, [("fsq-200m", 4096, layers + 409_600), ("vae-200m", 2048, layers + 815_104)]);
    }
}
