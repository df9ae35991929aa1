//! Token files as arrays, for other people's models: NumPy's `.npz` or safetensors.

use super::{TokenFile, TokenFileError};
use crate::tokens::TokenValues;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::io::Write as _;

/// What the arrays are, for people.
pub const LAYOUT: &str = "\
Blocks of all files follow one another; tokens are padded to those of a whole block, so that each array has one shape:
  codes        i32 (blocks, tokens)       FSQ: numbers of codes, -1 where a token was dropped
  means        f32 (blocks, tokens, dim)  VAE: means, 0 where a token was dropped
  kept_tokens  i32 (blocks)               how many tokens of each block are kept
  first_block  i64 (files + 1)            blocks of file i: first_block[i] up to first_block[i + 1]
  headers      JSON, a list of each file's header: in .npz an array of one string, in .safetensors the metadata's
";

/// Arrays of token files of one model, as [`LAYOUT`] says.
#[derive(Clone, Debug)]
pub struct TokenArrays {
    arrays: Vec<Array>,
    /// JSON.
    headers: String,
}

#[derive(Clone, Debug)]
struct Array {
    name: &'static str,
    kind: Kind,
    shape: Vec<usize>,
    /// Row by row, little-endian.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    I32,
    I64,
    F32,
}

impl TokenArrays {
    /// The arrays of `files`.
    ///
    /// # Errors
    /// A file of another model than the first: its number, counted from 0, and what differs.
    pub fn new(files: &[TokenFile]) -> Result<Self, (usize, TokenFileError)> {
        let mut first_block = vec![0_i64];
        let (mut tokens, mut kept) = (Vec::new(), Vec::new());
        let mut inner = None;
        for (number, file) in files.iter().enumerate() {
            let first = &files[0].header;
            file.matches(&first.model, first.weights_hash).map_err(|error| (number, error))?;
            let all_tokens = first.model.block.tokens();
            for block in &file.blocks {
                kept.extend((block.kept_tokens as i32).to_le_bytes());
                match &block.values {
                    TokenValues::Codes(codes) => {
                        let padding = std::iter::repeat_n(-1, all_tokens - codes.len());
                        let padded = codes.iter().map(|code| *code as i32).chain(padding);
                        tokens.extend(padded.flat_map(i32::to_le_bytes));
                        inner = Some(("codes", Kind::I32, vec![all_tokens]));
                    }
                    TokenValues::Means(means) => {
                        let dim = first.model.bottleneck.output_width();
                        let padding = std::iter::repeat_n(0.0, all_tokens * dim - means.len());
                        tokens.extend(means.iter().copied().chain(padding).flat_map(f32::to_le_bytes));
                        inner = Some(("means", Kind::F32, vec![all_tokens, dim]));
                    }
                }
            }
            first_block.push(first_block[number] + file.blocks.len() as i64);
        }
        let blocks = kept.len() / 4;
        let mut arrays = Vec::new();
        if let Some((name, kind, inner)) = inner {
            arrays.push(Array { name, kind, shape: [vec![blocks], inner].concat(), bytes: tokens });
        }
        arrays.push(Array { name: "kept_tokens", kind: Kind::I32, shape: vec![blocks], bytes: kept });
        let bytes = first_block.iter().flat_map(|first| first.to_le_bytes()).collect();
        arrays.push(Array { name: "first_block", kind: Kind::I64, shape: vec![first_block.len()], bytes });
        let headers: Vec<_> = files.iter().map(|file| &file.header).collect();
        let headers = serde_json::to_string(&headers).expect("a checked header is plain data");
        Ok(Self { arrays, headers })
    }

    /// The bytes of a safetensors file.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let views = self.arrays.iter().map(|array| {
            let kind = match array.kind {
                Kind::I32 => Dtype::I32,
                Kind::I64 => Dtype::I64,
                Kind::F32 => Dtype::F32,
            };
            let view = TensorView::new(kind, array.shape.clone(), &array.bytes);
            (array.name, view.expect("an array has the bytes of its shape"))
        });
        let metadata = HashMap::from([("headers".to_owned(), self.headers.clone())]);
        safetensors::serialize(views, Some(metadata)).expect("a few well-formed arrays")
    }

    /// The bytes of an `.npz` archive, not compressed.
    pub fn to_npz(&self) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        // A string of n characters is an array of shape () whose one value has 4 bytes a character.
        let text: Vec<u8> = self.headers.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let mut add = |name: &str, kind: &str, shape: &[usize], bytes: &[u8]| {
            // Sizes of 4 GiB and more need the archive's 64-bit fields.
            let large = bytes.len() as u64 + 1024 > u64::from(u32::MAX);
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .last_modified_time(zip::DateTime::default())
                .large_file(large);
            archive.start_file(format!("{name}.npy"), options)?;
            archive.write_all(&npy_header(kind, shape))?;
            archive.write_all(bytes)?;
            Ok::<_, zip::result::ZipError>(())
        };
        let written = self.arrays.iter().try_for_each(|array| {
            let kind = match array.kind {
                Kind::I32 => "<i4",
                Kind::I64 => "<i8",
                Kind::F32 => "<f4",
            };
            add(array.name, kind, &array.shape, &array.bytes)
        });
        let written = written.and_then(|()| add("headers", &format!("<U{}", text.len() / 4), &[], &text));
        let finished = written.and_then(|()| archive.finish());
        finished.expect("writing to memory does not fail").into_inner()
    }
}

/// What stands before an array's numbers in an `.npy` file of version 1.0 (NumPy's NEP 1): magic, version, length and a
/// Python dictionary, filled up with spaces so that the numbers start at a multiple of 64 bytes.
fn npy_header(kind: &str, shape: &[usize]) -> Vec<u8> {
    const BEFORE: usize = 10;
    // A tuple of one needs its comma.
    let shape: String = shape.iter().map(|side| format!("{side},")).collect();
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (BEFORE + text.len() + 1).next_multiple_of(64) - BEFORE;
    text += &" ".repeat(length - text.len() - 1);
    text.push('\n');
    let length = u16::try_from(length).expect("a short dictionary").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat()
}
