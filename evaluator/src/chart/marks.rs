//! Marks: lines, bands and markers of a slot, written by plotters.
//!
//! Plotters writes whole numbers, so everything here is in quarters of a pixel and goes into [`scaled`]. What plotters
//! has no word for (dashes, round joins, the rim of a marker) is inherited from a group around its elements.

use super::palette::{Shape, dash, hex, shape};
use super::{Mark, Theme};
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::{Color, RGBColor};
use std::fmt::Debug;

/// A place in quarters of a pixel.
pub(super) type Place = (i32, i32);

const QUARTERS: f64 = 4.0;
const LINE_WIDTH: u32 = 8;
const MARKER_RADIUS: i32 = 15;
const MARKER_RIM: i32 = 4;
const BAND_OPACITY: f64 = 0.18;

/// The colours in use.
pub(super) struct Ink {
    theme: Theme,
    pub background: RGBColor,
    pub text: String,
    pub quiet_text: String,
    pub axis: RGBColor,
    pub grid: RGBColor,
}

impl Ink {
    pub(super) fn new(theme: Theme) -> Self {
        let colours = theme.colours();
        Ink {
            theme,
            background: colours.background,
            text: hex(colours.ink),
            quiet_text: hex(colours.muted),
            axis: colours.muted,
            grid: colours.grid,
        }
    }
}

pub(super) fn in_quarters((x, y): (f64, f64)) -> Place {
    ((x * QUARTERS).round() as i32, (y * QUARTERS).round() as i32)
}

pub(super) fn in_pixels((x, y): Place) -> (f64, f64) {
    (f64::from(x) / QUARTERS, f64::from(y) / QUARTERS)
}

/// Elements in quarters of a pixel, as part of a drawing in pixels; nothing for nothing.
pub(super) fn scaled(elements: &str) -> String {
    if elements.is_empty() { String::new() } else { format!("<g transform=\"scale(0.25)\">\n{elements}</g>\n") }
}

/// The elements that plotters writes, without the document around them.
pub(super) fn drawn<E: Debug>(draw: impl FnOnce(&mut SVGBackend) -> Result<(), E>) -> String {
    let mut document = String::new();
    {
        let mut backend = SVGBackend::with_string(&mut document, (1, 1));
        draw(&mut backend).expect("drawing into a String cannot fail");
        backend.present().expect("closing a String cannot fail");
    }
    let start = document.find(">\n").expect("plotters opens with <svg …>") + 2;
    let end = document.rfind("</svg>").expect("plotters ends with </svg>");
    document[start..end].to_owned()
}

/// A line through places in the colour and dash of its slot.
pub(super) fn line(path: &[Place], mark: Mark, slot: usize, ink: &Ink) -> String {
    if path.len() < 2 {
        return String::new();
    }
    let style = ink.theme.slot_colour(slot).stroke_width(LINE_WIDTH);
    let polyline = drawn(|backend| backend.draw_path(path.iter().copied(), &style));
    let dashes = dash(mark, slot).map(|pattern| format!(" stroke-dasharray=\"{pattern}\"")).unwrap_or_default();
    format!("<g stroke-linejoin=\"round\"{dashes}>\n{polyline}</g>\n")
}

/// A filled outline, light enough to see what lies behind it.
pub(super) fn band(outline: &[Place], slot: usize, ink: &Ink) -> String {
    let style = ink.theme.slot_colour(slot).mix(BAND_OPACITY).filled();
    drawn(|backend| backend.fill_polygon(outline.iter().copied(), &style))
}

/// The slot's marker at each place, with a rim in the colour of the background that parts it from what it covers.
pub(super) fn markers(places: &[Place], slot: usize, ink: &Ink) -> String {
    let fill = ink.theme.slot_colour(slot).filled();
    let rim = ink.background.filled();
    let elements = drawn(|backend| {
        for &(x, y) in places {
            match shape(slot) {
                Shape::Disc => {
                    backend.draw_circle((x, y), (MARKER_RADIUS + MARKER_RIM) as u32, &rim, true)?;
                    backend.draw_circle((x, y), MARKER_RADIUS as u32, &fill, true)?;
                }
                Shape::Polygon(corners) => {
                    let at = |share: f64| (share * f64::from(MARKER_RADIUS)).round() as i32;
                    let corners = corners.iter().map(|&(right, down)| (x + at(right), y + at(down)));
                    backend.fill_polygon(corners, &fill)?;
                }
            }
        }
        backend.present()
    });
    let (rim, width) = (hex(ink.background), 2 * MARKER_RIM);
    format!("<g stroke=\"{rim}\" stroke-width=\"{width}\" paint-order=\"stroke\">\n{elements}</g>\n")
}
