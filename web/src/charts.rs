//! Charts as figures in a page, and the chart of a sample's search.

use askama::Template;
use evaluator::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series, Size, Theme, to_svg};
use evaluator::experiment::Criterion;
use evaluator::store::{BlockRow, CurvePoint, CurveRow};

use crate::format;
use crate::saved::FigureFile;

/// A chart in both themes and two widths; the style sheet shows the one that fits.
#[derive(Debug, Template)]
#[template(path = "figure.html")]
pub struct Figure {
    drawings: Vec<Drawing>,
    caption: String,
    /// Downloads: heading and address.
    downloads: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Drawing {
    class: &'static str,
    svg: String,
}

impl Figure {
    /// Draws the chart in all the ways a page may need it. Where points are too many for a finger, the narrow ones are
    /// without their words and links.
    pub fn of(chart: &Chart) -> Self {
        let points =
            chart.panels.iter().flat_map(|panel| &panel.series).map(|series| series.points.len()).sum::<usize>();
        let mut silent = None;
        if points > FOR_FINGERS {
            let mut chart = chart.clone();
            let all = chart.panels.iter_mut().flat_map(|panel| &mut panel.series).flat_map(|series| &mut series.points);
            all.for_each(|point| (point.title, point.href) = (String::new(), None));
            silent = Some(chart);
        }
        let narrow = silent.as_ref().unwrap_or(chart);
        let ways = [
            ("wide light", chart, WIDE, Theme::Light),
            ("wide dark", chart, WIDE, Theme::Dark),
            ("narrow light", narrow, NARROW, Theme::Light),
            ("narrow dark", narrow, NARROW, Theme::Dark),
        ];
        let drawings =
            ways.map(|(class, chart, width, theme)| Drawing { class, svg: to_svg(chart, theme, size(chart, width)) });
        Self { drawings: drawings.into(), caption: chart.caption.clone(), downloads: Vec::new() }
    }

    /// Offers the figure as files too, at addresses that begin so and have this query, with its question mark.
    pub fn with_files(self, base: &str, query: &str) -> Self {
        Self { downloads: FigureFile::links(base, query), ..self }
    }
}

/// Width of a figure on a page, and of a saved one, in CSS pixels.
pub const WIDE: u32 = 960;
const NARROW: u32 = 344;
/// So many points can be told apart by a finger on a telephone.
const FOR_FINGERS: usize = 500;

/// A figure that is shown or saved at this width.
pub fn size(chart: &Chart, width: u32) -> Size {
    let alone = chart.panels.len() == 1 && width > NARROW;
    let panel_aspect = if alone { 2.2 } else { 4.0 / 3.0 };
    Size { width, panel_aspect, ..Size::default() }
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis { label: label.to_owned(), scale, range: None }
}

/// Each block's distortion against its kept tokens, with what the search looked at and what it chose; `whose` they are.
pub fn distortion(
    whose: &str,
    blocks: &[(BlockRow, Option<CurveRow>)],
    criterion: Criterion,
    threshold: Option<f64>,
    max_tokens: u32,
) -> Chart {
    let threshold = threshold.map(|threshold| criterion.limit(threshold));
    let panels = blocks.iter().map(|(block, curve)| Panel {
        title: if blocks.len() > 1 { format!("block {}", block.record.block) } else { String::new() },
        x: Axis { range: Some((0.0, f64::from(max_tokens))), ..axis("kept tokens", Scale::Linear) },
        y: axis(&format!("distortion ({}, log scale)", criterion.distortion_name()), Scale::Log10),
        series: block_series(block, curve.as_ref(), criterion, threshold, max_tokens),
    });
    Chart {
        title: "Distortion against kept tokens".to_owned(),
        caption: format!(
            "{whose}: the block's {} at every measured count, the counts that the search asked for, and the count that it chose.",
            match criterion {
                Criterion::Mse => "mean squared error in [−1, 1]",
                Criterion::Ssim => "1 − SSIM",
            }
        ),
        panels: panels.collect(),
        columns: 3,
    }
}

fn block_series(
    block: &BlockRow,
    curve: Option<&CurveRow>,
    criterion: Criterion,
    threshold: Option<f64>,
    max_tokens: u32,
) -> Vec<Series> {
    let of_point = |p: &CurvePoint| (p.kept_tokens, criterion.distortion(p.distortion, p.ssim));
    let measured: Vec<(u32, f64)> = curve.iter().flat_map(|c| &c.points).map(of_point).collect();
    let record = &block.record;
    let chosen = match criterion {
        Criterion::Mse => vec![(record.kept_tokens, record.distortion)],
        // The record keeps the mean squared error; the similarity is on the curve, or was asked for.
        Criterion::Ssim => {
            let seen = measured.iter().chain(&record.probes).find(|(kept, _)| *kept == record.kept_tokens);
            seen.copied().into_iter().collect()
        }
    };
    let at = |what: &str, counts: &[(u32, f64)]| -> Vec<Point> {
        let point = |(index, &(kept, distortion)): (usize, &(u32, f64))| Point {
            x: f64::from(kept),
            y: distortion,
            title: format!(
                "{}: {kept} tokens, {} {}",
                what.replace('#', &(index + 1).to_string()),
                criterion.distortion_name(),
                format::number(distortion)
            ),
            href: None,
        };
        counts.iter().enumerate().map(point).collect()
    };
    let series =
        |name: &str, mark, slot, points| Series { name: name.to_owned(), mark, slot, points, band: Vec::new() };
    let mut all = Vec::new();
    if let Some(threshold) = threshold {
        let line = at("threshold", &[(0, threshold), (max_tokens, threshold)]);
        all.push(series("threshold τ", Mark::DashedLine, 6, line));
    }
    all.push(series("measured curve", Mark::Line, 0, at("curve", &measured)));
    all.push(series("probes of the search", Mark::Points, 1, at("probe #", &block.record.probes)));
    all.push(series("chosen", Mark::Points, 3, at("chosen", &chosen)));
    all.retain(|series| !series.points.is_empty());
    all
}
