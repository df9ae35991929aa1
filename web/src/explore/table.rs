//! The points as a table: what differs, and what was measured.

use std::cmp::Ordering;

use evaluator::report::{Cell, Column, Table};

use super::catalogue::{Catalogue, Entry};
use super::facets::naturally;
use super::lines::{Pooled, pooled};
use super::quantity::Quantity;
use super::settings::{DATA, EXPERIMENT, PROTOCOL, SEED, STRATEGY, Symbol, THRESHOLD, VARIANT};
use super::view::View;

/// Columns that a table always has where they were measured.
const USUAL: [&str; 5] = ["threshold_met", "kept_tokens", "psnr", "ssim", "evaluations"];

/// The keys that differ among these trials: variant, strategy and threshold first, the seed never.
pub fn differing(catalogue: &Catalogue, entries: &[&Entry]) -> Vec<Symbol> {
    let texts = &catalogue.texts;
    let Some((first, others)) = entries.split_first() else { return Vec::new() };
    let mut differ: Vec<Symbol> = Vec::new();
    for entry in others {
        for (key, value) in entry.settings() {
            if first.setting(*key) != Some(*value) && !differ.contains(key) {
                differ.push(*key);
            }
        }
        for (key, _) in first.settings() {
            if entry.setting(*key).is_none() && !differ.contains(key) {
                differ.push(*key);
            }
        }
    }
    let order = |key: &Symbol| {
        let name = texts.text(*key);
        let leading = [EXPERIMENT, VARIANT, STRATEGY, THRESHOLD].iter().position(|leading| *leading == name);
        (leading.unwrap_or(4), name.to_owned())
    };
    differ.retain(|key| texts.text(*key) != SEED);
    differ.sort_by_cached_key(order);
    differ
}

/// The rows of a view's table, sorted; their cells are made where they are wanted.
pub struct Rows<'a> {
    catalogue: &'a Catalogue,
    entries: usize,
    pools: Vec<Pooled<'a>>,
    keys: Vec<Symbol>,
    quantities: Vec<Quantity<'a>>,
}

impl<'a> Rows<'a> {
    /// All rows of these trials.
    pub fn new(
        catalogue: &'a Catalogue,
        entries: &[&'a Entry],
        view: &View,
        axes: (Quantity<'a>, Quantity<'a>),
    ) -> Self {
        let texts = &catalogue.texts;
        let mut keys = differing(catalogue, entries);
        for name in [STRATEGY, VARIANT] {
            // A row needs a name, even if all have the same.
            if let Some(key) = texts.find(name).filter(|key| !keys.contains(key)) {
                keys.insert(0, key);
            }
        }
        // Test data and protocols are told apart by their panels.
        keys.sort_by_key(|key| matches!(texts.text(*key), DATA | PROTOCOL));
        let mut quantities = vec![axes.1, axes.0];
        for name in USUAL {
            let known = Quantity::find(catalogue, name);
            quantities.extend(known.filter(|usual| quantities.iter().all(|quantity| quantity.name != usual.name)));
        }
        let mut pools = pooled(entries);
        sort(catalogue, &mut pools, view, &keys);
        quantities.retain(|quantity| pools.iter().any(|row| row.estimate(quantity).is_some()));
        Self { catalogue, entries: entries.len(), pools, keys, quantities }
    }

    /// All of them.
    pub fn all(&self) -> &[Pooled<'a>] {
        &self.pools
    }

    /// Some of them as a table.
    pub fn table(&self, shown: &[Pooled]) -> Table {
        let texts = &self.catalogue.texts;
        let key_column = |key: &Symbol| {
            let name = texts.text(*key);
            let heading = if name == THRESHOLD { "τ" } else { name };
            Column::new(heading.to_owned(), name.to_owned(), 0)
        };
        let mut columns: Vec<Column> = self.keys.iter().map(key_column).collect();
        columns.push(Column::new("seeds", "seeds", 0));
        columns.extend(self.quantities.iter().map(|quantity| Column {
            noisy: quantity.name.ends_with("seconds"),
            ..Column::new(quantity.label(), quantity.name.to_owned(), quantity.digits())
        }));
        Table {
            caption: format!(
                "{} rows of {} finished trials; means over samples and seeds, with 95 % intervals clustered by source",
                self.pools.len(),
                self.entries
            ),
            columns,
            trials: shown.iter().map(|row| row.trials.iter().map(|entry| entry.trial).collect()).collect(),
            rows: shown.iter().map(|row| cells(self.catalogue, row, &self.keys, &self.quantities)).collect(),
        }
    }
}

fn cells(catalogue: &Catalogue, row: &Pooled, keys: &[Symbol], quantities: &[Quantity]) -> Vec<Cell> {
    let setting = |key: &Symbol| match row.trials[0].setting(*key) {
        Some(value) => Cell::Text(catalogue.texts.text(value).to_owned()),
        None => Cell::Missing,
    };
    let measured = |quantity: &Quantity| match row.estimate(quantity) {
        Some(estimate) => match estimate.interval {
            Some((low, high)) => Cell::Estimate(estimate.mean, low, high),
            None => Cell::Number(estimate.mean),
        },
        None => Cell::Missing,
    };
    let seeds = Cell::Number(row.trials.len() as f64);
    keys.iter().map(setting).chain([seeds]).chain(quantities.iter().map(measured)).collect()
}

/// By a metric, or by a key's values; those that lack it come last, equal ones stay.
fn sort(catalogue: &Catalogue, rows: &mut [Pooled], view: &View, keys: &[Symbol]) {
    let Some((column, falling)) = &view.sort else { return };
    let turned = |order: Ordering| if *falling { order.reverse() } else { order };
    if let Some(quantity) = Quantity::find(catalogue, column) {
        let value = |row: &Pooled| row.estimate(&quantity).map(|estimate| estimate.mean);
        rows.sort_by(|a, b| last(value(a), value(b), |a, b| turned(a.total_cmp(b))));
    } else if let Some(key) = keys.iter().find(|key| catalogue.texts.id(**key).to_string() == *column) {
        let value = |row: &Pooled| row.trials[0].setting(*key).map(|value| catalogue.texts.text(value));
        rows.sort_by(|a, b| last(value(a), value(b), |a, b| turned(naturally(a, b))));
    }
}

fn last<T>(a: Option<T>, b: Option<T>, compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => compare(&a, &b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
