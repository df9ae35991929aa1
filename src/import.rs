//! `import`: a checkpoint of the released code becomes a model file.

use crate::cli::{Cli, Import};
use crate::console::{Console, bytes, print};
use anyhow::{Context as _, Result, bail};
use engine::ModelConfig;
use engine::model::save_model;
use evaluator::sweep::Progress as _;
use std::path::Path;

pub(crate) fn import(cli: &Cli, command: &Import) -> Result<()> {
    let Import { params, output, .. } = command;
    if let (Ok(from), Ok(to)) = (params.canonicalize(), output.canonicalize())
        && from == to
    {
        bail!("{} would replace what it is made from: give another --output", output.display());
    }
    let (config, shape) = config(command)?;
    let console = Console::new(cli);
    let mut begun = false;
    let model = engine::released::import(params, config, &mut |done, total| {
        if !begun {
            console.begin("weights", 0, total as u64);
            begun = true;
        }
        console.advance(done as u64, "");
    });
    if begun {
        console.end();
    }
    let model = model?;
    let origin = format!("imported from {} as {shape}", file_name(params));
    let hash = save_model(&model, Some(&origin), output)?;
    let length = std::fs::metadata(output).with_context(|| format!("looking at {}", output.display()))?.len();
    let weights = model.config().parameter_count();
    print(&format!("{}: {weights} weights, {}, weights hash {hash}\n", output.display(), bytes(length)))
}

/// The model's shape, and what to call it.
fn config(command: &Import) -> Result<(ModelConfig, String)> {
    match (command.preset, &command.config) {
        (Some(preset), _) => Ok((preset.config(), preset.name().to_owned())),
        (None, Some(path)) => Ok((read_config(path)?, file_name(path))),
        (None, None) => bail!("give --preset or --config"),
    }
}

/// The last part of a path: a model file that is passed on names no folders.
fn file_name(path: &Path) -> String {
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
