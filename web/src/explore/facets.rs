//! The keys that differ among trials, with their values: what can be filtered and grouped by.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::catalogue::{Catalogue, Entry, Shelf};
use super::settings::{ShortId, Symbol};
use super::view::View;

/// A key that differs.
#[derive(Debug)]
pub struct Facet {
    /// Its name in an address.
    pub id: ShortId,
    /// Its name for people.
    pub name: String,
    /// Its values, rising.
    pub values: Vec<Choice>,
    /// Whether it makes lines.
    pub makes_lines: bool,
}

/// A value of a key.
#[derive(Debug)]
pub struct Choice {
    /// Its name in an address.
    pub id: ShortId,
    /// Its text.
    pub text: String,
    /// How many trials have it.
    pub trials: usize,
    /// Whether the view filters by it.
    pub is_wanted: bool,
}

impl Facet {
    /// Whether the view filters by it.
    pub fn is_filtered(&self) -> bool {
        self.values.iter().any(|choice| choice.is_wanted)
    }
}

/// The keys that differ among these experiments' trials, by name.
pub fn facets(catalogue: &Catalogue, shelves: &[&Shelf], view: &View, line_keys: &[Symbol]) -> Vec<Facet> {
    let texts = &catalogue.texts;
    let mut counts: HashMap<Symbol, HashMap<Symbol, usize>> = HashMap::new();
    let entries = || shelves.iter().flat_map(|shelf| &shelf.entries);
    for (key, value) in entries().flat_map(Entry::settings) {
        *counts.entry(*key).or_default().entry(*value).or_default() += 1;
    }
    let all = entries().count();
    // A key that some trials lack differs too.
    counts.retain(|_, values| values.len() > 1 || values.values().sum::<usize>() < all);
    let facet = |(key, values): (Symbol, HashMap<Symbol, usize>)| {
        let id = texts.id(key);
        let wanted = view.filters.iter().find(|(filtered, _)| *filtered == id).map_or(&[][..], |(_, values)| values);
        let choice = |(value, trials): (Symbol, usize)| {
            let id = texts.id(value);
            Choice { id, text: texts.text(value).to_owned(), trials, is_wanted: wanted.contains(&id) }
        };
        let mut values: Vec<Choice> = values.into_iter().map(choice).collect();
        values.sort_by(|a, b| naturally(&a.text, &b.text));
        Facet { id, name: texts.text(key).to_owned(), values, makes_lines: line_keys.contains(&key) }
    };
    let mut facets: Vec<Facet> = counts.into_iter().map(facet).collect();
    facets.sort_by(|a, b| a.name.cmp(&b.name));
    facets
}

/// Numbers by size, before all else by letters.
pub fn naturally(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}
