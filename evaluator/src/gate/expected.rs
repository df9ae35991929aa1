//! Regressions that are known and tolerated, for a while.

use super::finding::{Finding, Verdict};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A regression that does not fail the gate until a day, by which it must be mended or approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailure {
    /// The trial as findings name it; empty for all.
    pub trial: String,
    /// The metric.
    pub metric: String,
    /// Why it is tolerated.
    pub reason: String,
    /// The last day on which it is.
    pub expires: Date,
}

/// The day it is, in UTC.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

impl ExpectedFailure {
    fn is_of(&self, finding: &Finding) -> bool {
        (self.trial.is_empty() || self.trial == finding.trial) && self.metric == finding.metric
    }
}

/// Takes the expected failures out of what fails on the day `today`; what to say about those that are over, or that no
/// longer fail.
pub(super) fn tolerate(findings: &mut [Finding], expected: &[ExpectedFailure], today: Date) -> Vec<String> {
    let mut notes = Vec::new();
    for failure in expected {
        let ExpectedFailure { metric, reason, expires, .. } = failure;
        let mut of_it =
            findings.iter_mut().filter(|finding| failure.is_of(finding) && finding.verdict.fails()).peekable();
        if of_it.peek().is_none() {
            notes
                .push(format!("the failure of {metric} expected until {expires} ({reason}) did not happen: remove it"));
        }
        for finding in of_it {
            finding.detail = match today <= *expires {
                true => format!("expected until {expires}: {reason}"),
                false => format!("was expected until {expires}, which is over: {reason}"),
            };
            if today <= *expires {
                finding.verdict = Verdict::Expected;
            }
        }
    }
    notes
}
