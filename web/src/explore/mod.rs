//! The first view: what quality costs, over any choice of finished trials.
//!
//! A [`Catalogue`] holds every finished trial's settings and means in memory; a [`View`] is what an address asks for;
//! [`Lines`] are its trials, seeds pooled, in lines with their Pareto front; chart and table draw them.

mod catalogue;
mod chart;
mod facets;
mod keeper;
mod lines;
mod quantity;
mod settings;
mod table;
mod view;

pub use catalogue::{Catalogue, Entry};
pub use chart::{LINES, chart, line_page, name};
pub use facets::{Choice, Facet, facets};
pub use keeper::Keeper;
pub use lines::{Line, Lines, Panel, Point, Pooled};
pub use quantity::{Estimate, Quantity};
pub use settings::{STRATEGY, ShortId, Symbol, VARIANT};
pub use table::{Rows, differing};
pub use view::{PARAMETERS, Scope, View};
