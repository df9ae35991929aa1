//! The rules that values are held to, one for each kind of metric.

use super::cost::COSTS;
use crate::metric::{self, Direction, MetricDef};
use serde::{Deserialize, Serialize};

/// When a difference from the baseline is one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Rule {
    /// Token counts, bytes: equal, for at least so many of a hundred samples.
    Exact {
        /// From 0 to 100. Less than 100 where another CPU rounds a few samples over the edge to another count.
        equal_percent: f64,
    },
    /// Deterministic floats, sample by sample. A sample that differs by at most `absolute + relative · |baseline|` is equal;
    /// the mean over all samples of what differs must reach beyond `minimum_effect`.
    Paired {
        /// In the metric's unit.
        absolute: f64,
        /// As a share of the baseline's value.
        relative: f64,
        /// In the metric's unit.
        minimum_effect: f64,
    },
    /// Floats of models that were trained, seed by seed, against the spread of all seeds in the baseline.
    Seeds {
        /// In the metric's unit.
        minimum_effect: f64,
    },
    /// Seconds, memory: only two programs run in turn on one machine are compared, else they are advice.
    Noisy {
        /// How much more is tolerated, in per cent.
        percent: f64,
    },
}

/// What a comparison is held to: three rules for samples and seeds, one for costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Rule::Exact`], and identities: configuration, weights.
    Exact,
    /// [`Rule::Paired`].
    Paired,
    /// [`Rule::Seeds`].
    Seeds,
    /// [`Rule::Noisy`].
    Noisy,
}

/// A metric that a baseline gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gated {
    /// The version that was approved: values of another one are not compared.
    pub version: u32,
    /// Unit of its values.
    pub unit: String,
    /// Which values are better.
    pub better: Direction,
    /// What it is held to.
    pub rule: Rule,
}

/// Samples that may differ in counts and bytes where a CPU rounds otherwise.
const UNEQUAL_ACROSS_CPUS: f64 = 1.0;

impl Rule {
    /// The rule that a metric gets when it is approved for the first time; `None` if it is not gated. `trains`: the values
    /// are of models that the run trained.
    pub fn usual(metric: &MetricDef, trains: bool) -> Option<Self> {
        let exact = Self::Exact { equal_percent: 100.0 - UNEQUAL_ACROSS_CPUS };
        let paired = |absolute, minimum_effect| Self::Paired { absolute, relative: 0.0, minimum_effect };
        match metric.name {
            "psnr" if trains => Some(Self::Seeds { minimum_effect: 0.1 }),
            "ssim" if trains => Some(Self::Seeds { minimum_effect: 0.005 }),
            "psnr" => Some(paired(0.01, 0.01)),
            "ssim" => Some(paired(0.0005, 0.0005)),
            // A sum of logarithms, which another CPU's library rounds otherwise.
            "adaptive_bits" if !trains => Some(paired(0.01, 1.0)),
            "kept_tokens" | "bits" | "threshold_met" | "evaluations" | "flops" if !trains => Some(exact),
            _ if COSTS.contains(metric) => Some(Self::Noisy { percent: 10.0 }),
            _ => None,
        }
    }

    /// Whether a metric of this name is gated if nobody says otherwise.
    pub fn is_usual(metric: &str, trains: bool) -> bool {
        definition(metric).is_some_and(|metric| Self::usual(metric, trains).is_some())
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Exact { .. } => Kind::Exact,
            Self::Paired { .. } => Kind::Paired,
            Self::Seeds { .. } => Kind::Seeds,
            Self::Noisy { .. } => Kind::Noisy,
        }
    }

    /// What a number of it breaks, if one does.
    pub(super) fn problem(&self) -> Option<String> {
        let not_negative = |value: &f64| value.is_finite() && *value >= 0.0;
        match self {
            Self::Exact { equal_percent } if !(0.0..=100.0).contains(equal_percent) => {
                Some(format!("equal_percent = {equal_percent}: must be from 0 to 100"))
            }
            Self::Paired { absolute, relative, minimum_effect }
                if ![absolute, relative, minimum_effect].into_iter().all(not_negative) =>
            {
                Some(format!(
                    "absolute = {absolute}, relative = {relative}, minimum_effect = {minimum_effect}: none may be negative"
                ))
            }
            Self::Seeds { minimum_effect } if !not_negative(minimum_effect) => {
                Some(format!("minimum_effect = {minimum_effect}: must not be negative"))
            }
            Self::Noisy { percent } if !not_negative(percent) => {
                Some(format!("percent = {percent}: must not be negative"))
            }
            _ => None,
        }
    }
}

/// What this program calls by that name: a metric of samples, or a cost.
pub(super) fn definition(name: &str) -> Option<&'static MetricDef> {
    metric::by_name(name).or_else(|| COSTS.iter().find(|cost| cost.name == name))
}
