//! Checkpoints as files beside the database: `checkpoints/0123456789abcdef/`, named by the start of the run's key.

use std::path::{Path, PathBuf};

use super::ContentHash;

/// The folder, below the database's, that holds a folder for each training run.
pub(super) const FOLDER: &str = "checkpoints";

/// The name of the state that an unfinished run goes on from.
pub(super) const TRAINING: &str = "training.safetensors";

/// Where one training run's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFiles {
    /// The finished weights.
    pub weights: PathBuf,
    /// The same below the database's folder: what the store keeps.
    pub weights_name: String,
    /// The state that an unfinished run goes on from.
    pub training: PathBuf,
}

impl CheckpointFiles {
    /// The files of the run with this key, beside the database at this path.
    pub fn beside(database: &Path, key: ContentHash) -> Self {
        let folder = format!("{FOLDER}/{}", folder_name(key));
        let weights_name = format!("{folder}/weights.safetensors");
        Self {
            weights: database.with_file_name(&weights_name),
            training: database.with_file_name(&folder).join(TRAINING),
            weights_name,
        }
    }
}

/// The file of the predictor with this key, below the database's folder.
pub fn regressor_file(key: ContentHash) -> String {
    format!("{FOLDER}/predictor-{}/regressor.safetensors", folder_name(key))
}

/// The name of a run's folder.
pub(super) fn folder_name(key: ContentHash) -> String {
    key.to_string()[..16].to_owned()
}
