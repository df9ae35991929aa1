//! The paper's tables, and those its reviewers asked for: each a function from an experiment's trials to rows.
//!
//! To add a table: write its function, list it in [`TABLES`].

mod bits;
mod compared;
mod content;
mod context;
mod equal_mean;
mod fewer_tokens;
mod monotonicity;
mod rate;
mod searches;

use super::make::Make::{self, OfBlocks, OfReport};
use super::outcome::Estimate;
use super::{Cell, Report, Table};
use crate::error::{EvaluatorError, Result};
use crate::statistics::Interval;
use crate::store::Reader;

/// A table that can be asked for by name.
pub struct NamedTable {
    /// Its name; an experiment of this name, if there is one, is the one it is made of.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    make: Make<Result<Table>>,
}

/// Every table, the main one first.
pub const TABLES: &[NamedTable] = &[
    NamedTable {
        name: "results",
        about: "every variant, strategy and threshold: the main table",
        make: OfReport(|report| Ok(report.table())),
    },
    NamedTable {
        name: "satisfaction",
        about: "share of blocks that meet a threshold, and the tokens it takes (the paper's Figure 4)",
        make: OfBlocks(compared::satisfaction),
    },
    NamedTable {
        name: "fewer-tokens",
        about: "how many times fewer tokens than a fixed budget, at equal satisfaction (the paper's headline)",
        make: OfBlocks(fewer_tokens::fewer_tokens),
    },
    NamedTable {
        name: "equal-mean",
        about: "chosen counts against one count for every block, at equal mean: average and worst blocks",
        make: OfBlocks(equal_mean::equal_mean),
    },
    NamedTable {
        name: "search",
        about: "what each search costs and what it gives up",
        make: OfBlocks(searches::search),
    },
    NamedTable {
        name: "search-cost",
        about: "what each search's cost is made of: encoder, decoder, commit and final runs, batches, predictors",
        make: OfBlocks(searches::search_cost),
    },
    NamedTable {
        name: "regressor",
        about: "predicted counts against the best ones, and what a safety margin costs",
        make: OfBlocks(searches::regressor),
    },
    NamedTable {
        name: "mask-conditioning",
        about: "an encoder that knows what will be kept, against ones that do not",
        make: OfBlocks(compared::mask_conditioning),
    },
    NamedTable {
        name: "mask-distribution",
        about: "variants against the first: how training draws the kept tokens",
        make: OfBlocks(compared::variants),
    },
    NamedTable {
        name: "video",
        about: "variants against the first: what the earlier blocks of a clip are worth",
        make: OfBlocks(compared::variants),
    },
    NamedTable {
        name: "context",
        about: "what a clip's blocks gain from those before them, the same weights keeping the same counts",
        make: OfBlocks(context::context),
    },
    NamedTable {
        name: "rate",
        about: "BD-rate and BD-PSNR of every variant against the first, tokens as rate",
        make: OfReport(rate::rate),
    },
    NamedTable {
        name: "bits",
        about: "what kept tokens cost to store, plainly and coded, and how much of the codebook they use",
        make: OfReport(|report| Ok(bits::bits(report))),
    },
    NamedTable {
        name: "monotonicity",
        about: "how often distortion rises with more tokens, and what that costs bisection",
        make: OfReport(monotonicity::monotonicity),
    },
    NamedTable {
        name: "content",
        about: "tokens against what is in the picture: correlation with high-frequency energy (Figure 9)",
        make: OfBlocks(content::content),
    },
];

impl NamedTable {
    /// The table of that name.
    ///
    /// # Errors
    /// [`EvaluatorError::UnknownReport`] lists the names.
    pub fn find(name: &str) -> Result<&'static Self> {
        let unknown = || EvaluatorError::UnknownReport {
            what: "table",
            name: name.to_owned(),
            names: TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", "),
        };
        TABLES.iter().find(|table| table.name == name).ok_or_else(unknown)
    }

    /// Makes it of an experiment.
    ///
    /// # Errors
    /// [`EvaluatorError::NothingToShow`] if the experiment lacks what it shows.
    pub async fn of(&self, report: &Report, reader: &Reader) -> Result<Table> {
        let table = self.make.of(report, reader).await??;
        if table.rows.is_empty() {
            let (experiment, table) = (report.experiment.name.clone(), self.name);
            return Err(EvaluatorError::NothingToShow { experiment, table });
        }
        Ok(table)
    }
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Missing, Cell::Number)
}

fn estimated(estimate: Option<Estimate>, scale: f64) -> Cell {
    match estimate {
        None => Cell::Missing,
        Some(Estimate { mean, interval: None }) => Cell::Number(scale * mean),
        Some(Estimate { mean, interval: Some(Interval { low, high }) }) => {
            Cell::Estimate(scale * mean, scale * low, scale * high)
        }
    }
}

/// A share of blocks in per cent.
fn percent(share: Option<Estimate>) -> Cell {
    estimated(share, 100.0)
}

/// Where a row's numbers come from: this store, or a publication.
const MEASURED: &str = "measured";
const REPORTED: &str = "reported";
