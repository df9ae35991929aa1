//! ElasticTok's model, its training and its data: blocks of patches in, a variable number of tokens out.
//!
//! Read in this order: [`patch`] (pixels ↔ tokens), [`mask`] (which tokens survive), [`bottleneck`] (what a token may
//! say), [`model`] (the equations), [`ops`] (the arithmetic and its gradients), [`train`] (optimizer, checkpoints),
//! [`ring`] (sequences longer than one worker holds), [`plan`] (what that will cost), [`data`] (photographs, videos),
//! [`regressor`] (how many tokens a block will need, without asking the model), [`released`] (checkpoints of the reference
//! implementation), [`token_file`] (an encoded picture or clip as a file), [`perceptual`] (how different two pictures look).
//!
//! How these pages speak:
//!
//! - A shape is (rows, columns, …), last axis fastest. n rows are the tokens of a batch: sequence after sequence, block
//!   after block, token after token ([`Layout`]). (n, q | k | v) are rows that hold the three side by side.
//! - Pixels are values in [−1, 1] ([`patch::normalize`]). Distortion is the mean squared error of a block there, after
//!   the reconstruction was clipped to that range: PSNR = 10·log10(4 / distortion) dB.
//! - «The paper» is ElasticTok (Yan et al. 2024, arXiv 2410.08368). «The reference» is its released code
//!   (`LargeWorldModel/ElasticTok`), which decides where the paper is silent. Other sources are named where they are
//!   used.
//! - What does not have the stated shape or range is a caller's mistake: the call panics or returns nonsense. `# Panics`
//!   says what is checked.

#![warn(clippy::missing_errors_doc)]

mod array_file;
pub mod atomic_file;
pub mod block;
pub mod bottleneck;
pub mod data;
pub mod decoding;
pub mod error;
pub mod inference;
mod kernel;
pub mod mask;
pub mod model;
pub mod ops;
pub mod parameters;
pub mod patch;
pub mod perceptual;
pub mod plan;
pub mod precision;
pub mod random;
pub mod regressor;
pub mod released;
pub mod ring;
pub mod tensor;
pub mod token_file;
pub mod tokens;
pub mod train;
pub mod whole;

pub use block::Layout;
pub use bottleneck::Bottleneck;
pub use decoding::{TokenDecoder, reconstruct_from_tokens};
pub use error::EngineError;
pub use inference::{BlockSequence, Committed, Encoding, NextBlock};
pub use mask::{Budget, PrefixMask, TokenRange};
pub use model::{ElasticTok, ModelConfig};
pub use patch::BlockShape;
pub use perceptual::PerceptualNetwork;
pub use precision::Precision;
pub use regressor::{Regressor, RegressorConfig};
pub use token_file::{TokenFile, TokenFileError};
pub use tokens::{BlockTokens, TokenValues};
pub use whole::SharedSequences;
