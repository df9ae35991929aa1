//! ElasticTok's model, its training and its data: blocks of patches in, a variable number of tokens out.
//!
//! Read in this order: [`patch`] (pixels ↔ tokens), [`mask`] (which tokens survive), [`bottleneck`] (what a token may
//! say), [`model`] (the equations), [`ops`] (the arithmetic and its gradients), [`train`] (optimizer, checkpoints),
//! [`data`] (photographs, videos), [`regressor`] (how many tokens a block will need, without asking the model),
//! [`released`] (checkpoints of the reference implementation), [`token_file`] (an encoded picture or clip as a file),
//! [`perceptual`] (how different two pictures look).

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
pub mod random;
pub mod regressor;
pub mod released;
pub mod tensor;
pub mod token_file;
pub mod tokens;
pub mod train;

pub use block::Layout;
pub use bottleneck::Bottleneck;
pub use decoding::{TokenDecoder, reconstruct_from_tokens};
pub use error::EngineError;
pub use inference::{BlockSequence, Committed, Encoding, NextBlock};
pub use mask::{Budget, PrefixMask, TokenRange};
pub use model::{ElasticTok, ModelConfig};
pub use patch::BlockShape;
pub use perceptual::PerceptualNetwork;
pub use regressor::{Regressor, RegressorConfig};
pub use token_file::{TokenFile, TokenFileError};
pub use tokens::{BlockTokens, TokenValues};
