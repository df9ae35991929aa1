//! What a run costs: noisy, and so compared only with another program's run on the same machine, a moment before or after.

use crate::error::Result;
use crate::metric::{Direction, MetricDef, SEARCH_SECONDS};
use crate::statistics::mean;
use crate::store::{ExperimentId, Reader, TrialStatus};
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

/// Mean seconds that the searches of an experiment's finished trials took for a sample. `None` if they took none: a search
/// that asks the model nothing takes no time worth comparing.
///
/// # Errors
/// Those of the store.
pub async fn search_seconds(reader: &Reader, experiment: ExperimentId) -> Result<Option<f64>> {
    let mut seconds = Vec::new();
    for trial in reader.trials(experiment).await?.iter().filter(|trial| trial.status == TrialStatus::Done) {
        let rows = reader.measurements(trial.id).await?;
        seconds.extend(rows.iter().filter(|row| row.metric == SEARCH_SECONDS.name).map(|row| row.value));
    }
    Ok(seconds.iter().any(|seconds| *seconds > 0.0).then(|| mean(&seconds)))
}

/// Runs of two programs, one right behind the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The program that is compared with.
    pub before: Costs,
    /// This program.
    pub after: Costs,
}
