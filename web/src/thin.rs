//! Long series drawn with few points, in which no spike is lost.

/// Neighbouring points as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The first point's step.
    pub first: u32,
    /// The last point's step.
    pub last: u32,
    /// The mean of the values.
    pub mean: f64,
    /// The lowest value.
    pub low: f64,
    /// The highest value.
    pub high: f64,
}

impl Bucket {
    /// Where it is drawn.
    pub fn step(&self) -> f64 {
        f64::midpoint(self.first.into(), self.last.into())
    }

    fn of(points: &[(u32, f64)]) -> Self {
        let values = || points.iter().map(|point| point.1);
        let (low, high) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let mean = values().sum::<f64>() / points.len() as f64;
        // A sum may be rounded past its terms.
        Self { first: points[0].0, last: points[points.len() - 1].0, mean: mean.clamp(low, high), low, high }
    }
}

/// The points, which rise in steps and are finite, in at most `most` buckets (at least 3). The first and the last point
/// stay alone: where a series begins and where it has come to is drawn as it is.
pub fn thin(points: &[(u32, f64)], most: usize) -> Vec<Bucket> {
    let [first, middle @ .., last] = points else { return points.iter().map(|p| Bucket::of(&[*p])).collect() };
    let size = middle.len().div_ceil(most.max(3) - 2).max(1);
    let ends = |point: &(u32, f64)| Bucket::of(&[*point]);
    let between = middle.chunks(size).map(Bucket::of);
    std::iter::once(ends(first)).chain(between).chain([ends(last)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A noisy fall with one spike each way, in irregular steps.
    fn series(length: u32) -> Vec<(u32, f64)> {
        let value = |n: u32| match n {
            _ if n == length / 3 => 1e6,
            _ if n == length / 2 => -1e6,
            _ => 100.0 / f64::from(n + 1) + f64::from(n * 7919 % 97),
        };
        (0..length).map(|n| (3 * n + n % 2 + 1, value(n))).collect()
    }

    #[test]
    fn first_last_and_extremes_are_kept_whatever_the_length() {
        for length in [0, 1, 2, 3, 4, 5, 7, 99, 100, 101, 1000, 12_345] {
            let points = series(length);
            for most in [3, 4, 10, 100] {
                let thinned = thin(&points, most);
                assert!(thinned.len() <= most && thinned.is_empty() == points.is_empty(), "{length} in {most}");
                let alone = |point: &(u32, f64)| Bucket::of(&[*point]);
                assert_eq!(thinned.first().copied(), points.first().map(alone));
                assert_eq!(thinned.last().copied(), points.last().map(alone));
                let lowest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
                assert_eq!(
                    lowest(&mut thinned.iter().map(|bucket| bucket.low)),
                    lowest(&mut points.iter().map(|point| point.1))
                );
                assert_eq!(
                    lowest(&mut thinned.iter().map(|bucket| -bucket.high)),
                    lowest(&mut points.iter().map(|point| -point.1))
                );
            }
        }
    }

    #[test]
    fn buckets_hold_every_point_once_in_order() {
        let points = series(1000);
        let mut open = points.as_slice();
        for bucket in thin(&points, 37) {
            let held = open.iter().take_while(|point| point.0 <= bucket.last).count();
            let (inside, rest) = open.split_at(held);
            assert_eq!(bucket, Bucket::of(inside));
            assert!((bucket.low..=bucket.high).contains(&bucket.mean) && bucket.first <= bucket.last);
            open = rest;
        }
        assert_eq!(open, []);
    }

    #[test]
    fn a_short_series_is_drawn_as_it_is() {
        let points = series(50);
        let thinned = thin(&points, 50);
        assert!(
            thinned
                .iter()
                .zip(&points)
                .all(|(bucket, point)| (bucket.step(), bucket.mean) == (f64::from(point.0), point.1))
        );
        assert_eq!(thinned.len(), 50);
    }
}
