//! The experiment's two figures: blocks that meet the threshold against tokens, and PSNR against tokens.

use super::outcome::Best;
use super::satisfaction::capped;
use super::{Report, Row};
use crate::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series};
use crate::experiment::Criterion;
use crate::metric::psnr_of;
use crate::statistics::{BOOTSTRAP_SEED, clustered_interval, mean};
use crate::store::CurveRow;
use std::collections::BTreeSet;

impl Report {
    /// % of blocks that meet τ against % of tokens, one panel for each τ (the paper's Figure 4): an elastic model as a
    /// curve over caps, a fixed budget as a point.
    pub fn satisfaction_figure(&self) -> Chart {
        let panels: Vec<Panel> = self.thresholds().into_iter().map(|t| self.satisfaction_panel(t)).collect();
        Chart {
            title: "Blocks that meet the threshold against tokens spent".to_owned(),
            caption: format!(
                "{}: share of held-out blocks that meet the threshold τ, against mean kept tokens as a share of all. \
                 Lines: elastic models, every block keeping the fewest sufficient tokens but at most a cap. Single \
                 marks: models of a fixed budget.",
                self.experiment.name
            ),
            columns: if panels.len() == 4 { 2 } else { panels.len().clamp(1, 3) },
            panels,
        }
    }

    fn satisfaction_panel(&self, threshold: f64) -> Panel {
        let series = self.variants().into_iter().enumerate().map(|(slot, variant)| {
            let curves = self.curves_of(variant);
            let mut points: Vec<Point> = match curves.is_empty() {
                false => satisfaction_points(variant, &curves, self.criterion(), threshold),
                true => self.rows_of(variant, threshold).take(1).filter_map(satisfaction_point).collect(),
            };
            // Caps beyond what any block needs change nothing.
            points.dedup_by(|a, b| (a.x, a.y) == (b.x, b.y));
            let mark = if points.len() == 1 { Mark::Points } else { Mark::Line };
            Series { name: variant.to_owned(), mark, slot, points, band: Vec::new() }
        });
        Panel {
            title: match self.criterion() {
                Criterion::Mse => format!("τ = {threshold} ({:.1} dB)", psnr_of(threshold)),
                Criterion::Ssim => format!("SSIM ≥ {threshold}"),
            },
            x: axis("tokens (% of all)", Some((0.0, 100.0))),
            y: axis("blocks that meet τ (%)", Some((0.0, 100.0))),
            series: series.collect(),
        }
    }

    /// PSNR against kept tokens, every block keeping the same count; a fixed budget as a point, mean colours dashed.
    pub fn quality_figure(&self) -> Chart {
        let variants = self.variants();
        let mut series: Vec<Series> = variants
            .iter()
            .enumerate()
            .map(|(slot, variant)| match self.curves_of(variant) {
                curves if !curves.is_empty() => quality_line(variant, slot, &curves),
                _ => {
                    let points = self.rows.iter().filter(|row| row.variant == *variant).take(1);
                    let points = points.filter_map(quality_point).collect();
                    Series { name: (*variant).to_owned(), mark: Mark::Points, slot, points, band: Vec::new() }
                }
            })
            .collect();
        if let Some((row, floor)) = self.rows.first().and_then(|row| Some((row, row.mean("mean_colour_psnr")?))) {
            let end = |x: usize| point(x as f64, floor, format!("mean colour of each patch: {floor:.2} dB"));
            series.push(Series {
                name: "mean colour of each patch".to_owned(),
                mark: Mark::DashedLine,
                slot: variants.len(),
                points: vec![end(1), end(row.max_tokens)],
                band: Vec::new(),
            });
        }
        let panel =
            Panel { title: String::new(), x: axis("kept tokens per block", None), y: axis("PSNR (dB)", None), series };
        Chart {
            title: "Quality against tokens".to_owned(),
            caption: format!(
                "{}: mean PSNR of the held-out blocks, every block keeping the same number of tokens; bands are 95 % \
                 intervals, clustered by source.",
                self.experiment.name
            ),
            panels: vec![panel],
            columns: 1,
        }
    }

    fn rows_of(&self, variant: &str, threshold: f64) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.variant == variant && row.threshold == Some(threshold))
    }
}

pub(super) fn axis(label: &str, range: Option<(f64, f64)>) -> Axis {
    Axis { label: label.to_owned(), scale: Scale::Linear, range }
}

/// A chart with a panel for each threshold, rising, which `panel` leaves without a title.
pub(super) fn by_threshold(report: &Report, title: &str, caption: String, panel: impl Fn(f64) -> Panel) -> Chart {
    let titled = |threshold| Panel { title: format!("τ = {threshold}"), ..panel(threshold) };
    two_abreast(title, caption, report.thresholds().into_iter().map(titled))
}

/// A chart of these panels, at most two beside each other.
pub(super) fn two_abreast(title: &str, caption: String, panels: impl Iterator<Item = Panel>) -> Chart {
    let panels: Vec<Panel> = panels.collect();
    Chart { title: title.to_owned(), caption, columns: panels.len().clamp(1, 2), panels }
}

pub(super) fn point(x: f64, y: f64, title: String) -> Point {
    Point { x, y, title, href: None }
}

/// Counts that every curve was measured at, rising.
pub(super) fn common_counts(curves: &[&CurveRow]) -> Vec<u32> {
    let counts = |curve: &&CurveRow| curve.points.iter().map(|p| p.kept_tokens).collect::<BTreeSet<_>>();
    let common = curves.iter().map(counts).reduce(|a, b| &a & &b);
    common.into_iter().flatten().collect()
}

fn satisfaction_points(variant: &str, curves: &[&CurveRow], criterion: Criterion, threshold: f64) -> Vec<Point> {
    let fewest = |curve: &&CurveRow| {
        let best = Best::of(curve, criterion, threshold).filter(|best| best.attainable);
        best.map(|best| best.kept_tokens)
    };
    let sufficient: Vec<Option<usize>> = curves.iter().map(fewest).collect();
    let caps: Vec<usize> = common_counts(curves).into_iter().map(|count| count as usize).collect();
    let Some(max_tokens) = caps.last().copied() else {
        return Vec::new();
    };
    let outcomes = capped(&sufficient, &caps, max_tokens);
    let points = outcomes.into_iter().map(|(cap, outcome)| {
        let (tokens, met) = (100.0 * outcome.token_share, 100.0 * outcome.met_share);
        point(tokens, met, format!("{variant}, at most {cap} tokens: {tokens:.1} % of tokens, {met:.1} % meet τ"))
    });
    points.collect()
}

fn satisfaction_point(row: &Row) -> Option<Point> {
    let (tokens, met) = (100.0 * row.share()?, 100.0 * row.mean("threshold_met")?);
    Some(point(tokens, met, format!("{}: {tokens:.1} % of tokens, {met:.1} % meet τ", row.variant)))
}

fn quality_line(variant: &str, slot: usize, curves: &[&CurveRow]) -> Series {
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for count in common_counts(curves) {
        let at = |curve: &&CurveRow| {
            let point = curve.points.iter().find(|p| p.kept_tokens == count)?;
            Some((curve.source_id, point.psnr))
        };
        let observations: Vec<_> = curves.iter().filter_map(at).collect();
        let psnr = mean(&observations.iter().map(|(_, psnr)| *psnr).collect::<Vec<_>>());
        if let Some(interval) = clustered_interval(observations, BOOTSTRAP_SEED) {
            band.push((f64::from(count), interval.low, interval.high));
        }
        points.push(point(f64::from(count), psnr, format!("{variant}, {count} tokens: {psnr:.2} dB")));
    }
    Series { name: variant.to_owned(), mark: Mark::Line, slot, points, band }
}

fn quality_point(row: &Row) -> Option<Point> {
    let (kept, psnr) = (row.mean("kept_tokens")?, row.mean("psnr")?);
    Some(point(kept, psnr, format!("{}, {kept:.0} tokens: {psnr:.2} dB", row.variant)))
}
