//! Reading a token file that may be cut short, damaged or made to harm: nothing is believed before it is checked, and
//! nothing is allocated that the bytes at hand do not fill (a code of one bit becomes four bytes: 32 times a block's).

use super::error::{Part, TokenFileError};
use super::writing::check;
use super::{Header, MAGIC, TokenFile, VERSION, packing};
use crate::tokens::{BlockTokens, TokenValues};

impl TokenFile {
    /// Reads the bytes of a whole file.
    ///
    /// # Errors
    /// The first thing that is wrong, from the start: where it is and what it says. Every change of a written file is
    /// an error.
    pub fn read(bytes: &[u8]) -> Result<Self, TokenFileError> {
        let mut rest = Rest { bytes, offset: 0 };
        let (header, blocks) = read_header(&mut rest)?;
        let mut read = Vec::new();
        for block in 0..blocks {
            read.push(read_block(&mut rest, &header, block as usize)?);
        }
        let end = rest.offset;
        let hash = rest.take::<32>(Part::Checksum)?;
        if rest.offset < bytes.len() {
            return Err(TokenFileError::Trailing { offset: rest.offset, bytes: bytes.len() - rest.offset });
        }
        if blake3::hash(&bytes[..end]) != blake3::Hash::from_bytes(hash) {
            return Err(TokenFileError::Damaged { part: Part::Checksum, offset: end });
        }
        Ok(Self { header, blocks: read })
    }
}

/// The start and the header; how many blocks follow.
fn read_header(rest: &mut Rest<'_>) -> Result<(Header, u32), TokenFileError> {
    let magic = &rest.bytes[..rest.bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) || magic.is_empty() {
        return Err(TokenFileError::NotATokenFile { found: magic.to_vec() });
    }
    rest.take::<8>(Part::Start)?;
    let version = u32::from_le_bytes(rest.take(Part::Start)?);
    if version != VERSION {
        return Err(TokenFileError::Version { version, readable: VERSION });
    }
    let blocks = u32::from_le_bytes(rest.take(Part::Start)?);
    let length = u64::from_le_bytes(rest.take(Part::Start)?);
    let offset = rest.offset;
    let json = rest.take_slice(length, Part::Header)?;
    let checked = &rest.bytes[..rest.offset];
    if rest.take(Part::Header)? != check(checked) {
        return Err(TokenFileError::Damaged { part: Part::Header, offset: 0 });
    }
    let header: Header =
        serde_json::from_slice(json).map_err(|error| TokenFileError::Header { offset, reason: error.to_string() })?;
    header.check(u64::from(blocks))?;
    Ok((header, blocks))
}

fn read_block(rest: &mut Rest<'_>, header: &Header, block: usize) -> Result<BlockTokens, TokenFileError> {
    let (part, offset, bottleneck) = (Part::Block(block), rest.offset, &header.model.bottleneck);
    let kept_tokens = u32::from_le_bytes(rest.take(part)?);
    let length = (u64::from(kept_tokens) * packing::bits_per_token(bottleneck)).div_ceil(8);
    let payload = rest.take_slice(length, part)?;
    let checked = &rest.bytes[offset..rest.offset];
    if rest.take(part)? != check(checked) {
        return Err(TokenFileError::Damaged { part, offset });
    }
    let invalid = |reason| TokenFileError::Block { block, offset: Some(offset), reason };
    BlockTokens::check_count(u64::from(kept_tokens), &header.model).map_err(invalid)?;
    let kept_tokens = kept_tokens as usize;
    let values = match packing::bits_per_code(bottleneck) {
        Some(bits) => {
            let (codes, fill) = packing::unpack(payload, bits, kept_tokens);
            if fill != 0 {
                let byte = *payload.last().expect("a kept token has bits");
                return Err(TokenFileError::Padding { block, offset: offset + 3 + payload.len(), byte });
            }
            TokenValues::Codes(codes)
        }
        None => TokenValues::Means(payload.as_chunks::<4>().0.iter().map(|mean| f32::from_le_bytes(*mean)).collect()),
    };
    let tokens = BlockTokens { kept_tokens, values };
    tokens.check(&header.model).map_err(invalid)?;
    Ok(tokens)
}

/// What is still to be read.
struct Rest<'a> {
    /// The whole file.
    bytes: &'a [u8],
    /// How far it was read.
    offset: usize,
}

impl<'a> Rest<'a> {
    fn take_slice(&mut self, needed: u64, part: Part) -> Result<&'a [u8], TokenFileError> {
        let (offset, left) = (self.offset, self.bytes.len() - self.offset);
        if needed > left as u64 {
            return Err(TokenFileError::Truncated { part, offset, needed, left });
        }
        self.offset += needed as usize;
        Ok(&self.bytes[offset..self.offset])
    }

    fn take<const N: usize>(&mut self, part: Part) -> Result<[u8; N], TokenFileError> {
        Ok(*self.take_slice(N as u64, part)?.first_chunk().expect("as many were taken"))
    }
}
