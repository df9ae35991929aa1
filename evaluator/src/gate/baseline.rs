//! The numbers that were approved, as a file that is reviewed like code.
//!
//! What was measured, and why it was approved, is sealed with a hash: [`Baseline::approved`] alone writes it. Rules and
//! expected failures are for people to edit. A baseline names its experiment, so that a check is one file and one command.

use super::cost::COSTS;
use super::error::GateError;
use super::expected::ExpectedFailure;
use super::json::to_json;
use super::observed::{Observed, ObservedTrial};
use super::rule::{Gated, Rule, definition};
use crate::experiment::is_name;
use crate::store::{ContentHash, NewProvenance, now};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The format of the file; another one is refused.
const SCHEMA: u32 = 1;

/// No metric is as large. Sums of such numbers are still finite.
const LARGEST: f64 = 1e100;

/// Seeds that a check trains, where training is part of it.
const CHECKED_SEEDS: usize = 3;

/// What a run is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema: u32,
    /// The experiment's name.
    pub name: String,
    /// The experiment's file, relative to this one.
    pub experiment: PathBuf,
    /// How many of the seeds a check runs; another run to confirm it takes the next ones.
    pub checked_seeds: usize,
    /// What is compared, and how strictly.
    pub metrics: BTreeMap<String, Gated>,
    /// Regressions that are tolerated for a while.
    #[serde(default)]
    pub expected_failures: Vec<ExpectedFailure>,
    /// Why the numbers are what they are, the latest last.
    pub approvals: Vec<Approval>,
    /// The numbers.
    pub measured: Observed,
    /// The hash of approvals and numbers.
    seal: ContentHash,
}

/// That somebody took numbers for right, and with what they were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Why.
    pub reason: String,
    /// When: UTC, RFC 3339.
    pub at: String,
    /// Program and machine.
    pub made_by: NewProvenance,
}

impl Baseline {
    /// Reads a baseline and checks it.
    ///
    /// # Errors
    /// Every kind but [`GateError::Nothing`] and [`GateError::Mixed`].
    pub fn read(path: &Path) -> Result<Self, GateError> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => GateError::Missing { path: path.to_owned() },
            _ => GateError::Read { path: path.to_owned(), source },
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of the baseline at `path`.
    ///
    /// # Errors
    /// Those of [`Baseline::read`] that are not about reading the file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, GateError> {
        #[derive(Deserialize)]
        struct Format {
            schema: u32,
        }
        let damaged = |reason: String| GateError::Damaged { path: path.to_owned(), reason };
        let Format { schema } = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if schema != SCHEMA {
            return Err(damaged(format!("its schema is {schema}, this version reads {SCHEMA}")));
        }
        let baseline: Self = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if let Some(reason) = baseline.contradiction() {
            return Err(damaged(reason));
        }
        if baseline.seal != seal(&baseline.approvals, &baseline.measured) {
            return Err(GateError::Unsealed { path: path.to_owned() });
        }
        match baseline.impossible() {
            Some((place, rule)) => Err(GateError::Rule { path: path.to_owned(), place, rule }),
            None => Ok(baseline),
        }
    }

    /// The baseline of these numbers. Rules are those of the one before; metrics that it lacks get their usual ones, and
    /// expected failures are over.
    pub fn approved(
        before: Option<Self>,
        name: &str,
        experiment: PathBuf,
        measured: Observed,
        reason: &str,
        made_by: NewProvenance,
    ) -> Self {
        let (mut rules, mut approvals, checked) = match before {
            Some(Self { metrics, approvals, checked_seeds, .. }) => (metrics, approvals, Some(checked_seeds)),
            None => (BTreeMap::new(), Vec::new(), None),
        };
        approvals.push(Approval { reason: reason.to_owned(), at: now(), made_by });
        // Costs are gated where two programs are run in turn, whether or not some were approved.
        let costs = COSTS.iter().map(|cost| cost.name);
        let values = measured.trials.iter().flat_map(|trial| trial.values.keys()).map(String::as_str);
        let gated = values.chain(costs).collect::<BTreeSet<&str>>().into_iter().filter_map(|name| {
            let metric = definition(name)?;
            let rule = rules.remove(name).map(|gated| gated.rule).or_else(|| Rule::usual(metric, measured.trains()))?;
            let unit = metric.unit.to_owned();
            Some((name.to_owned(), Gated { version: metric.version, unit, better: metric.direction, rule }))
        });
        let metrics = gated.collect();
        let seeds = measured.seeds().len();
        let usual = if measured.trains() { CHECKED_SEEDS } else { seeds };
        Self {
            schema: SCHEMA,
            name: name.to_owned(),
            experiment,
            checked_seeds: checked.unwrap_or(usual).min(seeds),
            metrics,
            expected_failures: Vec::new(),
            seal: seal(&approvals, &measured),
            approvals,
            measured,
        }
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// The experiment's file, for a baseline that lies at `path`.
    pub fn experiment_file(&self, path: &Path) -> PathBuf {
        path.parent().unwrap_or(Path::new("")).join(&self.experiment)
    }

    /// The latest approval.
    pub fn approval(&self) -> &Approval {
        self.approvals.last().expect("checked when it was read")
    }

    /// Whether it was approved on the machine that `here` tells of: hosts may share a name, as copies of one image do, and so
    /// the processor must be the same too.
    pub fn is_of_machine(&self, here: &NewProvenance) -> bool {
        let there = &self.approval().made_by;
        (&there.host, &there.cpu) == (&here.host, &here.cpu)
    }

    /// The seeds of a check, and those of another one that confirms it: others, if there are enough.
    pub fn seeds(&self) -> [Vec<u64>; 2] {
        let all = self.measured.seeds();
        let (first, rest) = all.split_at(self.checked_seeds.min(all.len()));
        let next = if rest.len() >= first.len() { &rest[..first.len()] } else { first };
        [first.to_vec(), next.to_vec()]
    }

    /// What in it cannot be true of one file.
    fn contradiction(&self) -> Option<String> {
        let (trials, samples) = (&self.measured.trials, self.measured.samples());
        if trials.is_empty() || samples == 0 || self.approvals.is_empty() {
            return Some("it holds no trial, no sample or no approval".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(trial) = trials.iter().find(|trial| !seen.insert((&trial.name, trial.seed))) {
            return Some(format!("{}, seed {}, stands there twice", trial.name, trial.seed));
        }
        let wrong = |trial: &ObservedTrial| {
            trial.values.iter().find_map(|(metric, values)| match values.iter().find(|value| value.abs() > LARGEST) {
                Some(value) => Some(format!("{} has {value:e} as {metric}", trial.name)),
                None if values.len() == samples => None,
                None => Some(format!("{} has {} values of {metric}, not {samples}", trial.name, values.len())),
            })
        };
        trials.iter().find_map(wrong)
    }

    /// The first place that people edit where something impossible stands, and what must hold there.
    fn impossible(&self) -> Option<(String, String)> {
        if !is_name(&self.name) {
            return Some(("name".to_owned(), format!("{:?} is no name of an experiment", self.name)));
        }
        let seeds = self.measured.seeds().len();
        if !(1..=seeds).contains(&self.checked_seeds) {
            let rule = format!("{}: must be from 1 to its {seeds} seeds", self.checked_seeds);
            return Some(("checked_seeds".to_owned(), rule));
        }
        for (metric, gated) in &self.metrics {
            let noisy = matches!(gated.rule, Rule::Noisy { .. });
            let rule = match definition(metric) {
                Some(known) if known.noisy != noisy => Some("times and memory, and only they, are noisy".to_owned()),
                _ => gated.rule.problem(),
            };
            if let Some(rule) = rule {
                return Some((format!("metrics.{metric}"), rule));
            }
        }
        let unknown = self.expected_failures.iter().find(|failure| !self.metrics.contains_key(&failure.metric));
        unknown.map(|failure| {
            let known: Vec<&str> = self.metrics.keys().map(String::as_str).collect();
            ("expected_failures".to_owned(), format!("metric {:?} is none of {}", failure.metric, known.join(", ")))
        })
    }
}

fn seal(approvals: &[Approval], measured: &Observed) -> ContentHash {
    ContentHash::of(to_json(&(approvals, measured)).as_bytes())
}
