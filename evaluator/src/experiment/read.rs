//! Reads an experiment file: completes it, applies overrides, checks it.

use super::networks::Networks;
use super::raw::{self, RawBottleneck, RawSections};
use super::{
    Criterion, Data, Experiment, ExperimentError, GivenWeights, REPLAYABLE_COUNTS, Regression, SearchMode, Sweep,
    Variant, Videos, keys,
};
use crate::search::{Fixed, SearchStrategy, parse};
use engine::train::{Stage, TrainConfig};
use engine::{BlockShape, Bottleneck, Budget, ModelConfig, RegressorConfig, TokenRange};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::{Table, Value};

/// Keys given on the command line: (`section.key`, value as TOML, or as a bare word).
pub type Overrides = [(String, String)];

/// Whether an experiment may be called so: files and reports are called by it.
pub fn is_name(text: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_known)
}

impl Experiment {
    /// Reads, completes and checks an experiment file; `overrides` win over everything the file says.
    ///
    /// Folders are taken relative to the file, those of `overrides` relative to the current folder.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ExperimentError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ExperimentError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, overrides)
    }

    pub(super) fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, ExperimentError> {
        keys::check(path, text)?;
        let toml_error =
            |error: &dyn std::fmt::Display| ExperimentError::Toml { path: path.to_owned(), message: error.to_string() };
        // Read once as it stands, so that a wrong type is reported with its line.
        let mut file: RawFile = toml::from_str(text).map_err(|error| toml_error(&error))?;
        let _: SectionTypes = toml::from_str(text).map_err(|error| toml_error(&error))?;
        let _: Variants<VariantName> = toml::from_str(text).map_err(|error| toml_error(&error))?;
        let _: Variants<SectionTypes> = toml::from_str(text).map_err(|error| toml_error(&error))?;
        let mut base = keys::defaults();
        merge(&mut base, sections_of(text));
        let folder = path.parent().unwrap_or(Path::new(""));
        for key in keys::PATHS {
            let relative = keys::lookup(&base, key).expect("sections are there from the defaults").clone();
            keys::set(&mut base, key, below(folder, relative)).expect("it is no stage");
        }
        let overrides = overrides.iter().map(read_override).collect::<Result<Vec<_>, _>>()?;
        let (of_sections, of_file): (Vec<_>, Vec<_>) =
            overrides.into_iter().partition(|(key, _)| keys::is_of_section(key));
        of_file.into_iter().try_for_each(|(key, value)| file.set(&key, value))?;
        let (mut variants, mut networks) = (Vec::new(), Networks::default());
        for (name, mut sections) in expand(&base, &file.variant, &file.grid, folder)? {
            for (key, value) in &of_sections {
                keys::set(&mut sections, key, value.clone()).map_err(|message| of_variant(&name, message))?;
            }
            variants.push(variant(name, sections, &mut networks)?);
        }
        let problem = |message: &str| Err(toml_error(&message));
        if !is_name(&file.name) {
            return problem(
                "name must begin with a letter or digit and hold only these, `-`, `_` and `.`: results are called by it",
            );
        }
        if file.seeds.is_empty() {
            return problem("seeds must hold at least one number");
        }
        if let Some(seed) = repeated(&file.seeds) {
            return problem(&format!("seeds: {seed} stands there twice"));
        }
        if file.seeds.len() > 1 && variants.iter().any(|variant| variant.given.is_some()) {
            return problem("seeds: the weights of model.checkpoint are of one model; give one seed");
        }
        let RawFile { name, question, seeds, .. } = file;
        Ok(Self { name, question, source: text.to_owned(), seeds, variants })
    }
}

/// What is read of the file beside its sections; that all its keys are known was checked before.
#[derive(Deserialize)]
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
}

/// Sections, of the file or of a `[[variant]]`, for their types alone: an error in them has a line. (Key paths in quotes
/// are checked when the variant is put together.)
#[derive(Default, Deserialize)]
#[serde(default)]
struct SectionTypes {
    #[serde(rename = "data")]
    _data: raw::RawData,
    #[serde(rename = "model")]
    _model: raw::RawModel,
    #[serde(rename = "train")]
    _train: TrainConfig,
    #[serde(rename = "stage")]
    _stage: Vec<raw::RawStage>,
    #[serde(rename = "sweep")]
    _sweep: raw::RawSweep,
    #[serde(rename = "regressor")]
    _regressor: raw::RawRegressor,
    #[serde(rename = "perceptual")]
    _perceptual: raw::RawPerceptual,
}

/// What every `[[variant]]` must have.
#[derive(Deserialize)]
struct VariantName {
    #[serde(rename = "name")]
    _name: String,
}

/// All `[[variant]]`s of a file, each read as `V`.
#[derive(Deserialize)]
struct Variants<V> {
    #[serde(default = "Vec::new", rename = "variant")]
    _variants: Vec<V>,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

/// A value that stands in the list more than once.
fn repeated<V: PartialEq>(values: &[V]) -> Option<&V> {
    values.iter().enumerate().find(|(i, value)| values[..*i].contains(value)).map(|(_, value)| value)
}

impl RawFile {
    /// Overrides one of [`keys::FILE_KEYS`].
    fn set(&mut self, key: &str, value: Value) -> Result<(), ExperimentError> {
        let result = match key {
            "name" => value.try_into().map(|name| self.name = name),
            "question" => value.try_into().map(|question| self.question = question),
            _ => value.try_into().map(|seeds| self.seeds = seeds),
        };
        result.map_err(|error| ExperimentError::Override {
            place: format!("--set {key}"),
            message: error.to_string().trim().to_owned(),
        })
    }
}

/// The sections of a file that was read before.
fn sections_of(text: &str) -> Table {
    let mut table: Table = text.parse().expect("the text was parsed before");
    keys::TOP.iter().for_each(|key| {
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
    for variant in variants {
        let mut variant = variant.clone();
        let name =
            variant.remove("name").and_then(|name| name.as_str().map(str::to_owned)).expect("read as text above");
        let mut sections = base.clone();
        for (key, value) in flatten(variant) {
            let value = if keys::PATHS.contains(&key.as_str()) { below(folder, value) } else { value };
            keys::set(&mut sections, &key, value).map_err(|message| of_variant(&name, message))?;
        }
        expanded.push((name, sections));
    }
    if expanded.is_empty() {
        expanded.push((String::new(), base.clone()));
    }
    for (key, values) in flatten(grid.clone()) {
        let Value::Array(values) = values else {
            let message = format!("{key} must be a list of values, one for each variant");
            return Err(ExperimentError::Override { place: "[grid]".to_owned(), message });
        };
        let key = key.as_str();
        let points = expanded.iter().flat_map(|(name, sections)| {
            values.iter().map(move |value| {
                let mut sections = sections.clone();
                let path = keys::PATHS.contains(&key);
                let set = if path { below(folder, value.clone()) } else { value.clone() };
                keys::set(&mut sections, key, set).map_err(|message| of_variant(name, message))?;
                let short = key.split_once('.').map_or(key, |(_, short)| short);
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Ok((format!("{name} {short}={shown}").trim().to_owned(), sections))
            })
        });
        expanded = points.collect::<Result<_, ExperimentError>>()?;
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

/// What cannot be of this variant.
fn of_variant(variant: &str, message: String) -> ExperimentError {
    ExperimentError::Override { place: format!("variant {variant}").trim().to_owned(), message }
}

/// A path, or each of a list of paths, taken relative to `folder`; no path stays none.
fn below(folder: &Path, value: Value) -> Value {
    match value {
        Value::String(path) if path.is_empty() => path.into(),
        Value::String(path) => folder.join(path).to_string_lossy().into_owned().into(),
        Value::Array(paths) => paths.into_iter().map(|path| below(folder, path)).collect::<Vec<_>>().into(),
        other => other,
    }
}

/// Section tables and quoted key paths alike as (`section.key`, value).
fn flatten(overrides: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (key, value) in overrides {
        match value {
            Value::Table(section) => {
                flat.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            value => flat.push((key, value)),
        }
    }
    flat
}

/// Reads `section.key=value`; a value that is no TOML is a bare word.
fn read_override((key, value): &(String, String)) -> Result<(String, Value), ExperimentError> {
    let sections = keys::defaults();
    if !keys::FILE_KEYS.contains(&key.as_str()) && !keys::is_known(&sections, key) {
        let known = keys::paths(&sections).chain(keys::FILE_KEYS.map(str::to_owned));
        let nearest = keys::nearest(key, known);
        return Err(ExperimentError::UnknownKey { place: "--set".to_owned(), key: key.clone(), nearest });
    }
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    Ok((key.clone(), parsed.unwrap_or_else(|| value.clone().into())))
}

/// Pixels of the longest shortest side: four times 4K, a picture of some 500 MB.
const LARGEST_SIDE: usize = 8192;

/// Crops of one picture: more would repeat one another.
const MOST_CROPS: usize = 1000;

/// Curves a predictor is trained on: fewer say nothing, more fill the store.
const MOST_CURVES: std::ops::RangeInclusive<usize> = 16..=1_000_000;

/// Blocks of a sequence, clips of a video, frames of a second: more are a slip.
const MOST_BLOCKS: usize = 1_000_000;

fn data(raw: raw::RawData) -> Data {
    let folder = |folder: PathBuf| (!folder.as_os_str().is_empty()).then_some(folder);
    let (train, test) = (folder(raw.train_videos), folder(raw.test_videos));
    let videos = Videos {
        percent: raw.video_percent,
        frames_per_second: raw.frames_per_second,
        clips_per_video: raw.clips_per_video,
        clip_blocks: raw.clip_blocks,
        train,
        test,
    };
    Data {
        train: raw.train,
        test: raw.test,
        resize: raw.resize,
        crop: raw.crop,
        crops_per_picture: raw.crops_per_picture,
        blocks: raw.blocks,
        videos: (videos.train.is_some() || videos.test.is_some()).then_some(videos),
    }
}

/// The first key that cannot be, with its value.
fn impossible_clips(data: &Data) -> Option<(&'static str, usize)> {
    let of_clips = data.videos.as_ref().map(|videos| {
        [
            ("video_percent", usize::from(videos.percent), 100),
            ("frames_per_second", videos.frames_per_second as usize, MOST_BLOCKS),
            ("clips_per_video", videos.clips_per_video, MOST_BLOCKS),
            ("clip_blocks", videos.clip_blocks, MOST_BLOCKS),
        ]
    });
    let all = [("blocks", data.blocks, MOST_BLOCKS)].into_iter().chain(of_clips.into_iter().flatten());
    all.into_iter().find(|(_, value, most)| !(1..=*most).contains(value)).map(|(key, value, _)| (key, value))
}

/// Completes and checks one variant.
fn variant(name: String, sections: Table, networks: &mut Networks) -> Result<Variant, ExperimentError> {
    let raw: RawSections = sections.try_into().map_err(|error: toml::de::Error| ExperimentError::Override {
        place: format!("variant {name}"),
        message: error.to_string().trim().to_owned(),
    })?;
    let value_error = |source| ExperimentError::Value { variant: name.clone(), source: Box::new(source) };
    let m = &raw.model;
    let mut data = data(raw.data);
    let problem = |message: String| Err(of_variant(&name, message));
    if data.crop > data.resize || data.crop == 0 || data.resize > LARGEST_SIDE {
        return problem(format!(
            "data.crop = {} must be from 1 to data.resize = {}, which must be at most {LARGEST_SIDE}",
            data.crop, data.resize
        ));
    }
    if !(1..=MOST_CROPS).contains(&data.crops_per_picture) {
        let count = data.crops_per_picture;
        return problem(format!("data.crops_per_picture = {count}: must be from 1 to {MOST_CROPS}"));
    }
    if let Some((key, value)) = impossible_clips(&data) {
        return problem(format!("data.{key} = {value}: must be from 1 to {MOST_BLOCKS} (video_percent from 1 to 100)"));
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
        mask_conditioning: m.mask_conditioning,
        precision: m.precision.into(),
        block: BlockShape::new(m.frames_per_block, data.crop, data.crop, m.patch).map_err(value_error)?,
        bottleneck: match m.bottleneck {
            RawBottleneck::Fsq => Bottleneck::Fsq { levels: m.fsq_levels.clone() },
            RawBottleneck::Vae => Bottleneck::Vae { dim: m.vae_dim },
        },
    };
    model.check().map_err(value_error)?;
    let given = GivenWeights::read(&m.checkpoint, &model).map_err(value_error)?;
    let train = staged(raw.train, &raw.stage, &mut data, model.block.tokens());
    let mut train = train.map_err(|message| of_variant(&name, message))?;
    let perceptual = networks.perceptual(&raw.perceptual, &mut train, data.crop).map_err(value_error)?;
    train.check().map_err(value_error)?;
    train.check_stages(model.block.tokens()).map_err(value_error)?;
    let range = TokenRange::new(train.min_tokens, model.block.tokens()).map_err(value_error)?;
    let sweep = sweep(&name, raw.sweep, train.budget, range)?;
    let r = raw.regressor;
    let regressor = Regression {
        curves: r.curves,
        counts: r.counts,
        network: RegressorConfig {
            width: r.width,
            hidden: r.hidden,
            heads: r.heads,
            layers: r.layers,
            block: model.block,
            earlier: r.earlier,
            steps: r.steps,
            batch: r.batch,
            learning_rate: r.learning_rate,
        },
    };
    regressor.network.check().map_err(value_error)?;
    if !(MOST_CURVES.contains(&regressor.curves) && (2..=REPLAYABLE_COUNTS).contains(&regressor.counts)) {
        return problem(format!(
            "regressor.curves = {} must be from {} to {} and regressor.counts = {} from 2 to {REPLAYABLE_COUNTS}",
            regressor.curves,
            MOST_CURVES.start(),
            MOST_CURVES.end(),
            regressor.counts
        ));
    }
    let mut variant = Variant { name, data, model, train, given, sweep, regressor, perceptual };
    let sees = variant.curve_blocks() - 1;
    let earlier = &mut variant.regressor.network.earlier;
    *earlier = sees.min(*earlier);
    Ok(variant)
}

/// The training settings with their stages, which say in place of other keys how many steps are made on what: `data` then
/// has as many blocks as the longest.
fn staged(
    train: TrainConfig,
    stages: &[raw::RawStage],
    data: &mut Data,
    tokens_per_block: usize,
) -> Result<TrainConfig, String> {
    let Some(first) = stages.first() else { return Ok(train) };
    if train.steps != TrainConfig::default().steps {
        return Err(format!("train.steps = {}: leave it out, every stage has its own", train.steps));
    }
    if data.blocks > 1 {
        return Err(format!("data.blocks = {}: leave it out, the context of a stage says how long it is", data.blocks));
    }
    let tokens = first.batch.unwrap_or(train.batch).saturating_mul(first.context);
    let of = |(index, stage): (usize, &raw::RawStage)| {
        let raw::RawStage { context, steps, .. } = *stage;
        let batch = match stage.batch {
            Some(batch) => batch,
            None if tokens.is_multiple_of(context.max(1)) => tokens / context.max(1),
            None => {
                let number = index + 1;
                return Err(format!(
                    "stage {number}: context = {context}: no whole number of sequences has the {tokens} tokens of the \
                     first stage's; say batch"
                ));
            }
        };
        Ok(Stage { context, steps, batch, learning_rate: stage.learning_rate.unwrap_or(train.learning_rate) })
    };
    let stages: Vec<Stage> = stages.iter().enumerate().map(of).collect::<Result<_, _>>()?;
    data.blocks = stages.iter().map(|stage| stage.context / tokens_per_block).max().unwrap_or(1);
    Ok(train.with_stages(stages))
}

fn sweep(name: &str, raw: raw::RawSweep, budget: Budget, range: TokenRange) -> Result<Sweep, ExperimentError> {
    let (possible, rule): (fn(f64) -> bool, _) = match raw.criterion {
        Criterion::Mse => (|t| t.is_finite() && t > 0.0, "a positive mean squared error, like 0.003"),
        Criterion::Ssim => (|t| 0.0 < t && t < 1.0, "a similarity between 0 and 1, like 0.8"),
    };
    if let Some(threshold) = raw.thresholds.iter().find(|threshold| !possible(**threshold)) {
        let message = format!("sweep.thresholds: {threshold} must be {rule}");
        return Err(ExperimentError::Override { place: format!("variant {name}"), message });
    }
    if raw.thresholds.is_empty() {
        let message = "sweep.thresholds must hold at least one threshold".to_owned();
        return Err(ExperimentError::Override { place: format!("variant {name}"), message });
    }
    let problem = |message: String| Err(ExperimentError::Override { place: format!("variant {name}"), message });
    if let Some(threshold) = repeated(&raw.thresholds) {
        return problem(format!("sweep.thresholds: {threshold} stands there twice"));
    }
    if let Some(strategy) = repeated(&raw.strategies) {
        return problem(format!("sweep.strategies: {strategy} stands there twice"));
    }
    if raw.strategies.is_empty() {
        return problem("sweep.strategies must hold at least one search".to_owned());
    }
    if raw.search == SearchMode::Replay && range.len() > REPLAYABLE_COUNTS {
        return problem(format!(
            "sweep.search = \"replay\" needs curves of every count, which are measured up to {REPLAYABLE_COUNTS} counts; \
             this variant has {}: use \"live\"",
            range.len()
        ));
    }
    let strategies = match budget {
        // A model of one count can only be asked for this count.
        Budget::Fixed(share) => vec![Arc::new(Fixed::new(share)) as Arc<dyn SearchStrategy>],
        Budget::Elastic(_) => {
            let parsed = raw.strategies.iter().map(|strategy| parse(strategy).map(Arc::from));
            parsed
                .collect::<Result<_, _>>()
                .map_err(|source| ExperimentError::Strategy { variant: name.to_owned(), source })?
        }
    };
    let raw::RawSweep { thresholds, criterion, encoding, search, window, progressive, .. } = raw;
    let (window, progressive) = (window.blocks(), progressive.samples());
    Ok(Sweep { thresholds, criterion, encoding, strategies, search, window, progressive })
}
