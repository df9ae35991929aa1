//! What a slot looks like: colour, marker shape and dash, and the colours of the themes.
//!
//! The eight colours are those of Okabe and Ito, «Color Universal Design» (2008), which people with any common colour
//! vision tell apart. Black becomes the theme's ink and yellow is darkened on white. The shape differs as well, so
//! that a black-and-white print stays readable; past the eighth slot colours return with other shapes and dashes.

use super::{Mark, Theme};
use plotters::style::RGBColor;

/// The colours that are not data.
pub(super) struct ThemeColours {
    pub background: RGBColor,
    pub ink: RGBColor,
    pub muted: RGBColor,
    pub grid: RGBColor,
}

impl Theme {
    pub(super) fn colours(self) -> ThemeColours {
        match self {
            Theme::Light => ThemeColours {
                background: RGBColor(0xff, 0xff, 0xff),
                ink: RGBColor(0x1f, 0x29, 0x37),
                muted: RGBColor(0x4b, 0x55, 0x63),
                grid: RGBColor(0xe5, 0xe7, 0xeb),
            },
            Theme::Dark => ThemeColours {
                background: RGBColor(0x11, 0x18, 0x27),
                ink: RGBColor(0xf3, 0xf4, 0xf6),
                muted: RGBColor(0xb4, 0xbc, 0xc8),
                grid: RGBColor(0x2b, 0x36, 0x47),
            },
        }
    }

    /// The colour of a slot.
    pub(super) fn slot_colour(self, slot: usize) -> RGBColor {
        let dark = self == Theme::Dark;
        match slot % COLOURS {
            0 if dark => RGBColor(0x3d, 0x9b, 0xe0), // blue, lighter
            0 => RGBColor(0x00, 0x72, 0xb2),
            1 if dark => RGBColor(0xf0, 0x76, 0x1a), // vermilion, lighter
            1 => RGBColor(0xd5, 0x5e, 0x00),
            2 if dark => RGBColor(0x12, 0xb5, 0x86), // bluish green, lighter
            2 => RGBColor(0x00, 0x9e, 0x73),
            3 => RGBColor(0xcc, 0x79, 0xa7), // reddish purple
            4 => RGBColor(0xe6, 0x9f, 0x00), // orange
            5 if dark => RGBColor(0x8f, 0xd3, 0xf7),
            5 => RGBColor(0x56, 0xb4, 0xe9), // sky blue
            6 => self.colours().ink,
            _ if dark => RGBColor(0xf0, 0xe4, 0x42),
            _ => RGBColor(0xb3, 0xa5, 0x00), // yellow, darker
        }
    }
}

const COLOURS: usize = 8;

/// A dash pattern in quarter pixels (`stroke-dasharray`), if the line is not solid.
pub(super) fn dash(mark: Mark, slot: usize) -> Option<&'static str> {
    let dashed = mark == Mark::DashedLine;
    match (slot / COLOURS, dashed) {
        (0, false) => None,
        (0, true) => Some("22 14"),
        (1, false) => Some("40 12 6 12"),
        (1, true) => Some("48 14 6 14 6 14"),
        (_, false) => Some("6 10"),
        (_, true) => Some("12 12"),
    }
}

/// The shape of a marker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Disc,
    Polygon(&'static [(f64, f64)]),
}

/// The marker of a slot. The shape shifts by one each time the colours return: 64 pairs before any repeats.
pub(super) fn shape(slot: usize) -> Shape {
    match (slot % COLOURS + slot / COLOURS) % COLOURS {
        0 => Shape::Disc,
        1 => Shape::Polygon(&SQUARE),
        2 => Shape::Polygon(&TRIANGLE_UP),
        3 => Shape::Polygon(&DIAMOND),
        4 => Shape::Polygon(&TRIANGLE_DOWN),
        5 => Shape::Polygon(&CROSS),
        6 => Shape::Polygon(&STAR),
        _ => Shape::Polygon(&PLUS),
    }
}

// Corners around the centre in units of the disc's radius, y downwards; sized to look equally heavy.
const SQUARE: [(f64, f64); 4] = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)];
const TRIANGLE_UP: [(f64, f64); 3] = [(0.0, -1.3), (1.2, 0.8), (-1.2, 0.8)];
const TRIANGLE_DOWN: [(f64, f64); 3] = [(0.0, 1.3), (1.2, -0.8), (-1.2, -0.8)];
const DIAMOND: [(f64, f64); 4] = [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)];
const CROSS: [(f64, f64); 12] = [
    (0.0, -0.5),
    (0.65, -1.15),
    (1.15, -0.65),
    (0.5, 0.0),
    (1.15, 0.65),
    (0.65, 1.15),
    (0.0, 0.5),
    (-0.65, 1.15),
    (-1.15, 0.65),
    (-0.5, 0.0),
    (-1.15, -0.65),
    (-0.65, -1.15),
];
const PLUS: [(f64, f64); 12] = [
    (-0.4, -1.3),
    (0.4, -1.3),
    (0.4, -0.4),
    (1.3, -0.4),
    (1.3, 0.4),
    (0.4, 0.4),
    (0.4, 1.3),
    (-0.4, 1.3),
    (-0.4, 0.4),
    (-1.3, 0.4),
    (-1.3, -0.4),
    (-0.4, -0.4),
];
// Five points at radius 1.4 and five notches at radius 0.6.
const STAR: [(f64, f64); 10] = [
    (0.0, -1.4),
    (0.35, -0.49),
    (1.33, -0.43),
    (0.57, 0.19),
    (0.82, 1.13),
    (0.0, 0.6),
    (-0.82, 1.13),
    (-0.57, 0.19),
    (-1.33, -0.43),
    (-0.35, -0.49),
];

/// `#rrggbb`
pub(super) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn slots_differ_in_colour_or_shape() {
        for theme in [Theme::Light, Theme::Dark] {
            let looks: BTreeSet<String> =
                (0..64).map(|slot| format!("{}{:?}", hex(theme.slot_colour(slot)), shape(slot))).collect();
            assert_eq!(looks.len(), 64);
        }
    }

    #[test]
    fn lines_past_the_palette_differ_by_dash() {
        for mark in [Mark::Line, Mark::DashedLine] {
            assert_ne!(dash(mark, 0), dash(mark, 8));
            assert_ne!(dash(mark, 8), dash(mark, 16));
        }
        assert_ne!(dash(Mark::Line, 0), dash(Mark::DashedLine, 0));
    }

    /// Relative luminance and contrast of WCAG 2.1.
    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let luminance = |RGBColor(red, green, blue): RGBColor| {
            let linear = |channel: u8| match f64::from(channel) / 255.0 {
                dim if dim <= 0.04045 => dim / 12.92,
                bright => ((bright + 0.055) / 1.055).powf(2.4),
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_and_marks_stand_out_from_the_background() {
        for theme in [Theme::Light, Theme::Dark] {
            let colours = theme.colours();
            assert!(contrast(colours.ink, colours.background) > 7.0);
            assert!(contrast(colours.muted, colours.background) > 4.5);
            for slot in 0..COLOURS {
                // Orange and sky blue are this light by design; shape and size make up for it.
                let contrast = contrast(theme.slot_colour(slot), colours.background);
                assert!(contrast > 2.1, "slot {slot} has contrast {contrast} in {theme:?}");
            }
        }
    }
}
