//! Drawing: a placed chart as SVG.
//!
//! From back to front: grid, bands, lines, markers, and a focusable circle over every data point, which carries the
//! tooltip. All that belongs to a series is in groups with `class="series"` and `data-series`, the slot, so that a
//! page can show and hide it.

use super::axis::PlotAxis;
use super::layout::{
    AXIS_TITLE_SIZE, CAPTION_SIZE, Layout, PANEL_TITLE_SIZE, PlacedPanel, Rect, TICK_GAP, TICK_LENGTH, TICK_TEXT_SIZE,
    TITLE_SIZE, layout,
};
use super::marks::{self, Ink, Place, drawn, in_pixels, in_quarters, scaled};
use super::palette::hex;
use super::text::{Anchor, FONT_FAMILY, TextStyle, escape, number, safe_address};
use super::{Chart, Point, Series, Size, Theme};
use plotters::backend::DrawingBackend;
use plotters::coord::CoordTranslate;
use plotters::coord::cartesian::Cartesian2d;
use plotters::style::Color;
use std::fmt::Write as _;

/// Radius of the circle that catches the pointer.
const POINT_RADIUS: f64 = 9.0;
const WRITES: &str = "writing to a String cannot fail";

/// From values to places.
type Plane = Cartesian2d<PlotAxis, PlotAxis>;

/// Draws a chart.
pub fn to_svg(chart: &Chart, theme: Theme, size: Size) -> String {
    let ink = Ink::new(theme);
    let Layout { width, height, title, title_corner, panels, legend, legend_corner, caption, caption_corner } =
        layout(chart, size);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"group\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{FONT_FAMILY}\">\n\
         <title>{}</title>\n<desc>{}</desc>\n\
         <rect class=\"background\" width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
        escape(&chart.title),
        escape(&chart.caption),
        hex(ink.background)
    );
    TextStyle { size: TITLE_SIZE, colour: &ink.text, anchor: Anchor::Start }.write_lines(
        &mut svg,
        title_corner,
        &title,
    );
    for placed in &panels {
        svg.push_str("<g class=\"panel\">\n");
        titles(&mut svg, placed, &ink);
        match &placed.axes {
            Some((x, y)) => {
                let plane = plane(&placed.plot, x, y);
                frame(&mut svg, placed, &plane, (x, y), &ink);
                data(&mut svg, placed, &plane, (x, y), &ink);
            }
            None => empty_frame(&mut svg, &placed.plot, &ink),
        }
        svg.push_str("</g>\n");
    }
    legend.draw(&mut svg, legend_corner, &ink);
    TextStyle { size: CAPTION_SIZE, colour: &ink.quiet_text, anchor: Anchor::Start }.write_lines(
        &mut svg,
        caption_corner,
        &caption,
    );
    svg.push_str("</svg>\n");
    svg
}

fn plane(plot: &Rect, x: &PlotAxis, y: &PlotAxis) -> Plane {
    let (left, top) = in_quarters((plot.left, plot.top));
    let (right, bottom) = in_quarters((plot.right(), plot.bottom()));
    Cartesian2d::new(x.clone(), y.clone(), (left..right, bottom..top))
}

fn titles(svg: &mut String, placed: &PlacedPanel, ink: &Ink) {
    let plot = &placed.plot;
    let title = TextStyle { size: PANEL_TITLE_SIZE, colour: &ink.text, anchor: Anchor::Start };
    title.write_lines(svg, (plot.left, placed.title_top), &placed.title);
    let axis_title = TextStyle { size: AXIS_TITLE_SIZE, colour: &ink.text, anchor: Anchor::Middle };
    let middle = (plot.left + plot.width / 2.0, plot.top + plot.height / 2.0);
    axis_title.write_lines(svg, (middle.0, placed.x_title_top), &placed.x_title);
    axis_title.write_upwards(svg, (placed.y_title_left, middle.1), &placed.y_title);
}

/// Grid, axes, tick marks and their labels.
fn frame(svg: &mut String, placed: &PlacedPanel, plane: &Plane, (x, y): (&PlotAxis, &PlotAxis), ink: &Ink) {
    let plot = &placed.plot;
    let corner = in_quarters((plot.left, plot.bottom()));
    let (right, _) = in_quarters((plot.right(), 0.0));
    let (_, top) = in_quarters((0.0, plot.top));
    let tick = (TICK_LENGTH * 4.0) as i32;
    let across = |value: &f64| plane.translate(&(*value, y.lowest())).0;
    let up = |value: &f64| plane.translate(&(x.lowest(), *value)).1;
    let lines = drawn(|backend| {
        let (grid, axis) = (ink.grid.stroke_width(4), ink.axis.stroke_width(4));
        plane.draw_mesh(0, 0, |line| line.draw(backend, &grid))?;
        for (values, length) in [(x.ticks.labelled_values(), tick), (x.ticks.minor.clone(), tick / 2)] {
            for x in values.iter().map(across) {
                backend.draw_line((x, corner.1), (x, corner.1 + length), &axis)?;
            }
        }
        for (values, length) in [(y.ticks.labelled_values(), tick), (y.ticks.minor.clone(), tick / 2)] {
            for y in values.iter().map(up) {
                backend.draw_line((corner.0 - length, y), (corner.0, y), &axis)?;
            }
        }
        backend.draw_line((corner.0, top), corner, &axis)?;
        backend.draw_line(corner, (right, corner.1), &axis)
    });
    svg.push_str(&scaled(&lines));

    let label = TextStyle { size: TICK_TEXT_SIZE, colour: &ink.quiet_text, anchor: Anchor::Middle };
    let label_middle = plot.bottom() + TICK_LENGTH + TICK_GAP + TextStyle::line_height(TICK_TEXT_SIZE) / 2.0;
    for tick in &x.ticks.labelled {
        let (left, right) = placed.x_label_span(x, tick);
        label.write(svg, ((left + right) / 2.0, label_middle), &tick.label);
    }
    let label = TextStyle { anchor: Anchor::End, ..label };
    for tick in &y.ticks.labelled {
        let (_, middle) = in_pixels((0, up(&tick.value)));
        label.write(svg, (plot.left - TICK_LENGTH - TICK_GAP, middle), &tick.label);
    }
}

fn empty_frame(svg: &mut String, plot: &Rect, ink: &Ink) {
    let (left, top) = in_quarters((plot.left, plot.top));
    let (right, bottom) = in_quarters((plot.right(), plot.bottom()));
    let outline =
        drawn(|backend| backend.draw_path([(left, top), (left, bottom), (right, bottom)], &ink.axis.stroke_width(4)));
    svg.push_str(&scaled(&outline));
    let style = TextStyle { size: PANEL_TITLE_SIZE, colour: &ink.quiet_text, anchor: Anchor::Middle };
    style.write(svg, (plot.left + plot.width / 2.0, plot.top + plot.height / 2.0), "no data");
}

/// A series on its plot.
struct Placed<'a> {
    series: &'a Series,
    /// Every point that the scales admit, in or out of sight.
    path: Vec<Place>,
    /// The points within the plot.
    visible: Vec<(&'a Point, Place)>,
    band: Vec<Place>,
}

/// Bands and lines, cut at the edges of the plot; markers and the circles over them, whole.
fn data(svg: &mut String, placed: &PlacedPanel, plane: &Plane, (x, y): (&PlotAxis, &PlotAxis), ink: &Ink) {
    let all: Vec<Placed> = placed.panel.series.iter().map(|series| place(series, plane, (x, y))).collect();
    let bands = groups(&all, |placed| match placed.band.len() {
        0 => String::new(),
        _ => marks::band(&placed.band, placed.series.slot, ink),
    });
    let lines = groups(&all, |Placed { series, path, .. }| match series.mark.has_line() {
        true => marks::line(path, series.mark, series.slot, ink),
        false => String::new(),
    });
    let markers = groups(&all, |Placed { series, path, visible, .. }| {
        let places: Vec<Place> = visible.iter().map(|(_, place)| *place).collect();
        let wanted = series.mark.has_markers() || path.len() == 1;
        if wanted && !places.is_empty() { marks::markers(&places, series.slot, ink) } else { String::new() }
    });
    // A nested <svg> clips without an id, which would have to be unique in the page. Lines on the edge stay whole.
    let [left, top, width, height] =
        [placed.plot.left - 1.0, placed.plot.top - 1.0, placed.plot.width + 2.0, placed.plot.height + 2.0].map(number);
    let window = format!("x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"");
    writeln!(svg, "<svg {window} viewBox=\"{left} {top} {width} {height}\">").expect(WRITES);
    write!(svg, "{}</svg>\n{}", scaled(&(bands + &lines)), scaled(&markers)).expect(WRITES);
    svg.push_str(&groups(&all, |placed| {
        placed.visible.iter().map(|&(point, place)| circle_over(point, place, placed.series.slot)).collect()
    }));
}

fn place<'a>(series: &'a Series, plane: &Plane, (x, y): (&PlotAxis, &PlotAxis)) -> Placed<'a> {
    let admitted = |&(across, up): &(f64, f64)| x.admits(across) && y.admits(up);
    let path = series.points.iter().map(|point| (point.x, point.y)).filter(admitted);
    let visible = series.points.iter().filter(|point| x.holds(point.x) && y.holds(point.y));
    let band = series.band.iter().filter(|(at, low, high)| admitted(&(*at, *low)) && admitted(&(*at, *high)));
    let (lower, upper): (Vec<_>, Vec<_>) = band.map(|&(at, low, high)| ((at, low), (at, high))).unzip();
    Placed {
        series,
        path: path.map(|values| plane.translate(&values)).collect(),
        visible: visible.map(|point| (point, plane.translate(&(point.x, point.y)))).collect(),
        band: lower.iter().chain(upper.iter().rev()).map(|values| plane.translate(values)).collect(),
    }
}

/// What each series contributes, in a group of its own.
fn groups(all: &[Placed], draw: impl Fn(&Placed) -> String) -> String {
    let mut groups = String::new();
    for placed in all {
        let content = draw(placed);
        if !content.is_empty() {
            let slot = placed.series.slot;
            writeln!(groups, "<g class=\"series\" data-series=\"{slot}\">\n{content}</g>").expect(WRITES);
        }
    }
    groups
}

/// An invisible circle with the tooltip. It takes the keyboard focus itself, or its link does: one stop, not two.
fn circle_over(point: &Point, place: Place, slot: usize) -> String {
    let link = point.href.as_deref().and_then(safe_address);
    if point.title.trim().is_empty() && link.is_none() {
        return String::new();
    }
    let (x, y) = in_pixels(place);
    let focus = if link.is_none() { " tabindex=\"0\"" } else { "" };
    let circle = format!(
        "<circle class=\"point\"{focus} data-series=\"{slot}\" cx=\"{x}\" cy=\"{y}\" r=\"{POINT_RADIUS}\" fill=\"none\" \
         pointer-events=\"all\"><title>{}</title></circle>",
        escape(&point.title)
    );
    match link {
        Some(address) => format!("<a href=\"{}\">{circle}</a>\n", escape(address)),
        None => format!("{circle}\n"),
    }
}
