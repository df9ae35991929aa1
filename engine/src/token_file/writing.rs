//! A token file's bytes.

use super::{MAGIC, TokenFile, VERSION, packing};
use crate::tokens::TokenValues;

impl TokenFile {
    /// The file. The same tokens and header give the same bytes everywhere.
    ///
    /// # Panics
    /// For 2³² blocks or more.
    pub fn write(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("a checked header is plain data");
        let blocks = u32::try_from(self.blocks.len()).expect("a file holds fewer than 2³² blocks");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(blocks.to_le_bytes());
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        bytes.extend(check(&bytes));
        for block in &self.blocks {
            let start = bytes.len();
            let kept_tokens = u32::try_from(block.kept_tokens).expect("a block has fewer than 2³² tokens");
            bytes.extend(kept_tokens.to_le_bytes());
            match &block.values {
                TokenValues::Codes(codes) => {
                    let bits = packing::bits_per_code(&self.header.model.bottleneck).expect("codes come from FSQ");
                    packing::pack(codes, bits, &mut bytes);
                }
                TokenValues::Means(means) => bytes.extend(means.iter().flat_map(|mean| mean.to_le_bytes())),
            }
            bytes.extend(check(&bytes[start..]));
        }
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }
}

/// The short check of a part.
pub(super) fn check(part: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(part);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}
