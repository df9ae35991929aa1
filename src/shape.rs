//! The shape of a model that is no experiment's: a released one, or that of a file.

use crate::cli::Shape;
use anyhow::{Context as _, Result, bail};
use engine::ModelConfig;
use std::path::Path;

/// The model's shape, and what to call it.
pub(crate) fn read(shape: &Shape) -> Result<(ModelConfig, String)> {
    match (shape.preset, &shape.config) {
        (Some(preset), _) => Ok((preset.config(), preset.name().to_owned())),
        (None, Some(path)) => Ok((read_config(path)?, file_name(path))),
        (None, None) => bail!("give --preset or --config"),
    }
}

/// The last part of a path: a model file that is passed on names no folders.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read_config(path: &Path) -> Result<ModelConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = match path.extension() {
        Some(extension) if extension == "json" => serde_json::from_str(&text).map_err(anyhow::Error::from),
        _ => toml::from_str(&text).map_err(anyhow::Error::from),
    };
    config.with_context(|| format!("{} is not the configuration of a model", path.display()))
}
