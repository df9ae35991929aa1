//! What can be wrong with a baseline.

use std::path::PathBuf;

/// A baseline that cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// There is none.
    #[error(
        "there is no baseline {path}: approve one with `elastictok baseline approve --baseline {path} --experiment \
         FILE.toml --reason TEXT`, or pass --allow-missing-baseline",
        path = path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the baseline {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no baseline, or only a part of one.
    #[error(
        "the baseline {path} is damaged or not one: {reason}; restore the committed file, or remove it and approve a new one",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where it is known.
        reason: String,
    },
    /// Its numbers are not those that were approved.
    #[error(
        "the numbers in {path} were changed by hand: only `elastictok baseline approve --baseline {path} --reason TEXT` \
         changes them, so that a review sees why; rules and expected failures may be edited",
        path = path.display()
    )]
    Unsealed {
        /// The file.
        path: PathBuf,
    },
    /// A rule or an expected failure that cannot be.
    #[error("{path}: {place}: {rule}", path = path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The metric, or the expected failure.
        place: String,
        /// What it must fulfil.
        rule: String,
    },
    /// Numbers that cannot stand in one baseline.
    #[error(
        "experiment {experiment} is of several data sets or protocols: give each an experiment and a baseline of its own"
    )]
    Mixed {
        /// The experiment.
        experiment: String,
    },
    /// Nothing was measured that a rule is for.
    #[error("experiment {experiment} has no finished trial")]
    Nothing {
        /// The experiment.
        experiment: String,
    },
}
