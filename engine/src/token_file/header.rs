//! What a token file says about itself: the model, what was encoded, and how the counts were chosen.

use super::TokenFileError;
use crate::data::Fit;
use crate::model::ModelConfig;
use serde::{Deserialize, Serialize};

/// Everything but the tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The model that made the tokens.
    pub model: ModelConfig,
    /// Its weights, by [`weights_hash`](crate::parameters::weights_hash).
    #[serde(with = "hexadecimal")]
    pub weights_hash: blake3::Hash,
    /// What was encoded.
    pub source: Source,
    /// How it was made to fit the model's frame.
    pub fit: Fit,
    /// How many earlier blocks each block sees; none: all.
    pub window: Option<usize>,
    /// How the kept tokens were chosen; none where a person gave the count.
    pub search: Option<Search>,
}

/// The picture or clip as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its file's name.
    pub name: String,
    /// blake3 of its file; files written before it was kept have none.
    #[serde(default, with = "hexadecimal::optional", skip_serializing_if = "Option::is_none")]
    pub hash: Option<blake3::Hash>,
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Frames that were encoded: 1 for a picture. The last block is filled up by repeating the last frame.
    pub frames: usize,
    /// Frames a second of a clip; none for a picture.
    pub frames_per_second: Option<f64>,
}

/// A search for the fewest tokens within a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The strategy's name, as `binary`.
    pub strategy: String,
    /// The largest acceptable mean squared error in [−1, 1] after clipping.
    pub threshold: f64,
}

impl Header {
    /// Fails with the first value that cannot be, of a file with so many blocks.
    pub(super) fn check(&self, blocks: u64) -> Result<(), TokenFileError> {
        let Self { model, source, fit, search, .. } = self;
        model.check().map_err(|error| TokenFileError::Model(error.to_string()))?;
        let problem =
            |key, value: String, rule: &str| Err(TokenFileError::HeaderValue { key, value, rule: rule.to_owned() });
        for (key, value) in
            [("source.width", source.width), ("source.height", source.height), ("source.frames", source.frames)]
        {
            if value == 0 {
                return problem(key, value.to_string(), "must be at least 1");
            }
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if let Some(rate) = source.frames_per_second.filter(|rate| !positive(*rate)) {
            return problem("source.frames_per_second", rate.to_string(), "must be a positive number");
        }
        if source.frames > 1 && source.frames_per_second.is_none() {
            return problem("source.frames_per_second", "null".to_owned(), "a clip of several frames has a rate");
        }
        if let Some(search) = search.as_ref().filter(|search| !positive(search.threshold)) {
            return problem("search.threshold", search.threshold.to_string(), "must be a positive number");
        }
        let frame = [model.block.width, model.block.height];
        let inside = |side: usize| fit.crop[side].checked_add(frame[side]).is_some_and(|end| end <= fit.resized[side]);
        if !(inside(0) && inside(1)) {
            let rule = format!("the model's frame of {frame:?} must lie inside fit.resized = {:?}", fit.resized);
            return problem("fit.crop", format!("{:?}", fit.crop), &rule);
        }
        let frames_per_block = model.block.frames;
        let expected = source.frames.div_ceil(frames_per_block) as u64;
        if blocks != expected {
            return Err(TokenFileError::Blocks { blocks, frames: source.frames, frames_per_block, expected });
        }
        Ok(())
    }
}

/// The first key, as `block.width`, in which two models differ, and both values.
pub(super) fn first_difference(file: &ModelConfig, model: &ModelConfig) -> Option<(String, String, String)> {
    let value = |config: &ModelConfig| serde_json::to_value(config).expect("a configuration is plain data");
    differing("model", &value(file), &value(model))
}

fn differing(key: &str, file: &serde_json::Value, model: &serde_json::Value) -> Option<(String, String, String)> {
    use serde_json::Value::{Null, Object};
    match (file, model) {
        (Object(file), Object(model)) => {
            let keys = file.keys().chain(model.keys().filter(|key| !file.contains_key(*key)));
            let of = |values: &serde_json::Map<_, _>, key: &String| values.get(key).cloned().unwrap_or(Null);
            keys.into_iter().find_map(|k| differing(&format!("{key}.{k}"), &of(file, k), &of(model, k)))
        }
        _ if file == model => None,
        _ => Some((key.to_owned(), file.to_string(), model.to_string())),
    }
}

/// A hash as 64 hexadecimal digits.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<blake3::Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&text).map_err(|error| D::Error::custom(format!("the hash {text:?} is none: {error}")))
    }

    /// The same where there may be none.
    pub(super) mod optional {
        use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

        #[derive(Deserialize)]
        struct Hexadecimal(#[serde(with = "super")] blake3::Hash);

        pub(crate) fn serialize<S: Serializer>(hash: &Option<blake3::Hash>, serializer: S) -> Result<S::Ok, S::Error> {
            hash.map(|hash| hash.to_hex().to_string()).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<blake3::Hash>, D::Error> {
            Ok(Option::<Hexadecimal>::deserialize(deserializer)?.map(|hash| hash.0))
        }
    }
}
