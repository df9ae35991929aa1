//! Token files (`.etok`): a picture or a clip as its tokens, and everything needed to know what they are.
//!
//! All numbers are little-endian, of fixed width. Version 1:
//!
//! | bytes      | what |
//! |-----------:|------|
//! | 8          | magic `89 45 54 4f 4b 0d 0a 1a` (`ETOK`; as PNG's, its line ends show a copy made in text mode) |
//! | 4          | version |
//! | 4          | number of blocks |
//! | 8          | length of the header |
//! | so many    | the [`Header`], JSON |
//! | 4          | check of everything before: the first bytes of its blake3 hash |
//! | each block |  |
//! | 4          | kept tokens |
//! | so many    | FSQ: each token's code in ⌈log2 codebook⌉ bits, the first in the lowest bits of the first byte, zero bits up to a whole byte; VAE: each token's mean, `dim` f32 |
//! | 4          | check of this block: the first bytes of the blake3 hash of count and tokens |
//! | end        |  |
//! | 32         | blake3 hash of everything before |
//!
//! The last hash finds every change; the short checks are there to say which part was changed.

mod error;
pub mod export;
mod header;
mod packing;
mod reading;
mod writing;

pub use error::{Part, TokenFileError};
pub use header::{Header, Search, Source};
pub use packing::bits_per_code;

use crate::model::ModelConfig;
use crate::tokens::BlockTokens;

/// What every token file starts with.
pub const MAGIC: [u8; 8] = *b"\x89ETOK\r\n\x1a";

/// Raised when a file of an older version can no longer be read.
const VERSION: u32 = 1;

/// An encoded picture or clip.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFile {
    header: Header,
    blocks: Vec<BlockTokens>,
}

impl TokenFile {
    /// What is written can be read back: header and tokens are checked here.
    ///
    /// # Errors
    /// Numbers of the header that cannot be, tokens that the header's model cannot have made, or blocks that are not
    /// those of the header's frames.
    pub fn new(header: Header, blocks: Vec<BlockTokens>) -> Result<Self, TokenFileError> {
        header.check(blocks.len() as u64)?;
        for (block, tokens) in blocks.iter().enumerate() {
            tokens.check(&header.model).map_err(|reason| TokenFileError::Block { block, offset: None, reason })?;
        }
        Ok(Self { header, blocks })
    }

    /// What the tokens are of, and which model made them.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The tokens of each block, in the order of time.
    pub fn blocks(&self) -> &[BlockTokens] {
        &self.blocks
    }

    /// Bits that all blocks' tokens take in the file, without counts, padding and checks: kept tokens ·
    /// [`bits_per_code`], or 32 · dim a token for a VAE.
    pub fn token_bits(&self) -> u64 {
        let bits = packing::bits_per_token(&self.header.model.bottleneck);
        self.blocks.iter().map(|block| block.kept_tokens as u64 * bits).sum()
    }

    /// Whether a model with this configuration and hash of its weights is the one that made the tokens: any other would
    /// decode them to something else.
    ///
    /// # Errors
    /// What differs: the weights the file wants and those given, or the first key of the configuration.
    pub fn matches(&self, model: &ModelConfig, weights_hash: blake3::Hash) -> Result<(), TokenFileError> {
        if let Some((key, file, model)) = header::first_difference(&self.header.model, model) {
            return Err(TokenFileError::OtherModel { key, file, model, wanted: self.header.weights_hash });
        }
        if self.header.weights_hash != weights_hash {
            return Err(TokenFileError::OtherWeights { wanted: self.header.weights_hash, given: weights_hash });
        }
        Ok(())
    }
}
