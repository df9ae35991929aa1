//! Weights that an experiment is given, and does not train.
//!
//! The file says of which shape its model is, and so does the experiment, which may have made it: they must agree.

use crate::difference::first_difference;
use crate::store::ContentHash;
use engine::model::load_model;
use engine::{EngineError, ModelConfig};
use std::path::{Path, PathBuf};

/// The model of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenWeights {
    /// The file.
    pub path: PathBuf,
    /// Its weights, by their content.
    pub weights: ContentHash,
}

impl GivenWeights {
    /// The weights in this file, for a model of this shape; none for no path.
    pub(super) fn read(path: &Path, model: &ModelConfig) -> Result<Option<Self>, EngineError> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let (held, info) = load_model(path)?;
        let [expected, found] =
            [model, held.config()].map(|config| serde_json::to_value(config).expect("a shape is plain data"));
        if let Some((key, expected, found)) = first_difference("model", &expected, &found) {
            let rule = format!("the model in the file has {key} = {found}, the experiment {expected}; make them agree");
            return Err(EngineError::Config { key: "model.checkpoint", value: path.display().to_string(), rule });
        }
        Ok(Some(Self { path: path.to_owned(), weights: info.weights_hash.into() }))
    }
}
