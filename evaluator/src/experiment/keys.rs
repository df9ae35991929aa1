//! Every key of an experiment file is known, or an error that says where it stands and what was probably meant.

use super::ExperimentError;
use super::raw::{RawSections, STAGE_KEYS};
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Keys of the file itself that `--set` may override.
pub(super) const FILE_KEYS: [&str; 3] = ["name", "question", "seeds"];

/// Keys beside the sections that variants and grids may override.
pub(super) const TOP: [&str; 5] = [FILE_KEYS[0], FILE_KEYS[1], FILE_KEYS[2], "variant", "grid"];

/// Keys of files and folders, given relative to the experiment file.
pub(super) const PATHS: [&str; 7] = [
    "data.train",
    "data.test",
    "data.train_videos",
    "data.test_videos",
    "model.checkpoint",
    "perceptual.metric",
    "perceptual.loss",
];

/// All sections with all their keys and default values.
pub(super) fn defaults() -> Table {
    Table::try_from(RawSections::default()).expect("defaults are plain data")
}

/// The one section that is a list: `stage` is all of it, `stage.2.steps` a key of its second table.
const STAGE: &str = "stage";

/// Where a key stands in a file that people edit.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text[..offset.min(self.text.len())].matches('\n').count() + 1
    }
}

/// Checks every key of the file: top-level ones, those of sections, of `[[variant]]` and of `[grid]`.
pub(super) fn check(path: &Path, text: &str) -> Result<(), ExperimentError> {
    let source = Source { path, text };
    let table = DeTable::parse(text)
        .map_err(|error| ExperimentError::Toml { path: path.to_owned(), message: error.to_string() })?;
    let sections = defaults();
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("variant", DeValue::Array(variants)) => {
                for variant in variants {
                    check_overrides(&source, variant, &sections, &["name"])?;
                }
            }
            ("grid", _) => check_overrides(&source, value, &sections, &[])?,
            (name, _) if TOP.contains(&name) => {}
            (name, _) if sections.contains_key(name) => check_section(&source, name, value, &sections)?,
            (name, _) => return Err(unknown(&source, name, key, TOP.into_iter().chain(names(&sections)))),
        }
    }
    Ok(())
}

/// Checks the keys of one `[[variant]]` or of `[grid]`: section tables, or key paths in quotes.
fn check_overrides(
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
    sections: &Table,
    besides: &[&str],
) -> Result<(), ExperimentError> {
    let DeValue::Table(table) = value.get_ref() else {
        return Ok(());
    };
    for (key, value) in table {
        let name: &str = key.get_ref().as_ref();
        if besides.contains(&name) {
            continue;
        }
        if sections.contains_key(name) {
            check_section(source, name, value, sections)?;
        } else if !is_known(sections, name) {
            let known = besides.iter().map(|name| (*name).to_owned()).chain(paths(sections));
            return Err(unknown(source, name, key, known));
        }
    }
    Ok(())
}

fn check_section(
    source: &Source<'_>,
    section: &str,
    value: &Spanned<DeValue<'_>>,
    sections: &Table,
) -> Result<(), ExperimentError> {
    if let (STAGE, DeValue::Array(stages)) = (section, value.get_ref()) {
        for key in stages.iter().filter_map(|stage| stage.get_ref().as_table()).flat_map(DeTable::keys) {
            let name: &str = key.get_ref().as_ref();
            if !STAGE_KEYS.contains(&name) {
                let known = STAGE_KEYS.map(|name| format!("{STAGE}.{name}"));
                return Err(unknown(source, &format!("{STAGE}.{name}"), key, known));
            }
        }
        return Ok(());
    }
    let (DeValue::Table(table), Some(Value::Table(known))) = (value.get_ref(), sections.get(section)) else {
        return Ok(()); // the type error comes from reading it
    };
    for key in table.keys() {
        let name: &str = key.get_ref().as_ref();
        if !known.contains_key(name) {
            let names = names(known).map(|name| format!("{section}.{name}"));
            return Err(unknown(source, &format!("{section}.{name}"), key, names));
        }
    }
    Ok(())
}

fn unknown<K>(
    source: &Source<'_>,
    name: &str,
    key: &Spanned<K>,
    known: impl IntoIterator<Item = impl AsRef<str>>,
) -> ExperimentError {
    ExperimentError::UnknownKey {
        place: format!("{}:{}", source.path.display(), source.line(key.span().start)),
        key: name.to_owned(),
        nearest: nearest(name, known),
    }
}

/// The known key that looks most like `name`.
pub(super) fn nearest(name: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let known = known.into_iter().map(|key| key.as_ref().to_owned());
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}

fn names(table: &Table) -> impl Iterator<Item = &str> {
    table.keys().map(String::as_str)
}

/// Every `section.key`.
pub(super) fn paths(sections: &Table) -> impl Iterator<Item = String> {
    sections.iter().flat_map(|(section, value)| {
        let keys = value.as_table().into_iter().flat_map(Table::keys);
        keys.map(move |key| format!("{section}.{key}"))
    })
}

/// Whether something can be set at this path.
pub(super) fn is_known(sections: &Table, path: &str) -> bool {
    let of_stage = || stage_path(path).is_some_and(|(number, key)| number > 0 && STAGE_KEYS.contains(&key));
    path == STAGE || lookup(sections, path).is_some() || of_stage()
}

/// Whether a path leads into a section, and not to a key of the file itself.
pub(super) fn is_of_section(path: &str) -> bool {
    path == STAGE || path.contains('.')
}

/// Which stage, from 1, and which key of it.
fn stage_path(path: &str) -> Option<(usize, &str)> {
    let (number, key) = path.strip_prefix(STAGE)?.strip_prefix('.')?.split_once('.')?;
    Some((number.parse().ok()?, key))
}

/// The value at `section.key`.
pub(super) fn lookup<'a>(sections: &'a Table, path: &str) -> Option<&'a Value> {
    let (section, key) = path.split_once('.')?;
    sections.get(section)?.get(key)
}

/// Sets `section.key`, all of the stages, or a key of one.
///
/// # Errors
/// In words, for a stage that is not there.
pub(super) fn set(sections: &mut Table, path: &str, value: Value) -> Result<(), String> {
    if path == STAGE {
        sections.insert(STAGE.to_owned(), value);
        return Ok(());
    }
    if let Some((number, key)) = stage_path(path) {
        let mut stages = sections.get_mut(STAGE).and_then(Value::as_array_mut);
        let count = stages.as_ref().map_or(0, |stages| stages.len());
        let stage = stages.as_mut().and_then(|stages| stages.get_mut(number - 1)).and_then(Value::as_table_mut);
        let stage = stage.ok_or_else(|| format!("{path} = {value}: there are {count} stages"))?;
        stage.insert(key.to_owned(), value);
        return Ok(());
    }
    let (section, key) = path.split_once('.').expect("key paths are checked before they are set");
    let table = sections.get_mut(section).and_then(Value::as_table_mut).expect("sections are there from the defaults");
    table.insert(key.to_owned(), value);
    Ok(())
}
