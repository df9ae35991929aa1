//! An axis with its range settled: where a value lies, and whether it can lie anywhere.

use super::ticks::{Tick, Ticks, choose};
use super::{Axis, Panel, Scale};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};
use std::ops::Range;

/// Room left around the data, as a share of its extent.
const PADDING: f64 = 0.05;
/// Beyond this, differences of values overflow; below its inverse, steps vanish.
const LARGEST: f64 = 1e150;
/// Places are cut here, far outside any figure.
const FARTHEST: f64 = 1e6;

/// An axis with its range and ticks.
#[derive(Debug, Clone)]
pub(super) struct PlotAxis {
    scale: Scale,
    low: f64,
    high: f64,
    pub ticks: Ticks,
}

impl Scale {
    /// Whether the scale has a place for a value.
    pub(super) fn admits(self, value: f64) -> bool {
        value.is_finite() && value.abs() <= LARGEST && (self == Scale::Linear || value >= 1.0 / LARGEST)
    }

    fn forward(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log10 => value.log10(),
        }
    }

    fn back(self, place: f64) -> f64 {
        match self {
            Scale::Linear => place,
            Scale::Log10 => 10f64.powf(place),
        }
    }
}

impl PlotAxis {
    /// The axis over the given range or else over the data; `None` without data.
    fn new(axis: &Axis, data: impl Iterator<Item = f64>) -> Option<Self> {
        let scale = axis.scale;
        let (least, most) =
            data.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
        if least > most {
            return None;
        }
        let given = axis.range.filter(|&(low, high)| scale.admits(low) && scale.admits(high) && are_apart(low, high));
        let (low, high) = given.unwrap_or_else(|| padded(scale, least, most));
        Some(PlotAxis { scale, low, high, ticks: Ticks::default() })
    }

    /// Takes the finest ticks whose labels fit.
    pub(super) fn choose_ticks(&mut self, fits: impl Fn(&Self, &[Tick]) -> bool) {
        self.ticks = choose(self.scale, (self.low, self.high), |ticks| fits(self, ticks));
    }

    /// The place of a value: 0 at the low end, 1 at the high end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let (low, high) = (self.scale.forward(self.low), self.scale.forward(self.high));
        (self.scale.forward(value) - low) / (high - low)
    }

    /// Whether the scale has a place for a value, on the axis or beyond its ends.
    pub(super) fn admits(&self, value: f64) -> bool {
        self.scale.admits(value)
    }

    /// The value at the low end.
    pub(super) fn lowest(&self) -> f64 {
        self.low
    }

    /// Whether a value lies on the axis.
    pub(super) fn holds(&self, value: f64) -> bool {
        self.scale.admits(value) && (self.low..=self.high).contains(&value)
    }
}

/// Whether floats between two values are fine enough for ticks.
fn are_apart(low: f64, high: f64) -> bool {
    high - low > 1e-9 * low.abs().max(high.abs()) && high - low > 1.0 / LARGEST
}

/// The data's extent with a little room around it.
fn padded(scale: Scale, least: f64, most: f64) -> (f64, f64) {
    let (low, high) = (scale.forward(least), scale.forward(most));
    let room = (high - low) * PADDING;
    let room = match scale {
        _ if are_apart(low, high) => room,
        Scale::Log10 => 0.2, // one value: from 0.6 to 1.6 times it
        Scale::Linear if least.abs() < 1.0 / LARGEST => 1.0,
        Scale::Linear => least.abs() * 0.1,
    };
    (scale.back(low - room), scale.back(high + room))
}

/// Both axes of a panel; `None` if nothing in it can be drawn.
pub(super) fn axes(panel: &Panel) -> Option<(PlotAxis, PlotAxis)> {
    let mut places = Vec::new();
    for series in &panel.series {
        places.extend(series.points.iter().map(|point| (point.x, point.y)));
        places.extend(series.band.iter().flat_map(|&(x, low, high)| [(x, low), (x, high)]));
    }
    places.retain(|&(x, y)| panel.x.scale.admits(x) && panel.y.scale.admits(y));
    let x = PlotAxis::new(&panel.x, places.iter().map(|place| place.0))?;
    let y = PlotAxis::new(&panel.y, places.iter().map(|place| place.1))?;
    Some((x, y))
}

/// The axis as plotters sees it: from values to places on the drawing.
impl Ranged for PlotAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let place = f64::from(start) + self.share(*value) * f64::from(end - start);
        place.round().clamp(-FARTHEST, FARTHEST) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.labelled_values()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, range: Option<(f64, f64)>, data: &[f64]) -> PlotAxis {
        let axis = Axis { label: String::new(), scale, range };
        PlotAxis::new(&axis, data.iter().copied()).expect("there is data")
    }

    #[test]
    fn a_log_axis_puts_1_10_and_100_at_equal_distances() {
        let axis = axis(Scale::Log10, Some((1.0, 1000.0)), &[5.0]);
        let places = [1.0, 10.0, 100.0, 1000.0].map(|value| axis.map(&value, (0, 3000)));
        assert_eq!(places, [0, 1000, 2000, 3000]);
    }

    #[test]
    fn the_range_of_the_data_leaves_room_at_both_ends() {
        let linear = axis(Scale::Linear, None, &[10.0, 30.0, 20.0]);
        assert_eq!(linear.range(), 9.0..31.0);
        let log = axis(Scale::Log10, None, &[1.0, 100.0]);
        assert!((log.share(1.0) - 0.1 / 2.2).abs() < 1e-12);
    }

    #[test]
    fn one_value_lies_in_the_middle_of_its_axis() {
        for (scale, value) in [(Scale::Linear, 7.0), (Scale::Linear, 0.0), (Scale::Linear, -3e9), (Scale::Log10, 64.0)]
        {
            assert!((axis(scale, None, &[value]).share(value) - 0.5).abs() < 1e-9);
        }
    }

    #[test]
    fn a_range_that_the_scale_cannot_show_gives_way_to_the_data() {
        for range in [(0.0, 10.0), (5.0, 5.0), (9.0, 1.0), (f64::NAN, 2.0), (1.0, f64::INFINITY)] {
            let log = axis(Scale::Log10, Some(range), &[1.0, 100.0]);
            assert!(log.low > 0.0 && log.high > 100.0, "{range:?}");
        }
    }
}
