//! Straight lines through one feature: the predictors that a learned one must beat.

use crate::search::Feature;
use std::collections::HashMap;
use std::rc::Rc;

/// A least-squares line from a feature to the fewest sufficient tokens, and how far training blocks lie from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    mean: (f64, f64),
    slope: f64,
    /// Sorted.
    residuals: Vec<f64>,
}

impl Line {
    /// Through (feature, tokens); a feature that is not known counts as its mean.
    ///
    /// # Panics
    /// Without a point.
    pub(super) fn fit(points: &[(Option<f64>, f64)]) -> Self {
        let known: Vec<f64> = points.iter().filter_map(|(x, _)| *x).collect();
        let mean_x = if known.is_empty() { 0.0 } else { crate::statistics::mean(&known) };
        let mean_y = crate::statistics::mean(&points.iter().map(|(_, y)| *y).collect::<Vec<_>>());
        let centred = || points.iter().map(|(x, y)| (x.unwrap_or(mean_x) - mean_x, y - mean_y));
        let spread: f64 = centred().map(|(x, _)| x * x).sum();
        // A feature that never varies says nothing.
        let slope = if spread > 0.0 { centred().map(|(x, y)| x * y).sum::<f64>() / spread } else { 0.0 };
        let mut residuals: Vec<f64> = centred().map(|(x, y)| y - slope * x).collect();
        residuals.sort_by(f64::total_cmp);
        Self { mean: (mean_x, mean_y), slope, residuals }
    }

    /// Tokens at `x` that were enough for the share `confidence` of the training blocks.
    pub(super) fn at(&self, x: Option<f64>, confidence: f64) -> f64 {
        let place = (confidence * self.residuals.len() as f64).ceil() as usize;
        let margin = self.residuals[place.clamp(1, self.residuals.len()) - 1];
        self.mean.1 + self.slope * (x.unwrap_or(self.mean.0) - self.mean.0) + margin
    }
}

/// A line for every feature and threshold asked for so far.
pub(super) type Lines = HashMap<(Feature, u64), Rc<Line>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_points_on_a_line() {
        let line = Line::fit(&[(Some(1.0), 10.0), (Some(2.0), 12.0), (Some(4.0), 16.0)]);
        assert!((line.at(Some(3.0), 0.5) - 14.0).abs() < 1e-12);
        // Nothing known: the mean of 7/3, at 38/3.
        assert!((line.at(None, 0.5) - 38.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn confidence_is_the_share_of_training_blocks_for_which_it_was_enough() {
        // A feature that never varies: the mean is 25, residuals −15, −5, 5, 15.
        let points: Vec<_> = [10.0, 20.0, 30.0, 40.0].map(|y| (Some(7.0), y)).into();
        let line = Line::fit(&points);
        assert_eq!([0.25, 0.5, 0.75, 0.99].map(|c| line.at(Some(7.0), c)), [10.0, 20.0, 30.0, 40.0]);
    }
}
