//! Charts: pure functions from data to SVG, and from SVG to PNG.
//!
//! The same function draws the dashboard's charts and the paper's figures, so what is read in the browser is what is
//! printed. A chart is a grid of small panels that share one legend; a *slot* gives a series its colour, marker and
//! dash, the same in every panel. The picture works without JavaScript and under a strict content security policy:
//! only presentation attributes, native tooltips, and a focusable circle over every data point. Text is measured with
//! the embedded font alone, so equal input gives equal bytes on every machine.

mod axis;
mod draw;
mod layout;
mod legend;
mod marks;
mod palette;
mod raster;
mod text;
mod ticks;

#[cfg(test)]
mod tests;

pub use draw::to_svg;
pub use raster::{ChartError, to_png};

/// Small multiples in a grid, with one legend below them.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Drawn above the panels, and the figure's accessible name.
    pub title: String,
    /// What the figure shows, in a sentence. Read by screen readers; drawn only where [`Size`] asks for it, for pages and
    /// papers print it themselves.
    pub caption: String,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
    /// Panels in a row, at most; fewer when the width would make them unreadable.
    pub columns: usize,
}

/// One plot with its own axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Drawn above the plot.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is plotted; later series lie above earlier ones.
    pub series: Vec<Series>,
}

/// One axis of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Quantity and unit: `PSNR (dB)`.
    pub label: String,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// Lowest and highest value shown; points outside are left out and lines are cut at the edge.
    /// `None`, or a range that the scale cannot show, takes the data's range and a little room around it.
    pub range: Option<(f64, f64)>,
}

/// How an axis maps values to places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences at equal distances.
    Linear,
    /// Equal ratios at equal distances; values that are not positive are left out.
    Log10,
}

/// One series of points, and optionally a band around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The name in the legend; a series without a name is left out of it.
    pub name: String,
    /// How the points are drawn.
    pub mark: Mark,
    /// Colour, marker and dash: equal slots look equal in every panel. Slots 0 to 7 are best told apart.
    pub slot: usize,
    /// The points, in drawing order.
    pub points: Vec<Point>,
    /// `(x, low, high)`, for example a confidence interval; may be empty.
    pub band: Vec<(f64, f64, f64)>,
}

/// How the points of a series are drawn. A lone point is always drawn as a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A solid line.
    Line,
    /// A dashed line, for references and bounds.
    DashedLine,
    /// Markers only.
    Points,
    /// A solid line with a marker on each point.
    LineAndPoints,
}

/// One data point. Points that are not finite are skipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Horizontal value.
    pub x: f64,
    /// Vertical value.
    pub y: f64,
    /// The tooltip. A point with neither tooltip nor link takes no keyboard focus: right for curves of many points.
    pub title: String,
    /// Where a click leads: a relative or http(s) address; any other is ignored.
    pub href: Option<String>,
}

/// The colours of the page around the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white.
    Light,
    /// Light ink on dark blue-grey.
    Dark,
}

/// The size of a figure; its height follows from what it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Width of the figure in CSS pixels, at least 320.
    pub width: u32,
    /// Width over height of each plot, from 0.5 to 4; very low plots are made 120 pixels high.
    pub panel_aspect: f64,
    /// Whether the caption is drawn below the legend, for a figure that stands alone.
    pub with_caption: bool,
}

impl Default for Size {
    fn default() -> Self {
        Size { width: 960, panel_aspect: 4.0 / 3.0, with_caption: false }
    }
}

impl Mark {
    fn has_line(self) -> bool {
        self != Mark::Points
    }

    fn has_markers(self) -> bool {
        matches!(self, Mark::Points | Mark::LineAndPoints)
    }
}
