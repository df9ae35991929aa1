//! What can be wrong with a token file: where, with which value.

use crate::tokens::InvalidTokens;
use std::fmt;

/// A part of a token file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Magic, version, number of blocks and length of the header.
    Start,
    /// What describes the tokens.
    Header,
    /// The tokens of one block, counted from 0.
    Block(usize),
    /// The hash at the end.
    Checksum,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the start"),
            Self::Header => f.write_str("the header"),
            Self::Block(block) => write!(f, "block {block}"),
            Self::Checksum => f.write_str("the checksum"),
        }
    }
}

/// A token file that cannot be read, written or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// Something else than a token file.
    #[error("this is no token file: it starts with {found:02x?}; a token file (.etok) starts with 89 \"ETOK\"")]
    NotATokenFile {
        /// Up to eight bytes.
        found: Vec<u8>,
    },
    /// A file of a later version.
    #[error("the token file has version {version}, this program reads version {readable}: use a newer elastictok")]
    Version {
        /// The file's.
        version: u32,
        /// Ours.
        readable: u32,
    },
    /// A part is longer than what is left of the file.
    #[error("{part} at byte {offset} needs {needed} bytes, {left} are left: the file is cut short or damaged")]
    Truncated {
        /// Which part.
        part: Part,
        /// Where it starts.
        offset: usize,
        /// Bytes it says it has.
        needed: u64,
        /// Bytes there are.
        left: usize,
    },
    /// A part's check fails.
    #[error("{part} (from byte {offset}) is damaged: its checksum fails; copy or encode the file again")]
    Damaged {
        /// Which part.
        part: Part,
        /// Where it starts.
        offset: usize,
    },
    /// Bytes behind the end.
    #[error("the token file ends at byte {offset}, but {bytes} more bytes follow")]
    Trailing {
        /// Where it should end.
        offset: usize,
        /// How many follow.
        bytes: usize,
    },
    /// A header that is not this version's JSON.
    #[error("the header at byte {offset} cannot be read: {reason}")]
    Header {
        /// Where it starts.
        offset: usize,
        /// What the parser said.
        reason: String,
    },
    /// A value of the header that cannot be.
    #[error("the header has {key} = {value}: {rule}")]
    HeaderValue {
        /// Its key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it must fulfil.
        rule: String,
    },
    /// The header's model cannot be.
    #[error("the header's model cannot be: {0}")]
    Model(String),
    /// A number of blocks that is not that of the frames.
    #[error("the token file has {blocks} blocks, but {frames} frames at {frames_per_block} a block make {expected}")]
    Blocks {
        /// Blocks in the file.
        blocks: u64,
        /// Frames, as the header says.
        frames: usize,
        /// Frames a block of the model.
        frames_per_block: usize,
        /// Blocks of so many frames.
        expected: u64,
    },
    /// Tokens that the header's model cannot have made.
    #[error("block {block}{}: {reason}", at(*.offset))]
    Block {
        /// Which block, counted from 0.
        block: usize,
        /// Where it starts, if it was read from a file.
        offset: Option<usize>,
        /// What is wrong.
        reason: InvalidTokens,
    },
    /// Bits behind a block's last code that are not zero: two files would hold the same tokens.
    #[error("block {block}: the bits that fill the byte {byte:#04x} at byte {offset} must be zero")]
    Padding {
        /// Which block, counted from 0.
        block: usize,
        /// Where the byte is.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// Another model than the file's.
    #[error(
        "the checkpoint is another model: {key} is {model}, the tokens were made with {file}; they need the weights {wanted}"
    )]
    OtherModel {
        /// The first key that differs.
        key: String,
        /// The file's value.
        file: String,
        /// The given model's.
        model: String,
        /// The weights that the file needs.
        wanted: blake3::Hash,
    },
    /// Other weights than the file's.
    #[error("the tokens need the weights {wanted}, the checkpoint has {given}")]
    OtherWeights {
        /// The file's.
        wanted: blake3::Hash,
        /// The given model's.
        given: blake3::Hash,
    },
}

fn at(offset: Option<usize>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}
