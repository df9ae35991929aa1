//! Annotations of GitHub Actions: commands that its runner reads from the output of a step.
//!
//! It shows few of each kind for a step, so the worst come first. What is in them is escaped as the runner's toolkit does
//! (`packages/core/src/command.ts`): a message must not become a command.

use super::super::finding::Verdict;
use super::super::report::Report;
use std::fmt::Write as _;

/// A line for each comparison that needs a look, the worst first; nothing where none does.
pub fn to_annotations(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let level = match finding.verdict {
            _ if finding.is_quiet() => continue,
            _ if report.fails_for(finding) => "error",
            Verdict::New | Verdict::Improved => "notice",
            _ => "warning",
        };
        let (file, title) = (property(&report.baseline), property(&format!("{}: {}", report.name, finding.title())));
        let _ = writeln!(text, "::{level} file={file},title={title}::{}", data(&finding.sentence()));
    }
    for note in &report.notes {
        let _ = writeln!(text, "::notice file={}::{}", property(&report.baseline), data(note));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
