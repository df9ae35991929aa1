//! What a run costs: noisy, and so compared only with another program's run on the same machine, a moment before or after.

use crate::metric::{Direction, MetricDef, SEARCH_SECONDS};
use std::collections::BTreeMap;

/// Of the whole process.
pub const RUN_SECONDS: MetricDef = MetricDef {
    name: "run_seconds",
    version: 1,
    unit: "s",
    direction: Direction::Lower,
    noisy: true,
    description: "Seconds from the start to the end of a process that runs the experiment.",
};

/// Of the whole process.
pub const PEAK_MEMORY: MetricDef = MetricDef {
    name: "peak_memory",
    version: 1,
    unit: "MB",
    direction: Direction::Lower,
    noisy: true,
    description: "Most memory that a process which runs the experiment had resident.",
};

/// Every cost that the gate knows.
pub static COSTS: &[MetricDef] = &[SEARCH_SECONDS, RUN_SECONDS, PEAK_MEMORY];

/// Costs of one run, by the name of the metric.
pub type Costs = BTreeMap<String, f64>;

/// Runs of two programs, one right behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The program that is compared with.
    pub before: Costs,
    /// This program.
    pub after: Costs,
}
