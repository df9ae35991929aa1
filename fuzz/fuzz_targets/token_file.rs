//! Bytes as a token file: read or refused, whatever they are; what is read is written and read again as the same.
//!
//! Checksums would keep nearly every change from the parts behind them, so the checks of half of the inputs are made
//! right first. Real files are good seeds: `cp tests/fixtures/tokens/*.etok fuzz/corpus/token_file/`.

#![no_main]

use engine::TokenFile;
use engine::token_file::{Header, bits_per_code};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let sealed = sealed(bytes);
    for bytes in [Some(bytes), sealed.as_deref()].into_iter().flatten() {
        if let Ok(file) = TokenFile::read(bytes) {
            assert_eq!(TokenFile::read(&file.write()).expect("a written file is read"), file);
        }
    }
});

/// The file with all checks made right, as far as its lengths can be followed.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.get(..bytes.len().checked_sub(32)?)?.to_vec();
    let length = usize::try_from(u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?)).ok()?;
    let mut at = length.checked_add(24)?;
    let header: Option<Header> = serde_json::from_slice(bytes.get(24..at)?).ok();
    let check = check(bytes.get(..at)?);
    bytes.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&check);
    at += 4;
    let model = header?.model;
    model.check().ok()?;
    let bits = bits_per_code(&model.bottleneck).map_or(32 * model.bottleneck.output_width(), |bits| bits as usize);
    while at < bytes.len() {
        let Some(kept) = bytes.get(at..at + 4) else { break };
        let kept = u32::from_le_bytes(kept.try_into().ok()?) as usize;
        let end = at + 4 + (kept * bits).div_ceil(8);
        if bytes.len() < end + 4 {
            break;
        }
        let check = self::check(&bytes[at..end]);
        bytes[end..end + 4].copy_from_slice(&check);
        at = end + 4;
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    Some(bytes)
}

fn check(part: &[u8]) -> [u8; 4] {
    *blake3::hash(part).as_bytes().first_chunk().expect("a hash has 32 bytes")
}
