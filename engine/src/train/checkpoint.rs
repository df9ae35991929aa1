//! Weights and training state as safetensors files, written whole or not at all.
//!
//! A file says what it is in its metadata: the resolved configuration and the updates made. The random numbers and the
//! position in the data are functions of the step ([`crate::random`]), so that nothing else has to be kept.

use super::{AdamW, Start};
use crate::atomic_file;
use crate::error::EngineError;
use crate::model::{ElasticTok, ModelConfig};
use crate::parameters::Parameters;
use crate::regressor::{CurveScale, Regressor, RegressorConfig};
use crate::tensor::{values, values_mut};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The one metadata entry; one, since safetensors writes several in no fixed order.
const HEADER: &str = "elastictok";

/// Raised when a file of an older version can no longer be read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "lowercase")]
enum Header {
    Weights { format: u32, model: ModelConfig },
    Training { format: u32, updates: usize, start: Box<Start> },
    Regressor { format: u32, config: RegressorConfig, scale: CurveScale },
}

/// Names the weights by their content: a blake3 hash over names and values.
pub fn weights_hash(model: &impl Parameters) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    model.visit("", &mut |name, weight| {
        hasher.update(name.as_bytes());
        hasher.update(&to_bytes(values(weight)));
    });
    hasher.finalize()
}

/// Writes a model's weights and shape.
pub fn save_weights(model: &ElasticTok, path: &Path) -> Result<(), EngineError> {
    let header = Header::Weights { format: FORMAT, model: model.config().clone() };
    let mut arrays = Vec::new();
    model.visit("", &mut |name, weight| {
        arrays.push((name.to_owned(), to_bytes(values(weight))));
    });
    write_arrays(path, &header, arrays)
}

/// Reads a model that [`save_weights`] wrote.
pub fn load_weights(path: &Path) -> Result<ElasticTok, EngineError> {
    let bytes = std::fs::read(path).map_err(EngineError::file("cannot read the weights", path))?;
    let (arrays, header) = parse(path, &bytes)?;
    let Header::Weights { model, .. } = header else {
        return Err(problem(path, "holds a training state, not weights; finish the training run first"));
    };
    let mut model = ElasticTok::new(model, 0)?;
    fill(path, &arrays, "", &mut model)?;
    Ok(model)
}

/// Writes a regressor's weights, shape and scale.
pub fn save_regressor(regressor: &Regressor, path: &Path) -> Result<(), EngineError> {
    let (config, scale) = (regressor.config().clone(), regressor.scale().clone());
    let mut arrays = Vec::new();
    regressor.visit("", &mut |name, weight| arrays.push((name.to_owned(), to_bytes(values(weight)))));
    write_arrays(path, &Header::Regressor { format: FORMAT, config, scale }, arrays)
}

/// Reads a regressor that [`save_regressor`] wrote.
pub fn load_regressor(path: &Path) -> Result<Regressor, EngineError> {
    let bytes = std::fs::read(path).map_err(EngineError::file("cannot read the regressor", path))?;
    let (arrays, header) = parse(path, &bytes)?;
    let Header::Regressor { config, scale, .. } = header else {
        return Err(problem(path, "holds no regressor"));
    };
    let mut regressor = Regressor::new(config, scale, 0)?;
    fill(path, &arrays, "", &mut regressor)?;
    Ok(regressor)
}

pub(super) fn write(path: &Path, start: &Start, model: &ElasticTok, adam: &AdamW) -> Result<(), EngineError> {
    let header = Header::Training { format: FORMAT, updates: adam.updates, start: Box::new(start.clone()) };
    let mut arrays = Vec::new();
    let mut index = 0;
    model.visit("", &mut |name, weight| {
        arrays.push((format!("model.{name}"), to_bytes(values(weight))));
        arrays.push((format!("first.{name}"), to_bytes(&adam.first[index])));
        arrays.push((format!("second.{name}"), to_bytes(&adam.second[index])));
        index += 1;
    });
    write_arrays(path, &header, arrays)
}

pub(super) fn read(path: &Path, expected: &Start, model: &mut ElasticTok, adam: &mut AdamW) -> Result<(), EngineError> {
    let bytes = std::fs::read(path).map_err(EngineError::file("cannot read the checkpoint", path))?;
    let (arrays, header) = parse(path, &bytes)?;
    let Header::Training { updates, start, .. } = header else {
        return Err(problem(path, "holds finished weights, not a training state"));
    };
    if *start != *expected {
        return Err(problem(path, "belongs to another configuration or seed; delete it to start afresh"));
    }
    fill(path, &arrays, "model.", model)?;
    let mut names = Vec::new();
    model.visit("", &mut |name, _| names.push(name.to_owned()));
    for (index, name) in names.iter().enumerate() {
        copy(path, &arrays, &format!("first.{name}"), &mut adam.first[index])?;
        copy(path, &arrays, &format!("second.{name}"), &mut adam.second[index])?;
    }
    adam.updates = updates;
    Ok(())
}

fn write_arrays(path: &Path, header: &Header, arrays: Vec<(String, Vec<u8>)>) -> Result<(), EngineError> {
    let header = serde_json::to_string(header).expect("a configuration is plain data");
    let views = arrays.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
        (name.as_str(), view.expect("a flat array has the length of its bytes"))
    });
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|error| problem(path, &error.to_string()))?;
    atomic_file::write(path, &file).map_err(EngineError::file("cannot write", path))
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, Header), EngineError> {
    let damaged =
        |error: &dyn std::fmt::Display| problem(path, &format!("is not a readable safetensors file: {error}"));
    let arrays = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(HEADER));
    let header = header.ok_or_else(|| problem(path, "was not written by elastictok"))?;
    let header: Header = serde_json::from_str(header)
        .map_err(|error| problem(path, &format!("has a header that this version cannot read: {error}")))?;
    let (Header::Weights { format, .. } | Header::Training { format, .. } | Header::Regressor { format, .. }) = &header;
    if *format != FORMAT {
        return Err(problem(path, &format!("has format {format}, this version reads {FORMAT}")));
    }
    Ok((arrays, header))
}

fn fill(path: &Path, arrays: &SafeTensors<'_>, prefix: &str, model: &mut impl Parameters) -> Result<(), EngineError> {
    let mut result = Ok(());
    model.visit_mut("", &mut |name, weight| {
        if result.is_ok() {
            result = copy(path, arrays, &format!("{prefix}{name}"), values_mut(weight));
        }
    });
    result
}

fn copy(path: &Path, arrays: &SafeTensors<'_>, name: &str, to: &mut [f32]) -> Result<(), EngineError> {
    let array = arrays.tensor(name).map_err(|_| problem(path, &format!("lacks {name}")))?;
    if array.dtype() != Dtype::F32 || array.data().len() != to.len() * 4 {
        return Err(problem(path, &format!("{name} has {} bytes, expected {}", array.data().len(), to.len() * 4)));
    }
    for (to, bytes) in to.iter_mut().zip(array.data().as_chunks::<4>().0) {
        *to = f32::from_le_bytes(*bytes);
    }
    Ok(())
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn problem(path: &Path, reason: &str) -> EngineError {
    EngineError::Checkpoint { path: path.to_owned(), reason: reason.to_owned() }
}
