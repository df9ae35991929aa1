//! All comparisons in one picture: how many tolerances each is worse, with its interval.

use super::finding::{Finding, Verdict, significant};
use super::report::Report;
use crate::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series};

/// Beyond so many tolerances a mark lies at the edge: how far it is, the table says.
pub(super) const EDGE: f64 = 4.0;

/// Effects in tolerances, a row for each comparison that has one, as in the table; past the dashed line is beyond
/// tolerance.
pub fn figure(report: &Report) -> Chart {
    let measured: Vec<&Finding> = report.findings.iter().filter(|finding| finding.effect.is_some()).collect();
    let rows = measured.len() as f64;
    let row = |index: usize| rows - index as f64;
    let mut series = vec![upright("tolerated", 1.0, rows)];
    for (index, finding) in measured.iter().enumerate() {
        series.extend(interval(finding, row(index)));
    }
    for (slot, (name, holds)) in KINDS.into_iter().enumerate() {
        let of = |(index, finding): (usize, &&Finding)| {
            let title = format!("{}: {}", finding.title(), finding.sentence());
            holds(finding.verdict).then(|| Point { x: place(finding), y: row(index), title, href: None })
        };
        let points: Vec<Point> = measured.iter().enumerate().filter_map(of).collect();
        if !points.is_empty() {
            series.push(Series { name: name.to_owned(), mark: Mark::Points, slot, points, band: Vec::new() });
        }
    }
    let axis = |label: &str, range| Axis { label: label.to_owned(), scale: Scale::Linear, range: Some(range) };
    let worst = measured.first().map_or_else(String::new, |finding| format!(" The worst: {}.", finding.title()));
    Chart {
        title: format!("{} {}", report.name, report.outcome.words()),
        caption: format!(
            "Effects of {} comparisons, in tolerances, with 95 % intervals; those beyond ±{} lie at the edge.{worst}",
            measured.len(),
            significant(EDGE, 2)
        ),
        panels: vec![Panel {
            title: String::new(),
            x: axis("worse by, in tolerances", (-EDGE, EDGE)),
            y: axis("comparisons, the worst at the top", (0.0, rows + 1.0)),
            series,
        }],
        columns: 1,
    }
}

type Holds = fn(Verdict) -> bool;

/// What marks are told apart by.
const KINDS: [(&str, Holds); 4] = [
    ("unchanged or within tolerance", |verdict| matches!(verdict, Verdict::Unchanged | Verdict::WithinTolerance)),
    ("regression", Verdict::fails),
    ("improved", |verdict| verdict == Verdict::Improved),
    ("not sure, or expected", |verdict| {
        matches!(verdict, Verdict::Expected | Verdict::NotConfirmed | Verdict::NotSignificant)
    }),
];

/// Where a comparison's mark lies, in tolerances. Samples that differ are to the left of equal ones where their mean got better.
pub(super) fn place(finding: &Finding) -> f64 {
    let tolerances = finding.severity();
    at(if finding.verdict == Verdict::Improved { -tolerances.abs() } else { tolerances })
}

fn at(tolerances: f64) -> f64 {
    tolerances.clamp(-EDGE, EDGE)
}

fn upright(name: &str, x: f64, rows: f64) -> Series {
    let end = |y| Point { x, y, title: String::new(), href: None };
    let points = vec![end(0.0), end(rows + 1.0)];
    Series { name: name.to_owned(), mark: Mark::DashedLine, slot: 7, points, band: Vec::new() }
}

/// Both ends of the interval, as [`place`].
pub(super) fn ends(finding: &Finding) -> Option<(f64, f64)> {
    let (low, high) = finding.interval.filter(|_| finding.tolerance > 0.0)?;
    Some((at(low / finding.tolerance), at(high / finding.tolerance)))
}

/// A line as long as the interval.
fn interval(finding: &Finding, y: f64) -> Option<Series> {
    let (low, high) = ends(finding)?;
    let end = |x: f64| Point { x, y, title: String::new(), href: None };
    let points = vec![end(low), end(high)];
    Some(Series { name: String::new(), mark: Mark::Line, slot: 7, points, band: Vec::new() })
}
