//! What a check says: for people, for programs, for a CI.

use super::baseline::{Approval, Baseline};
use super::error::GateError;
use super::finding::{Finding, Verdict};
use super::json::to_json;
use super::rule::Kind;
use crate::experiment::is_name;
use crate::store::NewProvenance;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The format of [`Report::to_json`]: raised when a field changes its meaning or goes; new ones may come.
pub const SCHEMA: u32 = 1;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing got worse.
    Pass,
    /// Something got worse, or is missing.
    Regression,
    /// Something could not be compared.
    NotComparable,
}

impl Outcome {
    /// That of some comparisons; what could not be compared is let pass where `allows_incomparable`.
    pub fn of(findings: &[Finding], allows_incomparable: bool) -> Self {
        if findings.iter().any(|finding| finding.verdict.fails()) {
            Self::Regression
        } else if findings.iter().any(|finding| is_incomparable(finding, allows_incomparable)) {
            Self::NotComparable
        } else {
            Self::Pass
        }
    }

    /// What the process ends with.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Regression => 1,
            Self::NotComparable => 3,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Regression => "FAILED",
            Self::NotComparable => "could not be compared",
        }
    }
}

/// A check: every comparison, the worst first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The format.
    pub schema: u32,
    /// The baseline's name; its file's, where there is none.
    pub name: String,
    /// The baseline's file.
    pub baseline: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What the process ended with.
    pub exit_code: u8,
    /// Whether what could not be compared was let pass.
    pub allows_incomparable: bool,
    /// When, and why, the baseline was approved; nothing where there is none.
    pub approval: Option<Approval>,
    /// Program and machine of this run.
    pub run: NewProvenance,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// The comparisons.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Of the comparisons with the baseline that lies at `path`.
    pub fn new(
        baseline: &Baseline,
        path: &Path,
        run: NewProvenance,
        findings: Vec<Finding>,
        notes: Vec<String>,
        allows_incomparable: bool,
    ) -> Self {
        let approval = Some(baseline.approval().clone());
        Self { name: baseline.name.clone(), approval, notes, ..Self::of_file(path, run, findings, allows_incomparable) }
    }

    /// Of a baseline that is `missing` at `path`, so that nothing could be compared.
    pub fn without_baseline(path: &Path, run: NewProvenance, missing: &GateError, allows_incomparable: bool) -> Self {
        let finding = Finding::of("", "baseline", Kind::Exact).decided(Verdict::NotComparable, missing.to_string());
        Self::of_file(path, run, vec![finding], allows_incomparable)
    }

    /// What can be said without knowing what the file at `path` holds.
    fn of_file(path: &Path, run: NewProvenance, findings: Vec<Finding>, allows_incomparable: bool) -> Self {
        let outcome = Outcome::of(&findings, allows_incomparable);
        // A name that is none could begin a line as a command to a CI.
        let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem));
        Self {
            schema: SCHEMA,
            name: name.unwrap_or("baseline").to_owned(),
            baseline: path.to_string_lossy().into_owned(),
            outcome,
            exit_code: outcome.exit_code(),
            allows_incomparable,
            approval: None,
            run,
            notes: Vec::new(),
            findings,
        }
    }

    /// Whether the check does not pass because of this comparison.
    pub fn fails_for(&self, finding: &Finding) -> bool {
        finding.verdict.fails() || is_incomparable(finding, self.allows_incomparable)
    }

    /// The baseline's file, with day and reason of its approval.
    pub(super) fn against(&self) -> String {
        let approved = self.approval.as_ref().map_or_else(
            || "which is missing".to_owned(),
            |approval| {
                let day = approval.at.split('T').next().unwrap_or_default();
                format!("approved {day}: {}", approval.reason)
            },
        );
        format!("{}, {approved}", self.baseline)
    }

    /// How many comparisons there are of each verdict, the worst first: «1 regression, 30 unchanged».
    pub fn counts(&self) -> String {
        let counts = self.findings.chunk_by(|a, b| a.verdict == b.verdict);
        counts.map(|of| format!("{} {}", of.len(), of[0].verdict.words())).collect::<Vec<_>>().join(", ")
    }

    /// The report as JSON, its [`SCHEMA`] first.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

fn is_incomparable(finding: &Finding, allows_incomparable: bool) -> bool {
    finding.verdict == Verdict::NotComparable && !allows_incomparable
}
