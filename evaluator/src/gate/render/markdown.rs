//! A report for the summary of a CI.

use super::super::finding::{Finding, one_line};
use super::super::report::Report;
use super::drawing::drawing;
use super::table::table;
use std::fmt::Write as _;

/// The outcome, what needs a look as a figure and a table, and the rest folded away.
pub fn to_markdown(report: &Report) -> String {
    let mut text = format!("## {} {}\n\n{}\n\n", escaped(&report.name), report.outcome.words(), report.counts());
    let _ = writeln!(text, "Against {}\n", escaped(&report.against()));
    for note in &report.notes {
        let _ = writeln!(text, "> {}\n", escaped(note));
    }
    let (loud, quiet): (Vec<_>, Vec<_>) = report.findings.iter().partition(|finding| !finding.is_quiet());
    if !loud.is_empty() {
        text += &figure_and_table(&loud);
        for finding in loud.iter().filter(|finding| !finding.detail.is_empty()) {
            let _ = writeln!(text, "- {}: {}", escaped(&finding.title()), escaped(&finding.detail));
        }
    }
    if !quiet.is_empty() {
        let summary = format!("<summary>{} comparisons without a regression</summary>", quiet.len());
        let _ = writeln!(text, "\n<details>{summary}\n\n{}</details>", figure_and_table(&quiet));
    }
    text
}

fn figure_and_table(findings: &[&Finding]) -> String {
    let figure = drawing(findings);
    let figure = if figure.is_empty() { figure } else { format!("```text\n{figure}```\n\n") };
    // The table has escaped what would end a cell.
    format!("{figure}{}\n", without(&table(findings).to_markdown(), "`*[]~$"))
}

/// Text of one line that Markdown and HTML take for nothing else.
fn escaped(text: &str) -> String {
    without(&one_line(text), "\\`*_[]|#!~$")
}

/// Text that begins no HTML, and in which these characters have no meaning.
fn without(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            character if special.contains(character) => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}
