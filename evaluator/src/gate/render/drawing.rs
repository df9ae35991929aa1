//! The figure as text: summaries of a CI show no picture that lies beside them.

use super::super::figure::{EDGE, ends, place};
use super::super::finding::Finding;

/// Characters of one tolerance.
const SCALE: f64 = 4.0;

/// A row for each comparison that has an effect, as in the [figure](super::super::figure()); empty if none has.
pub(super) fn drawing(findings: &[&Finding]) -> String {
    let rows: String = findings.iter().filter(|finding| finding.effect.is_some()).map(|finding| row(finding)).collect();
    match rows.is_empty() {
        true => rows,
        false => format!("better by {EDGE} ··· │ ··· worse by {EDGE} tolerances; ┊ tolerated, ─ 95 % interval\n{rows}"),
    }
}

fn row(finding: &Finding) -> String {
    let mut cells = ['·'; 2 * (EDGE * SCALE) as usize + 1];
    if let Some((low, high)) = ends(finding) {
        cells[cell(low)..=cell(high)].fill('─');
    }
    cells[cell(0.0)] = '│';
    cells[cell(1.0)] = '┊';
    cells[cell(place(finding))] = '●';
    format!("{} {}\n", cells.iter().collect::<String>(), finding.title())
}

fn cell(tolerances: f64) -> usize {
    ((tolerances + EDGE) * SCALE).round() as usize
}

#[cfg(test)]
mod tests {
    use super::super::super::rule::Kind;
    use super::*;

    #[test]
    fn a_loss_of_two_tolerances_lies_right_of_what_is_tolerated() {
        let (effect, interval) = (Some(0.02), Some((0.01, 0.03)));
        let lost = Finding { effect, interval, tolerance: 0.01, ..Finding::of("FSQ", "psnr", Kind::Paired) };
        let equal = Finding { effect: Some(0.0), ..lost.clone() };
        let not_measured = Finding { effect: None, ..lost.clone() };
        let text = drawing(&[&lost, &Finding { interval: None, ..equal }, &not_measured]);
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            ["················│···┊───●────···· FSQ · psnr", "················●···┊············ FSQ · psnr"]
        );
    }
}
