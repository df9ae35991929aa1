//! What tells trials apart: every key of their configuration with its value, as text.
//!
//! A hundred thousand trials share a few hundred texts: each is kept once, and trials hold numbers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use evaluator::store::{ContentHash, FinishedTrial};
use serde_json::Value;

/// A text that is kept once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

/// Names a text in an address: four letters or digits, the same in every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId([u8; ShortId::LENGTH]);

impl ShortId {
    /// A few hundred keys in 36⁴ names: two share one in a store of a hundred once in 300 stores.
    pub const LENGTH: usize = 4;
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// Of a text.
    pub fn of(text: &str) -> Self {
        let hash = ContentHash::of(text.as_bytes()).to_string();
        let mut number = u64::from_str_radix(&hash[..12], 16).unwrap_or_default();
        Self(std::array::from_fn(|_| {
            let digit = Self::DIGITS[(number % 36) as usize];
            number /= 36;
            digit
        }))
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl FromStr for ShortId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| ())?;
        if id.iter().all(|digit| Self::DIGITS.contains(digit)) { Ok(Self(id)) } else { Err(()) }
    }
}

/// Every text once.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    texts: Vec<(Box<str>, ShortId)>,
    symbols: HashMap<Box<str>, Symbol>,
}

impl Texts {
    /// The text's symbol, new if it must be.
    pub fn symbol(&mut self, text: &str) -> Symbol {
        if let Some(symbol) = self.symbols.get(text) {
            return *symbol;
        }
        let symbol = Symbol(u32::try_from(self.texts.len()).expect("fewer than 2³² different settings"));
        self.texts.push((text.into(), ShortId::of(text)));
        self.symbols.insert(text.into(), symbol);
        symbol
    }

    /// The symbol of a text that is there.
    pub fn find(&self, text: &str) -> Option<Symbol> {
        self.symbols.get(text).copied()
    }

    /// All symbols with this name in an address.
    pub fn named(&self, id: ShortId) -> Vec<Symbol> {
        let symbols = (0..).map(Symbol).zip(&self.texts);
        symbols.filter(|(_, (_, own))| *own == id).map(|(symbol, _)| symbol).collect()
    }

    /// The symbol's text.
    pub fn text(&self, symbol: Symbol) -> &str {
        &self.texts[symbol.0 as usize].0
    }

    /// The symbol's name in an address.
    pub fn id(&self, symbol: Symbol) -> ShortId {
        self.texts[symbol.0 as usize].1
    }
}

/// The key of a trial's variant.
pub const VARIANT: &str = "variant";
/// The key of its search strategy.
pub const STRATEGY: &str = "strategy";
/// The key of its threshold.
pub const THRESHOLD: &str = "threshold";
/// The key of its seed.
pub const SEED: &str = "seed";
/// The key of its experiment.
pub const EXPERIMENT: &str = "experiment";
/// The key of its test set.
pub const DATA: &str = "test data";
/// The key of how it was measured.
pub const PROTOCOL: &str = "protocol";

/// A trial's settings by key. Keys of the training lose their common beginning, which says nothing.
pub fn settings(trial: &FinishedTrial, experiment: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    flatten("", &trial.config, &mut settings);
    let own = [
        (VARIANT, trial.variant.clone()),
        (STRATEGY, trial.strategy.clone()),
        (SEED, trial.seed.to_string()),
        (EXPERIMENT, experiment.to_owned()),
        (DATA, format!("#{}", trial.dataset_id)),
        (PROTOCOL, format!("#{}", trial.protocol_id)),
    ];
    settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
    if let Some(threshold) = trial.threshold {
        settings.insert(THRESHOLD.to_owned(), threshold.to_string());
    }
    settings
}

fn flatten(path: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
    let Value::Object(object) = value else {
        let key = path.strip_prefix("training.").unwrap_or(path);
        settings.insert(key.to_owned(), text(value));
        return;
    };
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        flatten(&path, value, settings);
    }
}

/// A value as it was written in the experiment's file.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        // Settings are 32-bit numbers; with more digits 0.002 would read 0.0020000000949949026.
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or_default();
            let short = exact as f32;
            if f64::from(short) == exact { short.to_string() } else { exact.to_string() }
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_read_as_they_were_written() {
        let mut settings = BTreeMap::new();
        let rate = f64::from(0.002_f32);
        let config =
            json!({ "window": 3, "training": { "train": { "learning_rate": rate, "budget": null } }, "a": [2, 8] });
        flatten("", &config, &mut settings);
        let expected = [("a", "[2,8]"), ("train.budget", "none"), ("train.learning_rate", "0.002"), ("window", "3")];
        assert_eq!(settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn short_ids_are_read_back_and_nothing_else() {
        let id = ShortId::of("train.learning_rate");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "abc", "abcde", "ab-d", "ABCD", "äbc"] {
            assert_eq!(wrong.parse::<ShortId>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_text_is_kept_once() {
        let mut texts = Texts::default();
        let (a, b) = (texts.symbol("0.1"), texts.symbol("0.2"));
        assert_ne!(a, b);
        assert_eq!((texts.symbol("0.1"), texts.text(a), texts.find("0.3")), (a, "0.1", None));
    }
}
