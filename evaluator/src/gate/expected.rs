//! Regressions that are known and tolerated, for a while.

use super::finding::{Finding, Verdict};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A regression that does not fail the gate until a day, by which it must be mended or approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailure {
    /// Variant, search and threshold, as findings name them, of whichever seed; empty for all.
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
        let (mut happened, mut compared) = (false, true);
        for finding in findings.iter_mut().filter(|finding| finding.metric == *metric) {
            compared &= finding.verdict != Verdict::NotComparable;
            if !(failure.is_of(finding) && finding.verdict.fails()) {
                continue;
            }
            happened = true;
            if today <= *expires {
                finding.verdict = Verdict::Expected;
                finding.tell(&format!("expected until {expires}: {reason}"));
            } else {
                finding.tell(&format!("was expected until {expires}, which is over: {reason}"));
            }
        }
        if compared && !happened {
            notes
                .push(format!("the failure of {metric} expected until {expires} ({reason}) did not happen: remove it"));
        }
    }
    notes
}
