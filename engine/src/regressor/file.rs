//! A regressor as one file: its shape, its scale, its weights.

use super::Regressor;
use crate::array_file::{self, ArrayFile, FORMAT, Flat, Header};
use crate::error::EngineError;
use crate::parameters::Parameters as _;
use crate::tensor::values;
use std::path::Path;

/// Writes a regressor's weights, shape and scale, whole or not at all, as safetensors.
///
/// # Errors
/// [`EngineError::File`] or [`EngineError::Checkpoint`] where it cannot be written.
pub fn save_regressor(regressor: &Regressor, path: &Path) -> Result<(), EngineError> {
    let (config, scale) = (regressor.config().clone(), regressor.scale().clone());
    let mut arrays = Vec::new();
    regressor.visit("", &mut |name, weight| arrays.push((name.to_owned(), Flat::new(values(weight)))));
    array_file::write(path, &Header::Regressor { format: FORMAT, config, scale }, arrays)
}

/// Reads a regressor that [`save_regressor`] wrote.
///
/// # Errors
/// [`EngineError::File`] where the file cannot be read, [`EngineError::Checkpoint`] where it is something else,
/// [`EngineError::Config`] where it names a regressor that cannot be.
pub fn load_regressor(path: &Path) -> Result<Regressor, EngineError> {
    let (mut file, header) = ArrayFile::open(path)?;
    let Header::Regressor { config, scale, .. } = header else {
        return Err(file.problem("holds no regressor"));
    };
    let mut regressor = Regressor::new(config, scale, 0)?;
    file.fill("", &mut regressor)?;
    Ok(regressor)
}
