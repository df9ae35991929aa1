//! What is seen along training runs, one chart a quantity, all runs over one another.

use evaluator::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series};
use evaluator::store::TrainingPoint;

use crate::format;
use crate::thin::{Bucket, thin};

/// So many points a run, or hardly more: all that a screen can show apart, and a page stays small.
const POINTS: u32 = 240;

/// How many steps one point stands for, where the longest run has so many.
pub fn steps_of_a_point(longest: u32) -> u32 {
    longest.div_ceil(POINTS).max(1)
}

/// A run in the charts.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its colour: the same whichever runs are shown with it.
    pub slot: usize,
    quantities: Vec<Vec<Bucket>>,
}

impl Curve {
    /// Of all the points of a run, thinned.
    pub fn new(name: String, slot: usize, points: &[TrainingPoint], steps_of_a_point: u32) -> Self {
        let quantity = |quantity: &Quantity| {
            let values = points.iter().map(|point| (point.step, (quantity.value)(point)));
            thin(&values.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>(), steps_of_a_point)
        };
        Self { name, slot, quantities: QUANTITIES.iter().map(quantity).collect() }
    }

    /// Every quantity with its points.
    pub fn series(&self) -> impl Iterator<Item = (&'static Quantity, &[Bucket])> {
        QUANTITIES.iter().zip(self.quantities.iter().map(Vec::as_slice))
    }
}

/// One number of every step.
pub struct Quantity {
    /// In addresses and in the API.
    pub name: &'static str,
    /// The unit of its values; empty for a pure number.
    pub unit: &'static str,
    /// What it is.
    pub title: &'static str,
    axis: &'static str,
    scale: Wanted,
    /// A part of the loss that many models lack: shown where it is not 0 throughout.
    is_optional: bool,
    value: fn(&TrainingPoint) -> f64,
}

/// Which scale shows a quantity best.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Linear,
    /// Logarithmic, for what falls by factors.
    Log,
    /// Logarithmic if it spans more than a factor of ten.
    LogIfWide,
}

const QUANTITIES: [Quantity; 7] = [
    Quantity {
        name: "loss",
        unit: "",
        title: "Loss",
        axis: "loss",
        scale: Wanted::Log,
        is_optional: false,
        value: |point| point.loss,
    },
    Quantity {
        name: "psnr",
        unit: "dB",
        title: "PSNR of the training reconstruction",
        axis: "PSNR (dB)",
        scale: Wanted::Linear,
        is_optional: false,
        // The squared error is of values in [−1, 1]: the largest difference is 2.
        value: |point| 10.0 * (4.0 / point.mse).log10(),
    },
    Quantity {
        name: "perceptual",
        unit: "",
        title: "Perceptual part of the loss",
        axis: "perceptual loss",
        scale: Wanted::LogIfWide,
        is_optional: true,
        value: |point| point.perceptual,
    },
    Quantity {
        name: "kl",
        unit: "",
        title: "Kullback-Leibler part of the loss, before weighting",
        axis: "KL divergence",
        scale: Wanted::LogIfWide,
        is_optional: true,
        value: |point| point.kl,
    },
    Quantity {
        name: "learning-rate",
        unit: "",
        title: "Learning rate",
        axis: "learning rate",
        scale: Wanted::Linear,
        is_optional: false,
        value: |point| point.learning_rate,
    },
    Quantity {
        name: "throughput",
        unit: "tokens/s",
        title: "Throughput",
        axis: "tokens per second",
        scale: Wanted::Linear,
        is_optional: false,
        value: |point| point.tokens_per_second,
    },
    Quantity {
        name: "gradient-norm",
        unit: "",
        title: "Gradient norm before clipping",
        axis: "gradient norm",
        scale: Wanted::LogIfWide,
        is_optional: false,
        value: |point| point.gradient_norm,
    },
];

/// A chart of every quantity that the runs have, with its name.
pub fn charts(curves: &[Curve], steps_of_a_point: u32) -> impl Iterator<Item = (&'static str, Chart)> {
    QUANTITIES
        .iter()
        .enumerate()
        .filter_map(move |(index, quantity)| Some((quantity.name, chart(quantity, index, curves, steps_of_a_point)?)))
}

fn chart(quantity: &Quantity, index: usize, curves: &[Curve], steps_of_a_point: u32) -> Option<Chart> {
    let is_zero = |bucket: &Bucket| bucket.low == 0.0 && bucket.high == 0.0;
    let has_it = |curve: &&Curve| !(quantity.is_optional && curve.quantities[index].iter().all(is_zero));
    let curves: Vec<&Curve> = curves.iter().filter(has_it).collect();
    if curves.is_empty() {
        return None;
    }
    let buckets = || curves.iter().flat_map(|curve| &curve.quantities[index]);
    let scale = quantity.scale.fitting(buckets());
    let label = if scale == Scale::Log10 { format!("{} (log scale)", quantity.axis) } else { quantity.axis.to_owned() };
    let series = curves.iter().map(|curve| series(quantity, curve, &curve.quantities[index]));
    let thinned = match steps_of_a_point {
        1 => String::new(),
        steps => format!(
            ". The line is the mean of about {steps} steps a point, and the band reaches from the lowest of them to the highest"
        ),
    };
    Some(Chart {
        title: quantity.title.to_owned(),
        caption: format!("{} against training steps{thinned}.", quantity.title),
        panels: vec![Panel {
            title: String::new(),
            x: Axis { label: "step".to_owned(), scale: Scale::Linear, range: None },
            y: Axis { label, scale, range: None },
            series: series.collect(),
        }],
        columns: 1,
    })
}

/// Only the ends and the extremes can be read by pointer and keyboard: hundreds of stops would lead nowhere.
fn series(quantity: &Quantity, curve: &Curve, buckets: &[Bucket]) -> Series {
    let lowest = buckets.iter().map(|bucket| bucket.low).fold(f64::INFINITY, f64::min);
    let highest = buckets.iter().map(|bucket| bucket.high).fold(f64::NEG_INFINITY, f64::max);
    let points = buckets.iter().enumerate().map(|(index, bucket)| {
        let is_end = index == 0 || index + 1 == buckets.len();
        let told = is_end || bucket.low == lowest || bucket.high == highest;
        let title = if told { title(quantity, &curve.name, bucket) } else { String::new() };
        Point { x: bucket.step, y: bucket.mean, title, href: None }
    });
    let is_thinned = buckets.iter().any(|bucket| bucket.first < bucket.last);
    let band = buckets.iter().map(|bucket| (bucket.step, bucket.low, bucket.high));
    Series {
        name: curve.name.clone(),
        mark: Mark::Line,
        slot: curve.slot,
        points: points.collect(),
        band: if is_thinned { band.collect() } else { Vec::new() },
    }
}

fn title(quantity: &Quantity, name: &str, bucket: &Bucket) -> String {
    let Bucket { first, last, mean, low, high, .. } = bucket;
    let number = |value: &f64| format::number(*value);
    let (axis, mean, low, high) = (quantity.axis, number(mean), number(low), number(high));
    match first == last {
        true => format!("{name}, step {first}: {axis} {mean}"),
        false => format!("{name}, steps {first} to {last}: {axis} {mean}, from {low} to {high}"),
    }
}

impl Wanted {
    fn fitting<'a>(self, buckets: impl Iterator<Item = &'a Bucket>) -> Scale {
        let (low, high) = buckets.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), bucket| {
            (low.min(bucket.low), high.max(bucket.high))
        });
        let is_log = match self {
            Self::Linear => false,
            Self::Log => low > 0.0,
            Self::LogIfWide => low > 0.0 && high > 10.0 * low,
        };
        if is_log { Scale::Log10 } else { Scale::Linear }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u32) -> TrainingPoint {
        TrainingPoint {
            step,
            loss: 1.0 / f64::from(step),
            mse: 0.04,
            kl: 0.0,
            perceptual: 0.0,
            learning_rate: 1e-3,
            gradient_norm: if step == 500 { 80.0 } else { 1.0 },
            tokens_per_second: 2e4,
        }
    }

    fn drawn(curves: &[Curve], steps_of_a_point: u32) -> Vec<Chart> {
        charts(curves, steps_of_a_point).map(|(_, chart)| chart).collect()
    }

    fn titles(charts: &[Chart]) -> Vec<&str> {
        charts.iter().map(|chart| chart.title.as_str()).collect()
    }

    #[test]
    fn psnr_is_that_of_values_in_minus_one_to_one() {
        // 10·log10(4 / 0.04) = 20 dB.
        let charts = drawn(&[Curve::new("a".into(), 0, &[point(1), TrainingPoint { mse: 0.0, ..point(2) }], 1)], 1);
        let points = &charts[1].panels[0].series[0].points;
        assert_eq!(points.len(), 1, "a perfect reconstruction has no PSNR to draw");
        assert!((points[0].y - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_spike_is_seen_in_the_band_and_told_by_its_point() {
        let run: Vec<_> = (1..=1000).map(point).collect();
        let width = steps_of_a_point(1000);
        let charts = drawn(&[Curve::new("long".into(), 3, &run, width)], width);
        let norm = charts.iter().find(|chart| chart.title.starts_with("Gradient")).unwrap();
        let series = &norm.panels[0].series[0];
        assert!(series.points.len() <= POINTS as usize && series.slot == 3);
        assert_eq!(series.band.iter().map(|band| band.2).fold(0.0, f64::max), 80.0);
        assert!(series.points.iter().any(|point| point.title.contains("to 80")), "{series:?}");
        assert_eq!(norm.panels[0].y.scale, Scale::Log10, "it spans a factor of 80");
        assert!(norm.caption.contains("the mean of about 5 steps"), "{}", norm.caption);
    }

    #[test]
    fn short_runs_have_no_band_and_say_nothing_of_thinning() {
        let charts = drawn(&[Curve::new("short".into(), 0, &[point(1), point(2), point(3)], 1)], 1);
        assert!(charts.iter().all(|chart| chart.panels[0].series[0].band.is_empty()));
        assert_eq!(charts[0].caption, "Loss against training steps.");
        assert_eq!(charts.last().unwrap().panels[0].y.scale, Scale::Linear, "a norm that stays where it is");
    }

    #[test]
    fn parts_of_the_loss_are_shown_where_there_are_any() {
        let without = Curve::new("without".into(), 0, &[point(1), point(2)], 1);
        let judged = TrainingPoint { perceptual: 0.2, ..point(2) };
        let with = Curve::new("with".into(), 1, &[point(1), judged], 1);
        assert_eq!(drawn(std::slice::from_ref(&without), 1).len(), 5);
        let both = drawn(&[without, with], 1);
        assert_eq!(titles(&both)[2], "Perceptual part of the loss");
        assert_eq!((both.len(), both[2].panels[0].y.scale), (6, Scale::Linear), "0 has no place on a log axis");
        let names: Vec<_> = both[2].panels[0].series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["with"], "a run without it is no line along 0");
    }

    #[test]
    fn a_run_without_points_leaves_empty_charts() {
        let charts = drawn(&[Curve::new("unborn".into(), 0, &[], 1)], 1);
        assert!(charts.iter().all(|chart| chart.panels[0].series[0].points.is_empty()));
    }
}
