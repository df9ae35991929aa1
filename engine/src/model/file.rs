//! A model as one file: its configuration and its weights, and nothing that only training needs.
//!
//! The file is safetensors: arrays of f32, named as [`Parameters`](crate::parameters::Parameters) names them, with one
//! metadata entry that holds the configuration, the blake3 hash of the weights and where they come from.

use super::{ElasticTok, ModelConfig};
use crate::array_file::{self, ArrayFile, FORMAT, Flat, Header};
use crate::error::EngineError;
use crate::parameters::{Parameters as _, weights_hash};
use crate::tensor::values;
use std::path::Path;

/// What a model's file says beside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Names the weights by their content: [`weights_hash`](crate::parameters::weights_hash).
    pub weights_hash: blake3::Hash,
    /// Where the weights come from, if not from training here: «imported as fsq-200m from params».
    pub origin: Option<String>,
    /// Optimizer steps made, if the file is the state of a training run that has not finished.
    pub unfinished_after: Option<usize>,
}

/// Writes a model to `path`, whole or not at all; `origin` says where it comes from, if not from training here.
/// Returns the hash that names its weights.
///
/// The file is safetensors: arrays of f32, named as [`Parameters`](crate::parameters::Parameters) names them, with one
/// metadata entry that holds the configuration, the hash and the origin.
///
/// # Errors
/// [`EngineError::File`] or [`EngineError::Checkpoint`] where it cannot be written.
pub fn save_model(model: &ElasticTok, origin: Option<&str>, path: &Path) -> Result<blake3::Hash, EngineError> {
    let hash = weights_hash(model);
    let header = Header::Weights {
        format: FORMAT,
        model: model.config().clone(),
        weights_hash: Some(hash.to_hex().to_string()),
        origin: origin.map(ToOwned::to_owned),
    };
    let mut arrays = Vec::new();
    model.visit("", &mut |name, weight| arrays.push((name.to_owned(), Flat::new(values(weight)))));
    array_file::write(path, &header, arrays)?;
    Ok(hash)
}

/// Reads a model from a file of [`save_model`], or from the state that an unfinished training run left.
///
/// # Errors
/// [`EngineError::File`] where the file cannot be read, [`EngineError::Checkpoint`] where it is something else or its
/// weights are not those that it was written with, [`EngineError::Config`] where it names a model that cannot be.
pub fn load_model(path: &Path) -> Result<(ElasticTok, ModelInfo), EngineError> {
    let (mut file, header) = ArrayFile::open(path)?;
    let (config, prefix, promised, origin, unfinished_after) = match header {
        Header::Weights { model, weights_hash, origin, .. } => (model, "", weights_hash, origin, None),
        Header::Training { updates, start, .. } => (start.model, "model.", None, None, Some(updates)),
        Header::Regressor { .. } => return Err(file.problem("holds a predictor of token counts, not a model")),
    };
    let mut model = empty(config, &file)?;
    file.fill(prefix, &mut model)?;
    let weights_hash = weights_hash(&model);
    if promised.is_some_and(|promised| promised != weights_hash.to_hex().as_str()) {
        return Err(file.problem("is damaged: its weights are not those that it was written with"));
    }
    Ok((model, ModelInfo { weights_hash, origin, unfinished_after }))
}

/// A model to be filled; made only of a configuration that the file has the weights for, whatever it says.
fn empty(config: ModelConfig, file: &ArrayFile) -> Result<ElasticTok, EngineError> {
    config.check()?;
    let (weights, bytes) = (config.parameter_count(), file.data_length());
    if weights > bytes / size_of::<f32>() {
        return Err(file.problem(format!("says that its model has {weights} weights, but holds {bytes} bytes")));
    }
    ElasticTok::blank(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::Precision;
    use crate::{BlockShape, Bottleneck};

    fn config() -> ModelConfig {
        ModelConfig {
            width: 8,
            hidden: 12,
            heads: 2,
            encoder_layers: 1,
            decoder_layers: 2,
            rope_theta: 1e4,
            norm_epsilon: 1e-5,
            init_std: 0.02,
            mask_conditioning: true,
            precision: Precision::F32,
            block: BlockShape::new(1, 8, 8, [1, 4, 4]).unwrap(),
            bottleneck: Bottleneck::Vae { dim: 3 },
        }
    }

    fn saved(origin: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf, ElasticTok) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let model = ElasticTok::new(config(), 4).unwrap();
        assert_eq!(save_model(&model, origin, &file).unwrap(), weights_hash(&model));
        (folder, file, model)
    }

    #[test]
    fn a_model_and_its_origin_round_trip() {
        let (_folder, file, model) = saved(Some("imported"));
        let (loaded, info) = load_model(&file).unwrap();
        assert_eq!((loaded.config(), weights_hash(&loaded)), (model.config(), info.weights_hash));
        assert_eq!(info.weights_hash, weights_hash(&model));
        assert_eq!((info.origin.as_deref(), info.unfinished_after), (Some("imported"), None));
        let first = std::fs::read(&file).unwrap();
        save_model(&loaded, Some("imported"), &file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), first, "the same model is the same bytes");
    }

    #[test]
    fn a_changed_weight_is_found() {
        let (_folder, file, _) = saved(None);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(load_model(&file).unwrap_err().to_string().contains("model.safetensors: is damaged"));
    }

    /// Edits the JSON index in place, keeping its length.
    fn edited(file: &Path, from: &str, to: &str) -> String {
        assert_eq!(from.len(), to.len());
        let bytes = std::fs::read(file).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        std::fs::write(file, [&bytes[..at], to.as_bytes(), &bytes[at + to.len()..]].concat()).unwrap();
        load_model(file).unwrap_err().to_string()
    }

    #[test]
    fn a_header_that_lies_is_refused_before_memory_is_taken() {
        let (_folder, file, _) = saved(None);
        let error = edited(&file, r#"\"hidden\":12,"#, r#"\"hidden\":99,"#);
        assert!(error.contains("weights, but holds"), "{error}");
        let (_folder, file, _) = saved(None);
        let error = edited(&file, r#"\"heads\":2,"#, r#"\"heads\":7,"#);
        assert!(error.contains("model.heads = 7"), "{error}");
        let (_folder, file, _) = saved(None);
        let error = edited(&file, r#"\"format\":1,"#, r#"\"format\":2,"#);
        assert!(error.contains("has format 2, this version reads 1"), "{error}");
    }

    #[test]
    fn an_index_longer_than_the_file_is_refused() {
        let (_folder, file, _) = saved(None);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        std::fs::write(&file, bytes).unwrap();
        let error = load_model(&file).unwrap_err().to_string();
        assert!(error.contains("its index has 18446744073709551615 bytes"), "{error}");
    }
}
