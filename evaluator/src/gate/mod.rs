//! The gate: has quality or cost become worse than what was approved, and how sure is that?
//!
//! A [`Baseline`] is a file beside an experiment: the numbers that were approved, sample by sample, with the [`Rule`] that
//! each metric is held to. [`compare`] puts what a run measured ([`Observed`]) beside them. There are three kinds of
//! metric, and what makes a difference believable is another thing for each:
//!
//! - *exact* ones (token counts, bytes) are equal or not;
//! - *deterministic* ones (PSNR) differ by rounding between CPUs: samples are compared in pairs, what is within tolerance
//!   counts as equal. Where training is part of the run they differ by chance, and are held against the spread of seeds;
//! - *noisy* ones (seconds, memory) tell nothing across machines or hours: only two programs run in turn do. A baseline holds
//!   some if that was asked for: they are advice on its machine, and on another one not comparable.
//!
//! A difference is a regression if it is beyond its tolerance, its interval lies wholly past zero with Holm's correction
//! over all comparisons of the run, and another run shows it again ([`confirm`]). Everything that was compared is
//! reported, and nothing but [`Baseline::approved`] changes what is approved.

mod baseline;
mod compare;
mod cost;
mod error;
mod exact;
mod expected;
mod figure;
mod finding;
mod json;
mod noisy;
mod observed;
mod paired;
mod render;
mod report;
mod rule;
mod seeds;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use baseline::{Approval, Baseline};
pub use compare::{compare, confirm, enough_pairs};
pub use cost::{COSTS, Costs, PEAK_MEMORY, Pair, RUN_SECONDS, search_seconds};
pub use error::GateError;
pub use expected::{ExpectedFailure, today};
pub use figure::figure;
pub use finding::{Finding, Verdict};
pub use observed::{Observed, ObservedTrial};
pub use render::{to_annotations, to_junit, to_markdown, to_text};
pub use report::{Outcome, Report, SCHEMA as REPORT_SCHEMA};
pub use rule::{Gated, Kind, Rule};
