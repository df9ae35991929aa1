//! The legend: one entry for each name and slot, in columns below the panels.

use super::marks::{self, Ink};
use super::text::{Anchor, TextStyle, widest, wrap};
use super::{Chart, Mark};
use std::fmt::Write as _;

const TEXT_SIZE: f64 = 12.0;
const SAMPLE_WIDTH: f64 = 30.0;
const SAMPLE_GAP: f64 = 7.0;
const COLUMN_GAP: f64 = 22.0;
const ROW_GAP: f64 = 5.0;
const MOST_LINES: usize = 6;

/// One name in the legend.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: String,
    slot: usize,
    mark: Mark,
    has_band: bool,
}

/// The legend with every entry's place, relative to its own corner.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Legend {
    placed: Vec<Placed>,
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Placed {
    entry: Entry,
    lines: Vec<String>,
    left: f64,
    top: f64,
}

impl Legend {
    /// Sets the entries in as many columns as the width allows; a name wider than that wraps.
    pub(super) fn new(chart: &Chart, max_width: f64) -> Self {
        let text_width = max_width - SAMPLE_WIDTH - SAMPLE_GAP;
        let entries: Vec<(Entry, Vec<String>)> = entries(chart)
            .into_iter()
            .map(|entry| {
                let lines = wrap(&entry.name, TEXT_SIZE, text_width, MOST_LINES);
                (entry, lines)
            })
            .collect();
        let widths: Vec<f64> =
            entries.iter().map(|(_, lines)| SAMPLE_WIDTH + SAMPLE_GAP + widest(lines, TEXT_SIZE)).collect();
        let column_widths = (1..=entries.len())
            .rev()
            .map(|columns| column_widths(&widths, columns))
            .find(|columns| total_width(columns) <= max_width || columns.len() == 1)
            .unwrap_or_default();

        let mut legend = Legend { width: total_width(&column_widths), ..Legend::default() };
        for (row, entries) in entries.chunks(column_widths.len().max(1)).enumerate() {
            let top = if row == 0 { 0.0 } else { legend.height + ROW_GAP };
            let mut left = 0.0;
            for ((entry, lines), column_width) in entries.iter().zip(&column_widths) {
                let bottom = top + lines.len() as f64 * TextStyle::line_height(TEXT_SIZE);
                legend.height = legend.height.max(bottom);
                legend.placed.push(Placed { entry: entry.clone(), lines: lines.clone(), left, top });
                left += column_width + COLUMN_GAP;
            }
        }
        legend
    }

    /// Draws the legend with its corner at a place.
    pub(super) fn draw(&self, svg: &mut String, (left, top): (f64, f64), ink: &Ink) {
        for placed in &self.placed {
            let Entry { slot, mark, has_band, .. } = placed.entry;
            let (x, y) = (left + placed.left, top + placed.top);
            let middle = y + TextStyle::line_height(TEXT_SIZE) / 2.0;
            writeln!(svg, "<g class=\"legend-entry\" data-series=\"{slot}\">")
                .expect("writing to a String cannot fail");
            let (right, centre) = (x + SAMPLE_WIDTH, x + SAMPLE_WIDTH / 2.0);
            let mut sample = String::new();
            if has_band {
                let half = TEXT_SIZE / 2.0;
                let corners = [(x, middle - half), (right, middle - half), (right, middle + half), (x, middle + half)];
                sample += &marks::band(&corners.map(marks::in_quarters), slot, ink);
            }
            if mark.has_line() {
                sample += &marks::line(&[(x, middle), (right, middle)].map(marks::in_quarters), mark, slot, ink);
            }
            if mark.has_markers() {
                sample += &marks::markers(&[marks::in_quarters((centre, middle))], slot, ink);
            }
            svg.push_str(&marks::scaled(&sample));
            let style = TextStyle { size: TEXT_SIZE, colour: &ink.text, anchor: Anchor::Start };
            style.write_lines(svg, (x + SAMPLE_WIDTH + SAMPLE_GAP, y), &placed.lines);
            svg.push_str("</g>\n");
        }
    }
}

/// The named series of all panels, each name and slot once, in order of appearance.
fn entries(chart: &Chart) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for series in chart.panels.iter().flat_map(|panel| &panel.series) {
        if series.name.trim().is_empty() {
            continue;
        }
        let has_band = !series.band.is_empty();
        match entries.iter_mut().find(|entry| entry.slot == series.slot && entry.name == series.name) {
            Some(entry) => entry.has_band |= has_band,
            None => {
                entries.push(Entry { name: series.name.clone(), slot: series.slot, mark: series.mark, has_band });
            }
        }
    }
    entries
}

/// The width of each column when entries fill the rows one after the other.
fn column_widths(widths: &[f64], columns: usize) -> Vec<f64> {
    let mut column_widths = vec![0.0; columns];
    for (index, &width) in widths.iter().enumerate() {
        let column: &mut f64 = &mut column_widths[index % columns];
        *column = column.max(width);
    }
    column_widths
}

fn total_width(columns: &[f64]) -> f64 {
    columns.iter().sum::<f64>() + COLUMN_GAP * columns.len().saturating_sub(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chart, panel, series};
    use super::*;

    fn legend(names: &[&str], max_width: f64) -> Legend {
        let all = names.iter().enumerate().map(|(slot, name)| series(name, slot, &[(1.0, 1.0)])).collect();
        Legend::new(&chart(vec![panel(all)]), max_width)
    }

    #[test]
    fn entries_never_overlap_and_stay_within_the_width() {
        let names = ["binary search", "linear scan", "greedy", "a beam of width eight over all thresholds", "fixed"];
        for max_width in [200.0, 320.0, 500.0, 900.0] {
            let legend = legend(&names, max_width);
            assert!(legend.width <= max_width);
            let boxes: Vec<[f64; 4]> = (legend.placed.iter())
                .map(|placed| {
                    let width = SAMPLE_WIDTH + SAMPLE_GAP + widest(&placed.lines, TEXT_SIZE);
                    let height = placed.lines.len() as f64 * TextStyle::line_height(TEXT_SIZE);
                    [placed.left, placed.top, placed.left + width, placed.top + height]
                })
                .collect();
            for (index, one) in boxes.iter().enumerate() {
                assert!(one[2] <= legend.width + 1e-9 && one[3] <= legend.height + 1e-9);
                let apart = |other: &[f64; 4]| one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1];
                assert!(boxes[index + 1..].iter().all(apart));
            }
        }
    }

    #[test]
    fn a_long_name_takes_more_lines_and_more_height() {
        let long = "strategy ".repeat(30);
        assert!(legend(&[&long], 300.0).height > legend(&["short"], 300.0).height * 3.0);
    }

    #[test]
    fn a_series_shown_in_several_panels_has_one_entry() {
        let panels = vec![panel(vec![series("binary", 2, &[(1.0, 1.0)])]), panel(vec![series("binary", 2, &[])])];
        assert_eq!(Legend::new(&chart(panels), 400.0).placed.len(), 1);
    }
}
