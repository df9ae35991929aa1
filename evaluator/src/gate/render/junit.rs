//! A report as JUnit's XML, which every CI can show.

use super::super::finding::Verdict;
use super::super::report::Report;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

/// A test suite with a case for each comparison: what regressed or is missing has failed, what could not be compared is an
/// error, what says nothing, or was let pass, is skipped.
pub fn to_junit(report: &Report) -> String {
    let mut suite = TestSuite::new(report.name.as_str());
    for finding in &report.findings {
        let sentence = finding.sentence();
        let status = match finding.verdict {
            Verdict::Regression | Verdict::Missing => failed(NonSuccessKind::Failure, &finding.verdict, &sentence),
            Verdict::NotComparable if report.fails_for(finding) => {
                failed(NonSuccessKind::Error, &finding.verdict, &sentence)
            }
            Verdict::NotComparable | Verdict::Expected | Verdict::Advice | Verdict::New => {
                let mut skipped = TestCaseStatus::skipped();
                skipped.set_message(sentence.as_str());
                skipped
            }
            _ => TestCaseStatus::success(),
        };
        let is_success = matches!(status, TestCaseStatus::Success { .. });
        let mut case = TestCase::new(finding.title(), status);
        case.set_classname(format!("{}.{}", report.name, finding.metric));
        if is_success {
            case.set_system_out(sentence);
        }
        suite.add_test_case(case);
    }
    let mut all = quick_junit::Report::new("elastictok check");
    all.add_test_suite(suite);
    all.to_string().expect("text is written to memory")
}

fn failed(kind: NonSuccessKind, verdict: &Verdict, sentence: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(verdict.words()).set_message(sentence);
    status
}
