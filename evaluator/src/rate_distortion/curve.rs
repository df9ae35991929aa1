//! A rate–quality curve: what quality a codec reaches for each rate.
use super::RateDistortionError;

/// One operating point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What is spent, in any unit with a zero: bits per pixel, kept tokens.
    pub rate: f64,
    /// What it buys, higher being better: PSNR in dB.
    pub quality: f64,
}

/// The points of a curve that are worth their rate, at least two, rising in rate and in quality.
///
/// Measured curves need not rise, but «the rate for this quality» needs an answer. The curve is therefore the *Pareto
/// front* of its points: a point is dropped where another is at least as good for no more rate. That is the curve of
/// someone free to choose the operating point; [`dropped`](Self::dropped) says how many had to go.
#[derive(Clone, Debug, PartialEq)]
pub struct RateQualityCurve {
    points: Vec<Point>,
    dropped: usize,
}

impl RateQualityCurve {
    /// The curve through points in any order.
    ///
    /// # Errors
    /// [`RateDistortionError::BadPoint`] if a rate is not positive and finite or a quality is not finite;
    /// [`RateDistortionError::TooFewPoints`] if fewer than two points are left.
    pub fn new(points: &[Point]) -> Result<Self, RateDistortionError> {
        let is_bad = |point: &&Point| !(point.rate > 0.0 && point.rate.is_finite() && point.quality.is_finite());
        if let Some(&Point { rate, quality }) = points.iter().find(is_bad) {
            return Err(RateDistortionError::BadPoint { rate, quality });
        }
        let front = front(points);
        if front.len() < 2 {
            return Err(RateDistortionError::TooFewPoints { points: points.len(), kept: front.len() });
        }
        Ok(Self { dropped: points.len() - front.len(), points: front })
    }

    /// The points kept, rising in rate and in quality.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How many points were dropped because another is at least as good for no more rate; repeats count.
    pub fn dropped(&self) -> usize {
        self.dropped
    }
}

/// The points that no other dominates, rising. Rates are told apart by their logarithm, which is what is integrated.
fn front(points: &[Point]) -> Vec<Point> {
    let mut cheapest_first = points.to_vec();
    cheapest_first
        .sort_by(|left, right| left.rate.ln().total_cmp(&right.rate.ln()).then(right.quality.total_cmp(&left.quality)));
    let mut front: Vec<Point> = Vec::new();
    for point in cheapest_first {
        if front.last().is_none_or(|best| point.quality > best.quality) {
            front.push(point);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(points: &[(f64, f64)]) -> Vec<Point> {
        points.iter().map(|&(rate, quality)| Point { rate, quality }).collect()
    }

    #[test]
    fn a_point_that_is_no_better_for_more_rate_is_dropped() {
        let curve = RateQualityCurve::new(&points(&[(4.0, 36.0), (1.0, 30.0), (3.0, 33.0), (2.0, 34.0), (2.0, 31.0)]));
        let curve = curve.unwrap();
        assert_eq!(curve.points(), points(&[(1.0, 30.0), (2.0, 34.0), (4.0, 36.0)]));
        assert_eq!(curve.dropped(), 2);
    }

    #[test]
    fn a_curve_that_buys_nothing_is_refused() {
        let error = |of: &[(f64, f64)]| RateQualityCurve::new(&points(of)).unwrap_err().to_string();
        assert_eq!(
            error(&[(1.0, 30.0), (2.0, 30.0), (3.0, 29.0)]),
            "1 of the curve's 3 points buy quality with rate, and a curve needs two: measure at more rates"
        );
        assert!(error(&[(1.0, 30.0), (1.0, 30.0)]).starts_with("1 of the curve's 2 points"));
        assert!(error(&[]).starts_with("0 of the curve's 0 points"));
    }

    #[test]
    fn a_rate_without_logarithm_and_a_quality_without_bound_are_refused() {
        for (rate, quality) in
            [(0.0, 30.0), (-1.0, 30.0), (f64::NAN, 30.0), (f64::INFINITY, 30.0), (1.0, f64::NAN), (1.0, f64::INFINITY)]
        {
            let error = RateQualityCurve::new(&points(&[(1.0, 20.0), (rate, quality), (2.0, 25.0)])).unwrap_err();
            assert!(matches!(error, RateDistortionError::BadPoint { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_front_is_brute_force(of in prop::collection::vec((1_u8..12, 0_u8..12), 0..20)) {
            let all = points(&of.iter().map(|&(rate, quality)| (rate.into(), quality.into())).collect::<Vec<_>>());
            let beats = |other: &Point, point: &Point| {
                other.rate <= point.rate && other.quality >= point.quality && other != point
            };
            let mut expected: Vec<Point> = Vec::new();
            for point in &all {
                if !all.iter().any(|other| beats(other, point)) && !expected.contains(point) {
                    expected.push(*point);
                }
            }
            expected.sort_by(|left, right| left.rate.total_cmp(&right.rate));
            prop_assert_eq!(front(&all), expected);
        }
    }
}
