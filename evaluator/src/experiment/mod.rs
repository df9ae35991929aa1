//! An experiment: a question, variants of a model, and what is asked of each.
//!
//! The file is TOML. `[data]`, `[model]`, `[train]` and `[sweep]` say what all variants share; each `[[variant]]`
//! overrides some keys; `[grid]` gives lists of values for keys and makes a variant of every combination. What comes
//! out of [`Experiment::load`] is checked and complete: nothing downstream looks at names or defaults again.

mod error;
mod keys;
mod raw;
#[cfg(test)]
mod tests;

pub use error::ExperimentError;

use crate::search::{Fixed, SearchStrategy, parse};
use engine::train::TrainConfig;
use engine::{BlockShape, Bottleneck, Budget, ModelConfig, TokenRange};
use raw::{RawBottleneck, RawSections};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::{Table, Value};

/// An experiment, ready to run.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name: that of its results.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// The file as it was written.
    pub source: String,
    /// Seeds: every variant is trained once with each.
    pub seeds: Vec<u64>,
    /// The variants in the order of the file.
    pub variants: Vec<Variant>,
}

/// One model to train and what to ask of it.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name, unique in the experiment.
    pub name: String,
    /// Which pictures.
    pub data: Data,
    /// The model's shape.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// What is asked of it.
    pub sweep: Sweep,
}

/// Which pictures, and what is cut from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Data {
    /// Folder of training pictures.
    pub train: PathBuf,
    /// Folder of held-out pictures.
    pub test: PathBuf,
    /// Pixels of the shortest side after resizing.
    pub resize: usize,
    /// Pixels of a square crop's side.
    pub crop: usize,
    /// Fixed crops of each held-out picture.
    pub crops_per_picture: usize,
}

/// What is asked of a trained model.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Largest acceptable distortions, in the order of the file.
    pub thresholds: Vec<f64>,
    /// Searches, in the order of the file.
    pub strategies: Vec<Arc<dyn SearchStrategy>>,
    /// Whether searches run the model.
    pub search: SearchMode,
}

/// Where a search gets its distortions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// From the model, timed.
    Live,
    /// From stored curves: free, and without seconds.
    Replay,
}

impl Variant {
    /// The counts a block of this variant may keep.
    pub fn range(&self) -> TokenRange {
        TokenRange::new(self.train.min_tokens, self.model.block.tokens()).expect("checked when the file was read")
    }

    /// Everything that decides what training makes of a seed, besides the content of the pictures.
    pub fn training_config(&self) -> serde_json::Value {
        json!({ "model": self.model, "train": self.train, "resize": self.data.resize, "crop": self.data.crop })
    }

    fn config(&self) -> serde_json::Value {
        let strategies: Vec<String> = self.sweep.strategies.iter().map(|strategy| strategy.name()).collect();
        json!({
            "name": self.name,
            "data": self.data,
            "model": self.model,
            "train": self.train,
            "sweep": { "thresholds": self.sweep.thresholds, "strategies": strategies, "search": self.sweep.search },
        })
    }
}

/// Keys given on the command line: (`section.key`, value as TOML, or as a bare word).
pub type Overrides = [(String, String)];

impl Experiment {
    /// Reads, completes and checks an experiment file; `overrides` win over everything the file says.
    ///
    /// Folders are taken relative to the file, those of `overrides` relative to the current folder.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path).map_err(|source| ExperimentError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text, overrides)
    }

    fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, ExperimentError> {
        keys::check(path, text)?;
        let toml_error = |error: &dyn std::fmt::Display| ExperimentError::Toml {
            path: path.to_owned(),
            message: error.to_string(),
        };
        // Read once as it stands, so that a wrong type is reported with its line.
        let file: RawFile = toml::from_str(text).map_err(|error| toml_error(&error))?;
        let mut base = keys::defaults();
        merge(&mut base, sections_of(text));
        let folder = path.parent().unwrap_or(Path::new(""));
        for key in ["data.train", "data.test"] {
            let below = keys::lookup(&base, key)
                .and_then(Value::as_str)
                .expect("read as a path above")
                .to_owned();
            keys::set(&mut base, key, folder.join(below).to_string_lossy().into_owned().into());
        }
        let overrides = overrides.iter().map(read_override).collect::<Result<Vec<_>, _>>()?;
        let seeds = overrides.iter().rev().find(|(key, _)| key == "seeds");
        let seeds = match seeds {
            Some((_, value)) => value.clone().try_into().map_err(|error| ExperimentError::Override {
                place: "--set seeds".to_owned(),
                message: format!("{error}"),
            })?,
            None => file.seeds,
        };
        let mut variants = Vec::new();
        for (name, mut sections) in expand(&base, &file.variant, &file.grid, folder)? {
            overrides
                .iter()
                .filter(|(key, _)| key != "seeds")
                .for_each(|(key, value)| {
                    keys::set(&mut sections, key, value.clone());
                });
            variants.push(variant(name, sections)?);
        }
        let problem = |message: &str| Err(toml_error(&message));
        if file.name.is_empty()
            || !file
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            return problem("name must be given, of letters, digits, `-`, `_` and `.`: results are called by it");
        }
        if seeds.is_empty() {
            return problem("seeds must hold at least one number");
        }
        Ok(Self {
            name: file.name,
            question: file.question,
            source: text.to_owned(),
            seeds,
            variants,
        })
    }

    /// The complete configuration, defaults and overrides included: what is stored with the results.
    pub fn config(&self) -> serde_json::Value {
        let variants: Vec<_> = self.variants.iter().map(Variant::config).collect();
        json!({ "name": self.name, "question": self.question, "seeds": self.seeds, "variants": variants })
    }
}

/// The whole file, for its types alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    #[serde(default)]
    question: String,
    #[serde(default = "first_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    variant: Vec<Table>,
    #[serde(default)]
    grid: Table,
    #[serde(default, rename = "data")]
    _data: raw::RawData,
    #[serde(default, rename = "model")]
    _model: raw::RawModel,
    #[serde(default, rename = "train")]
    _train: TrainConfig,
    #[serde(default, rename = "sweep")]
    _sweep: raw::RawSweep,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

/// The sections of a file that was read before.
fn sections_of(text: &str) -> Table {
    let mut table: Table = text.parse().expect("the text was parsed before");
    ["name", "question", "seeds", "variant", "grid"].iter().for_each(|key| {
        table.remove(*key);
    });
    table
}

/// Puts the keys of `over` over those of `base`, section by section.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Every `[[variant]]` × every combination of `[grid]`, named; one called "default" if the file has neither.
fn expand(
    base: &Table,
    variants: &[Table],
    grid: &Table,
    folder: &Path,
) -> Result<Vec<(String, Table)>, ExperimentError> {
    let mut expanded = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let mut variant = variant.clone();
        let Some(Value::String(name)) = variant.remove("name") else {
            let place = format!("[[variant]] number {}", index + 1);
            return Err(ExperimentError::Override {
                place,
                message: "needs a name".to_owned(),
            });
        };
        let mut sections = base.clone();
        for (key, value) in flatten(variant) {
            let path = matches!(key.as_str(), "data.train" | "data.test");
            let value = match value.as_str() {
                Some(below) if path => folder.join(below).to_string_lossy().into_owned().into(),
                _ => value,
            };
            keys::set(&mut sections, &key, value);
        }
        expanded.push((name, sections));
    }
    if expanded.is_empty() {
        expanded.push((String::new(), base.clone()));
    }
    for (key, values) in flatten(grid.clone()) {
        let Value::Array(values) = values else {
            let message = format!("{key} must be a list of values, one for each variant");
            return Err(ExperimentError::Override {
                place: "[grid]".to_owned(),
                message,
            });
        };
        let key = key.as_str();
        let points = expanded.iter().flat_map(|(name, sections)| {
            values.iter().map(move |value| {
                let mut sections = sections.clone();
                keys::set(&mut sections, key, value.clone());
                let short = key.split_once('.').map_or(key, |(_, short)| short);
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (format!("{name} {short}={shown}").trim().to_owned(), sections)
            })
        });
        expanded = points.collect();
    }
    if let [(name, _)] = expanded.as_mut_slice()
        && name.is_empty()
    {
        "default".clone_into(name);
    }
    let mut names: Vec<&String> = expanded.iter().map(|(name, _)| name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ExperimentError::Override {
            place: format!("variant {}", pair[0]),
            message: "two variants have this name".to_owned(),
        }),
        None => Ok(expanded),
    }
}

/// Section tables and quoted key paths alike as (`section.key`, value).
fn flatten(overrides: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (key, value) in overrides {
        match value {
            Value::Table(section) => flat.extend(
                section
                    .into_iter()
                    .map(|(name, value)| (format!("{key}.{name}"), value)),
            ),
            value => flat.push((key, value)),
        }
    }
    flat
}

/// Reads `section.key=value`; a value that is no TOML is a bare word.
fn read_override((key, value): &(String, String)) -> Result<(String, Value), ExperimentError> {
    let sections = keys::defaults();
    if key != "seeds" && keys::lookup(&sections, key).is_none() {
        let known = keys::paths(&sections).chain(["seeds".to_owned()]);
        let nearest = keys::nearest(key, known);
        return Err(ExperimentError::UnknownKey {
            place: "--set".to_owned(),
            key: key.clone(),
            nearest,
        });
    }
    let parsed = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    Ok((key.clone(), parsed.unwrap_or_else(|| value.clone().into())))
}

/// Completes and checks one variant.
fn variant(name: String, sections: Table) -> Result<Variant, ExperimentError> {
    let raw: RawSections = sections
        .try_into()
        .map_err(|error: toml::de::Error| ExperimentError::Override {
            place: format!("variant {name}"),
            message: error.to_string().trim().to_owned(),
        })?;
    let value_error = |source| ExperimentError::Value {
        variant: name.clone(),
        source,
    };
    let m = &raw.model;
    let data = Data {
        train: raw.data.train,
        test: raw.data.test,
        resize: raw.data.resize,
        crop: raw.data.crop,
        crops_per_picture: raw.data.crops_per_picture,
    };
    if data.crop > data.resize || data.crop == 0 || data.crops_per_picture == 0 {
        let message = format!(
            "data.crop = {} must be 1 to data.resize = {}, data.crops_per_picture = {} at least 1",
            data.crop, data.resize, data.crops_per_picture
        );
        return Err(ExperimentError::Override {
            place: format!("variant {name}"),
            message,
        });
    }
    let model = ModelConfig {
        width: m.width,
        hidden: m.hidden,
        heads: m.heads,
        encoder_layers: m.encoder_layers,
        decoder_layers: m.decoder_layers,
        rope_theta: m.rope_theta,
        norm_epsilon: m.norm_epsilon,
        init_std: m.init_std,
        block: BlockShape::new(m.frames_per_block, data.crop, data.crop, m.patch).map_err(value_error)?,
        bottleneck: match m.bottleneck {
            RawBottleneck::Fsq => Bottleneck::Fsq {
                levels: m.fsq_levels.clone(),
            },
            RawBottleneck::Vae => Bottleneck::Vae { dim: m.vae_dim },
        },
    };
    model.check().map_err(value_error)?;
    let train = raw.train;
    train.check().map_err(value_error)?;
    TokenRange::new(train.min_tokens, model.block.tokens()).map_err(value_error)?;
    let sweep = sweep(&name, raw.sweep, train.budget)?;
    Ok(Variant {
        name,
        data,
        model,
        train,
        sweep,
    })
}

fn sweep(name: &str, raw: raw::RawSweep, budget: Budget) -> Result<Sweep, ExperimentError> {
    if let Some(threshold) = raw
        .thresholds
        .iter()
        .find(|threshold| !(threshold.is_finite() && **threshold > 0.0))
    {
        let message = format!("sweep.thresholds: {threshold} must be a positive mean squared error, like 0.003");
        return Err(ExperimentError::Override {
            place: format!("variant {name}"),
            message,
        });
    }
    if raw.thresholds.is_empty() {
        let message = "sweep.thresholds must hold at least one threshold".to_owned();
        return Err(ExperimentError::Override {
            place: format!("variant {name}"),
            message,
        });
    }
    let strategies = match budget {
        // A model of one count can only be asked for this count.
        Budget::Fixed(share) => vec![Arc::new(Fixed::new(share)) as Arc<dyn SearchStrategy>],
        Budget::Elastic(_) => {
            let parsed = raw.strategies.iter().map(|strategy| parse(strategy).map(Arc::from));
            parsed
                .collect::<Result<_, _>>()
                .map_err(|source| ExperimentError::Strategy {
                    variant: name.to_owned(),
                    source,
                })?
        }
    };
    Ok(Sweep {
        thresholds: raw.thresholds,
        strategies,
        search: raw.search,
    })
}
