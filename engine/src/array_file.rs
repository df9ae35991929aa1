//! Named arrays of f32 in a safetensors file that says of itself what it is: a model, a regressor, a training state.
//!
//! Written whole or not at all. Arrays go through one at a time in both directions, so that neither needs memory
//! beside the weights themselves.

use crate::atomic_file::Temporary;
use crate::error::EngineError;
use crate::model::ModelConfig;
use crate::parameters::{Parameters, to_bytes};
use crate::regressor::{CurveScale, RegressorConfig};
use crate::tensor::values_mut;
use crate::train::Start;
use safetensors::tensor::{Metadata, View};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The one metadata entry; one, since safetensors writes several in no fixed order.
const ENTRY: &str = "elastictok";

/// Raised when a file of an older version can no longer be read.
pub(crate) const FORMAT: u32 = 1;

/// Above every index of arrays that this project writes: a 20-layer model's is 20 kB.
const LARGEST_INDEX: u64 = 16 << 20;

/// Values read at once.
const CHUNK: usize = 1 << 16;

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "lowercase")]
pub(crate) enum Header {
    /// A model, finished or imported.
    Weights {
        format: u32,
        model: ModelConfig,
        /// The hash of the weights, in hex. Files written before it was kept have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights_hash: Option<String>,
        /// Where the weights come from, if not from training here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// What an unfinished training run goes on from.
    Training { format: u32, updates: usize, start: Box<Start> },
    /// A predictor of distortion curves.
    Regressor { format: u32, config: RegressorConfig, scale: CurveScale },
}

/// One array on its way to a file.
pub(crate) struct Flat<'a> {
    values: &'a [f32],
    shape: [usize; 1],
}

impl<'a> Flat<'a> {
    pub(crate) fn new(values: &'a [f32]) -> Self {
        Self { values, shape: [values.len()] }
    }
}

impl View for Flat<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        to_bytes(self.values)
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// Writes the arrays.
pub(crate) fn write<'a>(
    path: &Path,
    header: &Header,
    arrays: impl IntoIterator<Item = (String, Flat<'a>)>,
) -> Result<(), EngineError> {
    let header = serde_json::to_string(header).expect("a configuration is plain data");
    let metadata = HashMap::from([(ENTRY.to_owned(), header)]);
    let file = Temporary::beside(path).map_err(EngineError::file("cannot write", path))?;
    safetensors::serialize_to_file(arrays, Some(metadata), file.path()).map_err(|error| match error {
        SafeTensorError::IoError(error) => EngineError::file("cannot write", path)(error),
        error => problem(path, error.to_string()),
    })?;
    file.keep().map_err(EngineError::file("cannot write", path))
}

/// A file opened to copy arrays out of it.
pub(crate) struct ArrayFile {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the arrays begin.
    arrays: u64,
    index: Metadata,
}

impl ArrayFile {
    /// Reads what the file says of itself.
    pub(crate) fn open(path: &Path) -> Result<(Self, Header), EngineError> {
        let reading = || EngineError::file("cannot read", path);
        let damaged = |why: String| problem(path, format!("is not a readable safetensors file: {why}"));
        let mut file = BufReader::new(File::open(path).map_err(reading())?);
        let length = file.get_ref().metadata().map_err(reading())?.len();
        let mut index_length = [0; 8];
        file.read_exact(&mut index_length).map_err(|error| damaged(error.to_string()))?;
        let index_length = u64::from_le_bytes(index_length);
        if index_length > LARGEST_INDEX.min(length - 8) {
            return Err(damaged(format!("its index has {index_length} bytes, the file {length}")));
        }
        let mut index = vec![0; index_length as usize];
        file.read_exact(&mut index).map_err(reading())?;
        let index: Metadata = serde_json::from_slice(&index).map_err(|error| damaged(error.to_string()))?;
        let (arrays, promised) = (8 + index_length, index.data_len() as u64);
        if arrays.checked_add(promised) != Some(length) {
            let held = length - arrays;
            return Err(damaged(format!("its index promises {promised} bytes of arrays, it holds {held}")));
        }
        let header = index.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let header = header.ok_or_else(|| problem(path, "was not written by elastictok"))?;
        let header: Header = serde_json::from_str(header)
            .map_err(|error| problem(path, format!("has a header that this version cannot read: {error}")))?;
        let (Header::Weights { format, .. } | Header::Training { format, .. } | Header::Regressor { format, .. }) =
            &header;
        if *format != FORMAT {
            return Err(problem(path, format!("has format {format}, this version reads {FORMAT}")));
        }
        Ok((Self { path: path.to_owned(), file, arrays, index }, header))
    }

    /// Bytes of all arrays.
    pub(crate) fn data_length(&self) -> usize {
        self.index.data_len()
    }

    /// Copies the arrays called `prefix` + a weight's name into a model.
    pub(crate) fn fill(&mut self, prefix: &str, model: &mut impl Parameters) -> Result<(), EngineError> {
        let mut result = Ok(());
        model.visit_mut("", &mut |name, weight| {
            if result.is_ok() {
                result = self.copy(&format!("{prefix}{name}"), values_mut(weight));
            }
        });
        result
    }

    /// Copies one array.
    pub(crate) fn copy(&mut self, name: &str, to: &mut [f32]) -> Result<(), EngineError> {
        let info = self.index.info(name).ok_or_else(|| self.problem(format!("lacks {name}")))?;
        let (begin, end) = info.data_offsets;
        if info.dtype != Dtype::F32 || end - begin != size_of_val(to) {
            let (found, expected) = (end - begin, size_of_val(to));
            return Err(self.problem(format!("{name} has {found} bytes of {}, expected {expected} of F32", info.dtype)));
        }
        let path = &self.path;
        let reading = || EngineError::file("cannot read", path);
        self.file.seek(SeekFrom::Start(self.arrays + begin as u64)).map_err(reading())?;
        let mut bytes = vec![0; 4 * CHUNK.min(to.len())];
        for to in to.chunks_mut(CHUNK) {
            let bytes = &mut bytes[..4 * to.len()];
            self.file.read_exact(bytes).map_err(reading())?;
            for (to, bytes) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    /// An error about this file.
    pub(crate) fn problem(&self, reason: impl Into<String>) -> EngineError {
        problem(&self.path, reason)
    }
}

fn problem(path: &Path, reason: impl Into<String>) -> EngineError {
    EngineError::Checkpoint { path: path.to_owned(), reason: reason.into() }
}
