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
    config.check()?;
    let (counts, means, deviations) = (scale.counts.len(), scale.mean.len(), scale.deviation.len());
    if counts == 0 || counts != means || counts != deviations {
        return Err(file.problem(format!("scales {counts} counts with {means} means and {deviations} deviations")));
    }
    // Made only of a shape that the file has the weights for, whatever it says.
    let (weights, bytes) = (config.parameter_count(counts), file.data_length());
    if weights > bytes / size_of::<f32>() {
        return Err(file.problem(format!("says that its regressor has {weights} weights, but holds {bytes} bytes")));
    }
    let mut regressor = Regressor::new(config, scale, 0)?;
    file.fill("", &mut regressor)?;
    Ok(regressor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regressor::{CurveScale, RegressorConfig};
    use crate::{BlockShape, EngineError};

    fn config() -> RegressorConfig {
        RegressorConfig {
            width: 8,
            hidden: 12,
            heads: 2,
            layers: 2,
            block: BlockShape::new(2, 8, 8, [1, 4, 4]).unwrap(),
            earlier: 1,
            steps: 1,
            batch: 1,
            learning_rate: 1e-3,
        }
    }

    fn scale(counts: usize, means: usize) -> CurveScale {
        CurveScale {
            counts: (1..=counts).collect(),
            mean: vec![0.0; means],
            deviation: vec![1.0; counts],
            calibration: 1.0,
        }
    }

    #[test]
    fn its_weights_are_as_many_as_its_shape_says() {
        let regressor = Regressor::new(config(), scale(3, 3), 1).unwrap();
        let mut weights = 0;
        regressor.visit("", &mut |_, weight| weights += values(weight).len());
        assert_eq!(weights, config().parameter_count(3));
    }

    #[test]
    fn a_header_that_lies_is_refused_before_anything_is_made_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("regressor.safetensors");
        let refused = |config: RegressorConfig, scale: CurveScale| -> String {
            let header = Header::Regressor { format: FORMAT, config, scale };
            array_file::write(&file, &header, vec![("in_proj".to_owned(), Flat::new(&[0.0; 4]))]).unwrap();
            let error: EngineError = load_regressor(&file).unwrap_err();
            error.to_string()
        };
        let error = refused(RegressorConfig { width: 1 << 20, ..config() }, scale(3, 3));
        assert!(error.contains("weights, but holds 16 bytes"), "{error}");
        let error = refused(config(), scale(3, 2));
        assert!(error.contains("scales 3 counts with 2 means and 3 deviations"), "{error}");
        let mut block = config().block;
        block.patch = [1, 0, 4];
        let error = refused(RegressorConfig { block, ..config() }, scale(3, 3));
        assert!(error.contains("patch"), "{error}");
    }
}
