//! A report for the summary of a CI.

use super::super::report::Report;
use super::table::table;
use std::fmt::Write as _;

/// The outcome, the figure, what needs a look as a table, and the rest folded away. `figure` is the address of the figure
/// where the summary is read, if there is one.
pub fn to_markdown(report: &Report, figure: Option<&str>) -> String {
    let at = report.approval.at.get(..10).unwrap_or(&report.approval.at);
    let mut text = format!("## {} {}\n\n{}\n\n", escaped(&report.name), report.outcome.words(), report.counts());
    let _ = writeln!(text, "Against `{}`, approved {at}: {}\n", report.baseline, escaped(&report.approval.reason));
    if let Some(figure) = figure {
        let _ = writeln!(text, "![Effects of all comparisons, in tolerances]({figure})\n");
    }
    for note in &report.notes {
        let _ = writeln!(text, "> {}\n", escaped(note));
    }
    let (loud, quiet): (Vec<_>, Vec<_>) = report.findings.iter().partition(|finding| !finding.is_quiet());
    if !loud.is_empty() {
        text += &as_text(&table(&loud).to_markdown());
        text.push('\n');
        for finding in loud.iter().filter(|finding| !finding.detail.is_empty()) {
            let _ = writeln!(text, "- {}: {}", escaped(&finding.title()), escaped(&finding.detail));
        }
    }
    if !quiet.is_empty() {
        let summary = format!("<summary>{} comparisons without a regression</summary>", quiet.len());
        let rows = as_text(&table(&quiet).to_markdown());
        let _ = writeln!(text, "\n<details>{summary}\n\n{rows}\n</details>");
    }
    text
}

/// A table whose cells are no HTML.
fn as_text(table: &str) -> String {
    table.replace('&', "&amp;").replace('<', "&lt;")
}

/// Text that Markdown and HTML take for nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            character if character.is_control() => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}
