//! Long series drawn with few points, in which no spike is lost.

/// Neighbouring points as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The step where it is drawn.
    pub step: f64,
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
    fn of(points: &[(u32, f64)]) -> Self {
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        let values = || points.iter().map(|point| point.1);
        let (low, high) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let mean = values().sum::<f64>() / points.len() as f64;
        // A sum may be rounded past its terms.
        Self { step: f64::midpoint(first.into(), last.into()), first, last, mean: mean.clamp(low, high), low, high }
    }
}

/// The points, which rise in steps and are finite, one bucket for every `width` steps: of series that are compared, all
/// lines are then as smooth as each other. The first point stays alone, for a fall begins there, and the last bucket is
/// drawn at the last step, to which the series has come.
pub fn thin(points: &[(u32, f64)], width: u32) -> Vec<Bucket> {
    let Some((first, rest)) = points.split_first() else { return Vec::new() };
    let place = |point: &(u32, f64)| point.0 / width.max(1);
    let mut groups: Vec<&[(u32, f64)]> = rest.chunk_by(|a, b| place(a) == place(b)).collect();
    if let [.., before, last] = groups[..]
        && 2 * last.len() < before.len()
    {
        // The mean of a few would look like a jump at the end.
        groups.truncate(groups.len() - 2);
        groups.push(&rest[rest.len() - before.len() - last.len()..]);
    }
    let mut buckets: Vec<Bucket> = std::iter::once(&[*first][..]).chain(groups).map(Bucket::of).collect();
    if let Some(bucket) = buckets.last_mut() {
        bucket.step = bucket.last.into();
    }
    buckets
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
            for width in [0, 1, 2, 7, 100, u32::MAX] {
                let thinned = thin(&points, width);
                let most = (3 * length).div_ceil(width.max(1)) + 3;
                assert!(thinned.len() <= most as usize, "{} buckets of {length} points", thinned.len());
                let ends = (thinned.first().map(|bucket| bucket.step), thinned.last().map(|bucket| bucket.step));
                let steps = |point: Option<&(u32, f64)>| point.map(|point| f64::from(point.0));
                assert_eq!(ends, (steps(points.first()), steps(points.last())));
                assert_eq!(thinned.first().map(|bucket| bucket.mean), points.first().map(|point| point.1));
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
        for length in 1..300 {
            let points = series(length);
            let mut open = points.as_slice();
            for bucket in thin(&points, 37) {
                let held = open.iter().take_while(|point| point.0 <= bucket.last).count();
                let (inside, rest) = open.split_at(held);
                assert_eq!(bucket, Bucket { step: bucket.step, ..Bucket::of(inside) });
                assert!((bucket.low..=bucket.high).contains(&bucket.mean));
                assert!((f64::from(bucket.first)..=f64::from(bucket.last)).contains(&bucket.step));
                open = rest;
            }
            assert_eq!(open, []);
        }
    }

    #[test]
    fn the_last_bucket_is_never_of_a_few_steps() {
        for length in 20..200 {
            let points: Vec<_> = (1..=length).map(|step| (step, 1.0)).collect();
            let spans: Vec<_> = thin(&points, 10).iter().map(|bucket| bucket.last - bucket.first + 1).collect();
            assert!(spans[1..].iter().all(|span| (5..15).contains(span)), "{length}: {spans:?}");
        }
    }

    #[test]
    fn buckets_of_one_step_are_the_points() {
        let points = series(50);
        let thinned = thin(&points, 1);
        assert!(thinned.iter().zip(&points).all(|(b, p)| (b.step, b.mean) == (f64::from(p.0), p.1)));
        assert_eq!(thinned.len(), 50);
    }
}
