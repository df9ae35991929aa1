//! A report for a terminal.

use super::super::finding::one_line;
use super::super::report::Report;
use super::table::table;

/// The outcome, what needs a look in sentences, and every comparison. No line begins with what somebody named: it might be
/// a command to a CI that reads the output.
pub fn to_text(report: &Report) -> String {
    let outcome = format!("{} {}: {}", report.name, report.outcome.words(), report.counts());
    let against = format!("against {}", report.against());
    let loud = report.findings.iter().filter(|finding| !finding.is_quiet());
    let sentences = loud.map(|finding| format!("- {}: {}", finding.title(), finding.sentence()));
    let notes = report.notes.iter().map(|note| format!("note: {note}"));
    let lines: Vec<String> = [outcome, against].into_iter().chain(sentences).chain(notes).collect();
    let lines: String = lines.iter().map(|line| one_line(line) + "\n").collect();
    format!("{lines}\n{}", table(&report.findings.iter().collect::<Vec<_>>()).to_markdown())
}
