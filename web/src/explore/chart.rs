//! The lines as a chart: quality against cost.

use evaluator::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series};
use evaluator::store::Mean;

use super::catalogue::Catalogue;
use super::lines::{self, Line, Lines};
use super::quantity::{Estimate, Quantity};
use super::view::View;

/// That many lines can be told apart, and the front beside them.
pub const LINES: usize = 7;
/// That many panels fit on a screen.
const PANELS: usize = 6;
const FRONT_SLOT: usize = LINES;
const REFERENCE_SLOT: usize = LINES + 1;

/// Which page of lines a view shows, from 0: one too far is the last.
pub fn line_page(lines: &Lines, view: &View) -> usize {
    view.lines.min(lines.most_lines().div_ceil(LINES).saturating_sub(1))
}

/// The chart of these lines.
pub fn chart(catalogue: &Catalogue, lines: &Lines, view: &View, (x, y): (&Quantity, &Quantity)) -> Chart {
    let axis = |quantity: &Quantity, log: bool| Axis {
        label: format!("{}{}", quantity.label(), if log { ", log scale" } else { "" }),
        scale: if log { Scale::Log10 } else { Scale::Linear },
        range: None,
    };
    let several = lines.panels.len() > 1;
    let panel = |panel: &lines::Panel| {
        let text = |symbol: Option<_>| symbol.map_or("–", |symbol| catalogue.texts.text(symbol));
        let first = line_page(lines, view) * LINES;
        let shown = panel.lines.iter().skip(first).take(LINES);
        let mut series: Vec<Series> = front(panel).into_iter().collect();
        series.extend(shown.enumerate().map(|(slot, line)| of_line(catalogue, line, slot, (x, y))));
        series.extend(mean_colour(catalogue, panel, (x, y)));
        Panel {
            title: if several {
                format!("test data {}, protocol {}", text(panel.of.0), text(panel.of.1))
            } else {
                String::new()
            },
            x: axis(x, view.log.0),
            y: axis(y, view.log.1),
            series,
        }
    };
    Chart {
        title: format!("{} against {}", y.label(), x.label()),
        caption: caption(lines, (x, y)),
        panels: lines.panels.iter().take(PANELS).map(panel).collect(),
        columns: if several { 2 } else { 1 },
    }
}

fn caption(lines: &Lines, (x, y): (&Quantity, &Quantity)) -> String {
    let points = lines.points().count();
    let trials: usize = lines.points().map(|point| point.pooled.trials.len()).sum();
    let mut caption = format!(
        "{} against {}: {points} points of {trials} finished trials. Along a line the threshold varies; a point is the mean \
         over its seeds, and its band the 95 % interval over held-out sources, the widest reach of all seeds. Baselines \
         are dashed.",
        y.label(),
        x.label()
    );
    if lines.points().any(|point| point.is_on_front) {
        caption.push_str(" No point beats those on the Pareto front in both.");
    }
    if lines.panels.len() > PANELS {
        let more = lines.panels.len() - PANELS;
        caption += &format!(" {more} more panels, of other test data or protocols, are not drawn: filter for them.");
    }
    caption
}

fn front(panel: &lines::Panel) -> Option<Series> {
    let mut points: Vec<_> = panel.points().filter(|point| point.is_on_front).collect();
    points.sort_by(|a, b| a.x.mean.total_cmp(&b.x.mean));
    let points: Vec<Point> = points
        .iter()
        .map(|point| Point { x: point.x.mean, y: point.y.mean, title: String::new(), href: None })
        .collect();
    let mark = Mark::DashedLine;
    let series = Series { name: "Pareto front".to_owned(), mark, slot: FRONT_SLOT, points, band: Vec::new() };
    (series.points.len() > 1).then_some(series)
}

fn of_line(catalogue: &Catalogue, line: &Line, slot: usize, (x, y): (&Quantity, &Quantity)) -> Series {
    let name = name(catalogue, line);
    let point = |point: &lines::Point| {
        let entry = point.pooled.trials[0];
        let threshold = entry.threshold.map(|threshold| format!(", τ = {threshold}")).unwrap_or_default();
        let seeds = match point.pooled.trials.len() {
            1 => String::new(),
            seeds => format!(", {seeds} seeds"),
        };
        let front = if point.is_on_front { "; on the Pareto front" } else { "" };
        let of =
            |quantity: &Quantity, estimate: &Estimate| format!("{} {}", quantity.label(), shown(quantity, estimate));
        Point {
            x: point.x.mean,
            y: point.y.mean,
            title: format!("{name}{threshold}{seeds}: {}; {}{front}", of(y, &point.y), of(x, &point.x)),
            href: Some(format!("/experiments/{}/trials/{}", entry.experiment, entry.trial)),
        }
    };
    let band = |point: &lines::Point| point.y.interval.map(|(low, high)| (point.x.mean, low, high));
    // A fixed budget keeps the same whatever the threshold: its points are one.
    let mut points: Vec<Point> = line.points.iter().map(point).collect();
    points.dedup_by(|a, b| (a.x, a.y) == (b.x, b.y));
    let is_path = line.is_a_path() && points.len() > 1;
    let mark = match (is_path, line.is_baseline) {
        (false, _) => Mark::Points,
        (true, true) => Mark::DashedLine,
        (true, false) => Mark::LineAndPoints,
    };
    Series {
        band: if is_path { line.points.iter().filter_map(band).collect() } else { Vec::new() },
        points,
        name,
        mark,
        slot,
    }
}

/// What painting each patch in its mean colour gives, where PSNR is shown: less is no reconstruction.
fn mean_colour(catalogue: &Catalogue, panel: &lines::Panel, (_, y): (&Quantity, &Quantity)) -> Option<Series> {
    let versions = catalogue.metrics.get("mean_colour_psnr").filter(|_| y.name == "psnr")?;
    let Mean { mean, .. } = panel.points().find_map(|point| point.pooled.trials[0].mean(versions))?;
    let places = || panel.points().map(|point| point.x.mean);
    let (low, high) = (places().fold(f64::INFINITY, f64::min), places().fold(f64::NEG_INFINITY, f64::max));
    let title = format!("mean colour of each patch: {mean:.2} dB");
    let end = |x: f64| Point { x, y: mean, title: title.clone(), href: None };
    let points = if low < high { vec![end(low), end(high)] } else { vec![end(low)] };
    let name = "mean colour of each patch".to_owned();
    Some(Series { name, mark: Mark::DashedLine, slot: REFERENCE_SLOT, points, band: Vec::new() })
}

/// A line's name: the values that make it.
pub fn name(catalogue: &Catalogue, line: &Line) -> String {
    let texts = line.values.iter().map(|value| value.map_or("–", |value| catalogue.texts.text(value)));
    match line.values.is_empty() {
        true => "all trials".to_owned(),
        false => texts.collect::<Vec<_>>().join(", "),
    }
}

/// A number with its interval, as people read it.
fn shown(quantity: &Quantity, estimate: &Estimate) -> String {
    let number = |value| quantity.scaled_text(value);
    match estimate.interval {
        Some((low, high)) => format!("{} [{}, {}]", number(estimate.mean), number(low), number(high)),
        None => number(estimate.mean),
    }
}
