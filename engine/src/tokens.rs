//! What is left of a block when it is encoded: its kept tokens, as a file holds them and the decoder reads them.

use crate::bottleneck::{Bottleneck, Fsq};
use crate::inference::Committed;
use crate::model::ModelConfig;

/// The kept tokens of one block: the first ones, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockTokens {
    /// How many tokens the block keeps, at least one.
    pub kept_tokens: usize,
    /// What they say.
    pub values: TokenValues,
}

/// What tokens say, as the model's bottleneck has it.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenValues {
    /// FSQ: the number of each kept token's code, below the codebook's size.
    Codes(Vec<u32>),
    /// VAE: the mean of each token, (kept tokens, dim).
    Means(Vec<f32>),
}

/// Tokens that no model of a configuration can have made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidTokens {
    /// No token, or more than a block has.
    #[error("it keeps {kept_tokens} tokens, a block of this model has 1 to {tokens}")]
    Count {
        /// What was given.
        kept_tokens: u64,
        /// All tokens of a block.
        tokens: usize,
    },
    /// More or fewer values than the kept tokens have.
    #[error("it holds {values} values for {kept_tokens} kept tokens, which have {expected}")]
    Values {
        /// Values given.
        values: usize,
        /// Kept tokens.
        kept_tokens: usize,
        /// Values of so many tokens.
        expected: usize,
    },
    /// A number that names no code.
    #[error("token {token} has code {code}, the codebook has {codebook}")]
    Code {
        /// Which token, counted from 0.
        token: usize,
        /// Its number.
        code: u32,
        /// How many codes there are.
        codebook: u64,
    },
    /// A mean that is not a number.
    #[error("token {token} has the mean {mean}")]
    Mean {
        /// Which token, counted from 0.
        token: usize,
        /// The mean.
        mean: f32,
    },
    /// Codes for a VAE, or means for FSQ.
    #[error("it holds {found}, the model's bottleneck makes {expected}")]
    Kind {
        /// What was given.
        found: &'static str,
        /// What the bottleneck makes.
        expected: &'static str,
    },
}

impl BlockTokens {
    /// The tokens of a block that was [committed](crate::BlockSequence::commit) with so many.
    pub fn of(committed: &Committed, kept_tokens: usize) -> Self {
        let values = match &committed.codes {
            Some(codes) => TokenValues::Codes(codes.clone()),
            None => TokenValues::Means(committed.latents.clone()),
        };
        Self { kept_tokens, values }
    }

    /// Whether a model of this configuration can have made these tokens.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, model: &ModelConfig) -> Result<(), InvalidTokens> {
        Self::check_count(self.kept_tokens as u64, model)?;
        let width = match (&self.values, &model.bottleneck) {
            (TokenValues::Codes(_), Bottleneck::Fsq { .. }) => 1,
            (TokenValues::Means(_), Bottleneck::Vae { dim }) => *dim,
            (TokenValues::Codes(_), Bottleneck::Vae { .. }) => {
                return Err(InvalidTokens::Kind { found: "codes", expected: "means" });
            }
            (TokenValues::Means(_), Bottleneck::Fsq { .. }) => {
                return Err(InvalidTokens::Kind { found: "means", expected: "codes" });
            }
        };
        let (values, expected) = (self.values.len(), self.kept_tokens * width);
        if values != expected {
            return Err(InvalidTokens::Values { values, kept_tokens: self.kept_tokens, expected });
        }
        match &self.values {
            TokenValues::Codes(codes) => {
                let codebook = model.bottleneck.codebook_size().expect("codes come from FSQ");
                let wrong = codes.iter().enumerate().find(|(_, code)| u64::from(**code) >= codebook);
                wrong.map_or(Ok(()), |(token, code)| Err(InvalidTokens::Code { token, code: *code, codebook }))
            }
            TokenValues::Means(means) => {
                let wrong = means.iter().enumerate().find(|(_, mean)| !mean.is_finite());
                wrong.map_or(Ok(()), |(i, mean)| Err(InvalidTokens::Mean { token: i / width, mean: *mean }))
            }
        }
    }

    /// The first part of [`check`](Self::check): a block keeps at least one token and at most all.
    pub(crate) fn check_count(kept_tokens: u64, model: &ModelConfig) -> Result<(), InvalidTokens> {
        let tokens = model.block.tokens();
        if (1..=tokens as u64).contains(&kept_tokens) {
            Ok(())
        } else {
            Err(InvalidTokens::Count { kept_tokens, tokens })
        }
    }

    /// What the decoder reads: (all tokens of a block, dims), 0 where a token was dropped.
    pub(crate) fn latents(&self, model: &ModelConfig) -> Vec<f32> {
        let mut latents = match (&self.values, &model.bottleneck) {
            (TokenValues::Codes(codes), Bottleneck::Fsq { levels }) => {
                let fsq = Fsq::new(levels);
                codes.iter().flat_map(|code| fsq.code_of(*code)).collect()
            }
            (TokenValues::Means(means), _) => means.clone(),
            (TokenValues::Codes(_), Bottleneck::Vae { .. }) => unreachable!("checked tokens fit the bottleneck"),
        };
        latents.resize(model.block.tokens() * model.bottleneck.output_width(), 0.0);
        latents
    }
}

impl TokenValues {
    /// How many numbers there are: kept tokens, for a VAE times its dimensions.
    #[allow(clippy::len_without_is_empty)] // a block keeps at least one token
    pub fn len(&self) -> usize {
        match self {
            Self::Codes(codes) => codes.len(),
            Self::Means(means) => means.len(),
        }
    }
}
