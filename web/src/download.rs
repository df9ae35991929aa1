//! Tables as files: every table of the dashboard in the same four ways, under the same endings.

use std::fmt;

use axum::response::Response;
use evaluator::report::Table;
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::pages::file;

/// A way to write a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Format {
    /// Comma-separated values, exact.
    #[serde(rename = "csv")]
    Csv,
    /// One object, exact.
    #[serde(rename = "json")]
    Json,
    /// For papers.
    #[serde(rename = "tex")]
    Latex,
    /// For notes.
    #[serde(rename = "md")]
    Markdown,
}

impl Format {
    const ALL: [Self; 4] = [Self::Csv, Self::Json, Self::Latex, Self::Markdown];

    /// The links to a table's files: heading and address. `base` is the address up to the name, `query` what follows the
    /// ending, with its question mark.
    pub fn links(base: &str, query: &str) -> Vec<(&'static str, String)> {
        Self::ALL.map(|format| (format.heading(), format!("{base}.{}{query}", format.ending()))).into()
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Latex => "LaTeX",
            Self::Markdown => "Markdown",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Latex => "tex",
            Self::Markdown => "md",
        }
    }

    /// The whole table, to be saved under this name with the format's ending.
    pub fn answer(self, table: &Table, name: impl fmt::Display) -> Response {
        let (text, media_type) = match self {
            Self::Csv => (table.to_csv(), "text/csv; charset=utf-8"),
            Self::Json => (table.to_json(), "application/json"),
            Self::Latex => (table.to_latex(), "text/x-tex; charset=utf-8"),
            Self::Markdown => (table.to_markdown(), "text/markdown; charset=utf-8"),
        };
        file(false, &format!("{name}.{}", self.ending()), media_type, text)
    }
}

/// A file in an address: which table, and how it is written. `N` is deserialized from the name before the dot.
#[derive(Debug, Clone, Copy)]
pub struct File<N> {
    /// Which table.
    pub name: N,
    /// How it is written.
    pub format: Format,
}

impl<'de, N: Deserialize<'de>> Deserialize<'de> for File<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (name, ending) = text.rsplit_once('.').ok_or_else(|| D::Error::custom(format!("{text}: no such file")))?;
        let wrong = |error: serde::de::value::Error| D::Error::custom(format!("{text}: {error}"));
        Ok(Self {
            name: N::deserialize(StrDeserializer::new(name)).map_err(wrong)?,
            format: Format::deserialize(StrDeserializer::new(ending)).map_err(wrong)?,
        })
    }
}
