//! Comparisons as a table, for text and Markdown alike.

use super::super::finding::{Finding, one_line, significant};
use crate::report::{Cell, Column, Table};

/// A row for each comparison, in their order.
pub(super) fn table(findings: &[&Finding]) -> Table {
    let headings = [
        ("verdict", "verdict"),
        ("trial", "trial"),
        ("metric", "metric"),
        ("baseline", "baseline"),
        ("now", "run"),
        ("worse by", "effect"),
        ("tolerated", "tolerance"),
        ("95 % interval", "interval"),
        ("p (Holm)", "p"),
    ];
    let columns = headings.map(|(heading, name)| Column::new(heading, name, 0)).to_vec();
    Table { caption: String::new(), columns, rows: findings.iter().copied().map(row).collect(), trials: Vec::new() }
}

fn row(finding: &Finding) -> Vec<Cell> {
    let number =
        |value: Option<f64>, digits| value.map_or(Cell::Missing, |value| Cell::Text(significant(value, digits)));
    let with_unit = |value: Option<f64>| match value {
        Some(value) => Cell::Text(one_line(&finding.in_effect_unit(value))),
        None => Cell::Missing,
    };
    let interval = finding.interval.map(|(low, high)| format!("{} … {}", significant(low, 3), significant(high, 3)));
    vec![
        Cell::Text(finding.verdict.words().to_owned()),
        Cell::Text(finding.trial_title()),
        Cell::Text(one_line(&finding.metric)),
        number(finding.baseline, 6),
        number(finding.run, 6),
        with_unit(finding.effect),
        with_unit(finding.effect.map(|_| finding.tolerance)),
        interval.map_or(Cell::Missing, Cell::Text),
        number(finding.adjusted_p_value, 2),
    ]
}
