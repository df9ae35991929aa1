//! Layout: where the title, the plots, their labels and the legend lie, in CSS pixels.
//!
//! Everything is measured before it is placed. The width is given; plots in a grid share one size, and the height is
//! whatever the contents need, so nothing has to overlap or be cut.

use super::axis::{PlotAxis, axes};
use super::legend::Legend;
use super::text::{TextStyle, width, wrap};
use super::ticks::Tick;
use super::{Chart, Panel, Size};

pub(super) const TITLE_SIZE: f64 = 15.0;
pub(super) const PANEL_TITLE_SIZE: f64 = 13.0;
pub(super) const AXIS_TITLE_SIZE: f64 = 12.0;
pub(super) const TICK_TEXT_SIZE: f64 = 11.0;
pub(super) const CAPTION_SIZE: f64 = 12.0;
/// Length of a tick mark, and the gap between it and its label.
pub(super) const TICK_LENGTH: f64 = 4.0;
pub(super) const TICK_GAP: f64 = 4.0;

const MARGIN: f64 = 14.0;
const TITLE_GAP: f64 = 10.0;
const PANEL_TITLE_GAP: f64 = 6.0;
const AXIS_TITLE_GAP: f64 = 5.0;
/// Between two columns or rows of panels; half of it is room for a label at the end of an axis.
const PANEL_GAP: f64 = 20.0;
const LEGEND_GAP: f64 = 14.0;
const CAPTION_GAP: f64 = 14.0;
const LEAST_PLOT_WIDTH: f64 = 130.0;
const LEAST_PLOT_HEIGHT: f64 = 120.0;
const LEAST_FIGURE_WIDTH: u32 = 320;
/// A line one pixel wide is sharp when it runs along the middle of pixels.
const HALF_PIXEL: f64 = 0.5;
/// Titles longer than this end in «…».
const MOST_TITLE_LINES: usize = 8;
const MOST_AXIS_TITLE_LINES: usize = 3;
const MOST_CAPTION_LINES: usize = 16;
/// That many labels fit one above the other in the lowest plot, on either scale.
const MOST_Y_LABELS: usize = 7;

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rect {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// A panel with the place of its plot and all that is written around it.
#[derive(Debug)]
pub(super) struct PlacedPanel<'a> {
    pub panel: &'a Panel,
    pub plot: Rect,
    /// `None`: there is nothing to draw.
    pub axes: Option<(PlotAxis, PlotAxis)>,
    pub title: Vec<String>,
    pub x_title: Vec<String>,
    pub y_title: Vec<String>,
    pub title_top: f64,
    pub x_title_top: f64,
    /// Left edge of the vertical axis title.
    pub y_title_left: f64,
    /// Between these, labels of the horizontal axis stay clear of the neighbours.
    pub x_label_bounds: (f64, f64),
}

/// The whole figure.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub width: f64,
    pub height: f64,
    pub title: Vec<String>,
    pub title_corner: (f64, f64),
    pub panels: Vec<PlacedPanel<'a>>,
    pub legend: Legend,
    pub legend_corner: (f64, f64),
    pub caption: Vec<String>,
    pub caption_corner: (f64, f64),
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// Places everything in a chart.
pub(super) fn layout(chart: &Chart, size: Size) -> Layout<'_> {
    let figure_width = f64::from(size.width.max(LEAST_FIGURE_WIDTH));
    let inner_width = figure_width - 2.0 * MARGIN;
    let title = wrap(&chart.title, TITLE_SIZE, inner_width, MOST_TITLE_LINES);
    let mut top = MARGIN + below(&title, TITLE_SIZE, TITLE_GAP);

    let grid = Grid::fitting(chart, inner_width, size.panel_aspect);
    let mut panels: Vec<PlacedPanel> = Vec::with_capacity(chart.panels.len());
    for (row, in_row) in chart.panels.chunks(grid.gutters.len()).enumerate() {
        if row > 0 {
            top += PANEL_GAP;
        }
        let first = panels.len();
        panels.extend(in_row.iter().enumerate().map(|(column, panel)| grid.place(panel, column)));
        let row = &mut panels[first..];
        let title_height = tallest(row, |panel| below(&panel.title, PANEL_TITLE_SIZE, PANEL_TITLE_GAP));
        let x_title_height = tallest(row, |panel| below(&panel.x_title, AXIS_TITLE_SIZE, AXIS_TITLE_GAP));
        let label_height = TICK_LENGTH + TICK_GAP + TextStyle::line_height(TICK_TEXT_SIZE);
        for panel in row {
            panel.plot.top = top + title_height.max(PANEL_TITLE_GAP) + HALF_PIXEL;
            panel.title_top = panel.plot.top - below(&panel.title, PANEL_TITLE_SIZE, PANEL_TITLE_GAP);
            panel.x_title_top = panel.plot.bottom() + label_height + AXIS_TITLE_GAP;
        }
        top += title_height.max(PANEL_TITLE_GAP) + grid.plot_height + label_height + x_title_height;
    }

    let legend = Legend::new(chart, inner_width);
    if legend.height > 0.0 {
        top += LEGEND_GAP;
    }
    let legend_corner = ((figure_width - legend.width) / 2.0, top);
    top += legend.height;

    let caption = if size.with_caption { chart.caption.as_str() } else { "" };
    let caption = wrap(caption, CAPTION_SIZE, inner_width, MOST_CAPTION_LINES);
    if !caption.is_empty() {
        top += CAPTION_GAP;
    }
    let caption_corner = (MARGIN, top);
    let height = (top + below(&caption, CAPTION_SIZE, 0.0) + MARGIN).ceil();
    Layout {
        width: figure_width,
        height,
        title,
        title_corner: (MARGIN, MARGIN),
        panels,
        legend,
        legend_corner,
        caption,
        caption_corner,
    }
}

/// Height of some lines and the gap that follows them; nothing for no lines.
fn below(lines: &[String], size: f64, gap: f64) -> f64 {
    if lines.is_empty() { 0.0 } else { lines.len() as f64 * TextStyle::line_height(size) + gap }
}

fn tallest(row: &[PlacedPanel], height: impl Fn(&PlacedPanel) -> f64) -> f64 {
    row.iter().map(height).fold(0.0, f64::max)
}

/// The columns of plots, all of one size.
struct Grid {
    /// Left of each column's plots: room for the axis title and the labels.
    gutters: Vec<f64>,
    plot_width: f64,
    plot_height: f64,
}

impl Grid {
    /// As many columns as asked for, or fewer if plots would become too narrow.
    fn fitting(chart: &Chart, inner_width: f64, aspect: f64) -> Self {
        let most = chart.columns.clamp(1, chart.panels.len().max(1));
        let aspect = if aspect.is_finite() { aspect.clamp(0.5, 4.0) } else { Size::default().panel_aspect };
        (1..=most)
            .rev()
            .map(|columns| Grid::with_columns(chart, columns, inner_width, aspect))
            .find(|grid| grid.plot_width >= LEAST_PLOT_WIDTH || grid.gutters.len() == 1)
            .expect("there is at least one column")
    }

    fn with_columns(chart: &Chart, columns: usize, inner_width: f64, aspect: f64) -> Self {
        let mut grid = Grid { gutters: vec![0.0; columns], plot_width: inner_width, plot_height: inner_width };
        // A lower plot wraps its axis title into more lines, which take width from the plots: they only shrink, and
        // titles have few lines, so this settles soon.
        loop {
            for (index, panel) in chart.panels.iter().enumerate() {
                let gutter = &mut grid.gutters[index % columns];
                *gutter = gutter.max(left_room(panel, grid.plot_height));
            }
            let gaps = PANEL_GAP * (columns - 1) as f64 + PANEL_GAP / 2.0;
            let room = inner_width - grid.gutters.iter().sum::<f64>() - gaps;
            let plot_width = (room / columns as f64).floor().max(1.0);
            if plot_width >= grid.plot_width {
                return grid;
            }
            grid.plot_width = plot_width;
            grid.plot_height = (plot_width / aspect).round().max(LEAST_PLOT_HEIGHT);
        }
    }

    /// Places a panel in its column; its row is not known yet.
    fn place<'a>(&self, panel: &'a Panel, column: usize) -> PlacedPanel<'a> {
        let before: f64 = self.gutters[..column].iter().sum();
        let cell_left = MARGIN + before + (self.plot_width + PANEL_GAP) * column as f64;
        let left = cell_left + self.gutters[column] + HALF_PIXEL;
        let plot = Rect { left, top: 0.0, width: self.plot_width, height: self.plot_height };
        let mut placed = PlacedPanel {
            panel,
            plot,
            axes: axes_with_y_ticks(panel),
            title: wrap(&panel.title, PANEL_TITLE_SIZE, plot.width, MOST_TITLE_LINES),
            x_title: wrap(&panel.x.label, AXIS_TITLE_SIZE, plot.width, MOST_AXIS_TITLE_LINES),
            y_title: y_title(panel, plot.height),
            title_top: 0.0,
            x_title_top: 0.0,
            y_title_left: cell_left,
            x_label_bounds: (cell_left, plot.right() + PANEL_GAP / 2.0),
        };
        if let Some((mut x, y)) = placed.axes.take() {
            x.choose_ticks(|axis, ticks| placed.labels_are_apart(axis, ticks));
            placed.axes = Some((x, y));
        }
        placed
    }
}

impl PlacedPanel<'_> {
    /// Left and right end of a label below the horizontal axis: centred on its value, but never past the bounds.
    pub(super) fn x_label_span(&self, axis: &PlotAxis, tick: &Tick) -> (f64, f64) {
        let label_width = width(&tick.label, TICK_TEXT_SIZE);
        let centre = self.plot.left + axis.share(tick.value) * self.plot.width;
        let (least, most) = self.x_label_bounds;
        let left = (centre - label_width / 2.0).min(most - label_width).max(least);
        (left, left + label_width)
    }

    fn labels_are_apart(&self, axis: &PlotAxis, ticks: &[Tick]) -> bool {
        let gap = 1.4 * TICK_TEXT_SIZE; // about the width of two digits
        let spans: Vec<(f64, f64)> = ticks.iter().map(|tick| self.x_label_span(axis, tick)).collect();
        spans.windows(2).all(|pair| pair[0].1 + gap <= pair[1].0)
    }
}

/// The axes of a panel with the ticks of the vertical one, which do not depend on the plot's size.
fn axes_with_y_ticks(panel: &Panel) -> Option<(PlotAxis, PlotAxis)> {
    let (x, mut y) = axes(panel)?;
    y.choose_ticks(|_, ticks| ticks.len() <= MOST_Y_LABELS);
    Some((x, y))
}

fn y_title(panel: &Panel, plot_height: f64) -> Vec<String> {
    wrap(&panel.y.label, AXIS_TITLE_SIZE, plot_height, MOST_AXIS_TITLE_LINES)
}

/// Room that a panel needs left of its plot.
fn left_room(panel: &Panel, plot_height: f64) -> f64 {
    let title = below(&y_title(panel, plot_height), AXIS_TITLE_SIZE, AXIS_TITLE_GAP);
    let labels = axes_with_y_ticks(panel).map_or(0.0, |(_, y)| {
        y.ticks.labelled.iter().map(|tick| width(&tick.label, TICK_TEXT_SIZE)).fold(0.0, f64::max)
    });
    (title + labels + TICK_GAP + TICK_LENGTH).ceil()
}
