//! ElasticTok: an autoencoder over blocks of patches whose encoder knows how many tokens each block will keep.
//!
//! Paper, method and figure 2; in detail the reference's `elastic/model.py`. For n tokens, with x the patches:
//!
//! ```text
//! h = x·W_in + e                       (n, patch) → (n, width)   e = e_kept if the token will be kept, else e_masked
//! u = RMSNorm(layers(h))·W_pre         (n, width) → (n, in)      encoder_layers layers of block-causal attention
//! z = bottleneck(u)                    (n, in) → (n, dims)       0 where the token is dropped
//! h = z·W_post                         (n, dims) → (n, width)
//! x̂ = tanh(RMSNorm(layers(h))·W_out)   (n, width) → (n, patch)   decoder_layers layers, at the same positions
//! ```
//!
//! in is [`Bottleneck::input_width`], dims [`Bottleneck::output_width`]. Only e and the zeroes of z depend on the mask:
//! dropped tokens attend, and are attended to, on both sides. Without [`ModelConfig::mask_conditioning`] e is e_kept
//! throughout.

mod config;
mod file;
mod layer;
mod presets;

pub use config::ModelConfig;
pub use file::{ModelInfo, load_model, save_model};
pub use layer::{Layer, LayerShape};
pub(crate) use layer::{through, through_alone};
pub use presets::Preset;

use crate::block::Layout;
use crate::bottleneck::{Bottleneck, Fsq};
use crate::error::EngineError;
use crate::mask::PrefixMask;
use crate::ops::{self, MaybeTape, RopeTable, Scope};
use crate::parameters::{Parameters as _, parameters};
use crate::precision::Precision;
use crate::tensor::{Parameter, Scalar, Tokens, tokens};
use dfdx::tensor::{NoneTape, WithEmptyTape as _};
use rand::SeedableRng as _;
use rand_distr::Distribution as _;

/// The model: encoder, bottleneck, decoder. Its equations are on the [module's page](self).
///
/// Masks and scopes that are given to it are of the same n tokens as the rows; others are a panic.
#[derive(Clone, Debug)]
pub struct ElasticTok {
    config: ModelConfig,
    encoder: Encoder,
    decoder: Decoder,
}

parameters!(ElasticTok { encoder, decoder });

#[derive(Clone, Debug)]
struct Encoder {
    in_proj: Parameter,
    kept_embedding: Parameter,
    masked_embedding: Parameter,
    layers: Vec<Layer>,
    norm: Parameter,
    pre_quant: Parameter,
}

parameters!(Encoder { in_proj, kept_embedding, masked_embedding, layers, norm, pre_quant });

#[derive(Clone, Debug)]
struct Decoder {
    post_quant: Parameter,
    layers: Vec<Layer>,
    norm: Parameter,
    out_proj: Parameter,
}

parameters!(Decoder { post_quant, layers, norm, out_proj });

/// The training loss and its parts (the reference's, without its perceptual part: see [`crate::perceptual`]).
pub struct Loss<T> {
    /// mse + kl_weight · kl.
    pub total: Scalar<T>,
    /// Mean squared error of the reconstruction in [−1, 1], of dropped tokens' patches too.
    pub mse: f32,
    /// The VAE's divergence in nats, summed over a block's kept tokens and dims, averaged over blocks; 0 for FSQ.
    pub kl: f32,
    /// The reconstructed patches (n, patch) in (−1, 1), with an empty tape: what further losses start from.
    pub reconstruction: Tokens<T>,
}

impl ElasticTok {
    /// Fresh weights drawn from `seed`: Gaussian, deviation [`ModelConfig::init_std`], width^−½ for the two embeddings;
    /// norms start at 1 (as the reference).
    ///
    /// # Errors
    /// [`EngineError::Config`] for a configuration that does not pass [`ModelConfig::check`].
    pub fn new(config: ModelConfig, seed: u64) -> Result<Self, EngineError> {
        let init = Init::new(config.init_std, seed);
        Self::drawn(config, init)
    }

    /// Weights to be filled in: all zero, so that memory is touched only when they are.
    pub(crate) fn blank(config: ModelConfig) -> Result<Self, EngineError> {
        Self::drawn(config, Init::blank())
    }

    fn drawn(config: ModelConfig, mut init: Init) -> Result<Self, EngineError> {
        config.check()?;
        let width = config.width;
        let patch = config.block.patch_values();
        let encoder = Encoder {
            in_proj: init.normal(patch, width),
            kept_embedding: init.embedding(width),
            masked_embedding: init.embedding(width),
            layers: (0..config.encoder_layers).map(|_| Layer::new(config.layer(), &mut init)).collect(),
            norm: init.ones(width),
            pre_quant: init.normal(width, config.bottleneck.input_width()),
        };
        let decoder = Decoder {
            post_quant: init.normal(config.bottleneck.output_width(), width),
            layers: (0..config.decoder_layers).map(|_| Layer::new(config.layer(), &mut init)).collect(),
            norm: init.ones(width),
            out_proj: init.normal(width, patch),
        };
        Ok(Self { config, encoder, decoder })
    }

    /// Whether layers keep their input alone for the backward pass, which then computes all else again.
    pub(crate) fn recompute_layers(&mut self, recomputes: bool) {
        let layers = self.encoder.layers.iter_mut().chain(&mut self.decoder.layers);
        layers.for_each(|layer| layer.recompute(recomputes));
    }

    /// How many weights it has a name for.
    pub(crate) fn weights(&self) -> usize {
        let mut weights = 0;
        self.visit("", &mut |_, _| weights += 1);
        weights
    }

    /// What it was made of.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The layout of a batch of `sequences` sequences of `blocks` blocks.
    pub fn layout(&self, sequences: usize, blocks: usize) -> Layout {
        Layout { sequences, blocks, tokens_per_block: self.config.block.tokens() }
    }

    /// Patches (n, patch) in [−1, 1] → what the bottleneck reads, u (n, in).
    pub fn encode<T: MaybeTape>(&self, patches: Tokens<T>, mask: &PrefixMask, scope: &Scope) -> Tokens<T> {
        self.encode_through(patches, mask, self.through(scope))
    }

    /// [`encode`](Self::encode), whatever its layers attend to.
    pub(crate) fn encode_through<T: MaybeTape>(
        &self,
        patches: Tokens<T>,
        mask: &PrefixMask,
        through: impl FnOnce(&[Layer], Tokens<T>) -> Tokens<T>,
    ) -> Tokens<T> {
        let e = &self.encoder;
        let told = if self.config.mask_conditioning { mask.clone() } else { mask.keeping_all() };
        let h = ops::patch_embed(patches, &e.in_proj, &e.kept_embedding, &e.masked_embedding, &told);
        let h = through(&e.layers, h);
        ops::norm_linear(h, &e.norm, &e.pre_quant, self.config.norm_epsilon, Precision::F32)
    }

    /// What the bottleneck reads, (n, in) → z (n, dims), 0 where a token is dropped. `noise`, n · dims standard normal
    /// values, is for a VAE in training.
    pub fn bottleneck<T: MaybeTape>(&self, h: Tokens<T>, noise: Option<Vec<f32>>, mask: &PrefixMask) -> Tokens<T> {
        match &self.config.bottleneck {
            Bottleneck::Fsq { levels } => ops::quantize(h, &Fsq::new(levels), mask),
            Bottleneck::Vae { .. } => ops::sample(h, noise, mask),
        }
    }

    /// z (n, dims) → patches (n, patch) in (−1, 1).
    pub fn decode<T: MaybeTape>(&self, z: Tokens<T>, scope: &Scope) -> Tokens<T> {
        self.decode_through(z, self.through(scope))
    }

    /// [`decode`](Self::decode), whatever its layers attend to.
    pub(crate) fn decode_through<T: MaybeTape>(
        &self,
        z: Tokens<T>,
        through: impl FnOnce(&[Layer], Tokens<T>) -> Tokens<T>,
    ) -> Tokens<T> {
        let d = &self.decoder;
        let h = through(&d.layers, ops::linear(z, &d.post_quant, Precision::F32));
        ops::norm_linear_tanh(h, &d.norm, &d.out_proj, self.config.norm_epsilon, Precision::F32)
    }

    /// Patches (n, patch) → reconstructed patches (n, patch) with the tokens that `mask` keeps; a VAE uses its mean.
    pub fn reconstruct(&self, patches: Tokens, mask: &PrefixMask, scope: &Scope) -> Tokens {
        let through = self.through(scope);
        let z = self.bottleneck(self.encode_through(patches, mask, &through), None, mask);
        self.decode_through(z, through)
    }

    /// The training loss of a batch: mean((x̂ − x)²) + kl_weight · KL (VAE only; reference: kl_weight = 1e-8).
    ///
    /// `taped` are the patches (n, patch) with the tape that records, `patches` the same as target; `noise` as for
    /// [`bottleneck`](Self::bottleneck).
    pub fn loss<T: MaybeTape + dfdx::tensor::Merge<T>>(
        &self,
        taped: Tokens<T>,
        patches: &Tokens,
        mask: &PrefixMask,
        scope: &Scope,
        noise: Option<Vec<f32>>,
        kl_weight: f32,
    ) -> Loss<T> {
        self.loss_through(taped, patches, mask, noise, kl_weight, self.through(scope))
    }

    /// [`loss`](Self::loss), whatever its layers attend to; of a worker's rows, the mean over them.
    pub(crate) fn loss_through<T: MaybeTape + dfdx::tensor::Merge<T>>(
        &self,
        taped: Tokens<T>,
        patches: &Tokens,
        mask: &PrefixMask,
        noise: Option<Vec<f32>>,
        kl_weight: f32,
        through: impl Fn(&[Layer], Tokens<T>) -> Tokens<T>,
    ) -> Loss<T> {
        let h = self.encode_through(taped, mask, &through);
        let gaussian = match self.config.bottleneck {
            Bottleneck::Fsq { .. } => None,
            Bottleneck::Vae { .. } => Some(h.with_empty_tape()),
        };
        let reconstruction = self.decode_through(self.bottleneck(h, noise, mask), &through);
        let further = reconstruction.with_empty_tape();
        let mse = ops::mse(reconstruction, patches);
        let mse_value = crate::tensor::value(&mse);
        match gaussian {
            None => Loss { total: mse, mse: mse_value, kl: 0.0, reconstruction: further },
            Some(gaussian) => {
                let kl = ops::kl_divergence(gaussian, mask);
                let kl_value = crate::tensor::value(&kl);
                Loss { total: mse + kl * kl_weight, mse: mse_value, kl: kl_value, reconstruction: further }
            }
        }
    }

    /// How its heads turn tokens at these positions.
    pub(crate) fn rope(&self, positions: impl Iterator<Item = usize> + Clone) -> RopeTable {
        RopeTable::at_positions(positions, self.config.width / self.config.heads, self.config.rope_theta)
    }

    /// Layers of one worker on whole sequences; encoder and decoder share its table of angles.
    fn through<T: MaybeTape>(&self, scope: &Scope) -> impl Fn(&[Layer], Tokens<T>) -> Tokens<T> {
        let rope = self.rope(0..scope.layout.tokens_per_sequence());
        move |layers, h| through_alone(layers, h, &rope, scope)
    }
}

/// Makes the weights of a new model.
pub(crate) struct Init {
    std: f32,
    /// Draws them, one after another from one stream; without it they are zero.
    random: Option<rand_chacha::ChaCha8Rng>,
}

impl Init {
    pub(crate) fn new(std: f32, seed: u64) -> Self {
        Self { std, random: Some(rand_chacha::ChaCha8Rng::seed_from_u64(seed)) }
    }

    pub(crate) fn blank() -> Self {
        Self { std: 0.0, random: None }
    }

    fn draw(&mut self, rows: usize, columns: usize, std: f32) -> Parameter {
        let values = match &mut self.random {
            Some(random) => {
                let normal = rand_distr::Normal::new(0.0, std);
                let normal = normal.expect("a checked configuration has a positive deviation");
                normal.sample_iter(random).take(rows * columns).collect()
            }
            None => vec![0.0; rows * columns],
        };
        tokens(values, rows, columns)
    }

    pub(crate) fn normal(&mut self, input: usize, output: usize) -> Parameter {
        self.draw(input, output, self.std)
    }

    /// Embeddings start at width^−½, as in the reference.
    pub(crate) fn embedding(&mut self, width: usize) -> Parameter {
        self.draw(1, width, (width as f32).powf(-0.5))
    }

    pub(crate) fn ones(&mut self, width: usize) -> Parameter {
        tokens(vec![1.0; width], 1, width)
    }
}

/// Tokens without a tape are what inference works on.
pub type Untaped = Tokens<NoneTape>;
