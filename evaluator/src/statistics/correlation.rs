//! Do two quantities rise together?
//!
//! Pearson's coefficient asks whether they lie on a line, Spearman's whether they have the same order: it is Pearson's
//! of the ranks. Crops of one photograph repeat each other's evidence, so the interval resamples photographs.
use std::collections::BTreeMap;

use super::{Interval, resampled_interval};

/// Fewer pairs have no coefficient: two always lie on a line.
const FEWEST_PAIRS: usize = 3;

/// A correlation and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// The coefficient, −1 to 1.
    pub coefficient: f64,
    /// Its 95 % bootstrap interval, clustered by source; `None` with fewer than two sources, or where more than 5 % of
    /// resamples have no coefficient.
    pub interval: Option<Interval>,
    /// Sources: photographs, videos.
    pub sources: usize,
    /// Samples: crops, blocks.
    pub samples: usize,
}

/// The correlation of observations `(source, x, y)` by a coefficient, [`pearson`] or [`spearman`].
///
/// The same observations in the same order with the same seed give the same interval. `None` where the coefficient is
/// undefined.
///
/// # Panics
/// If a value is not finite.
pub fn clustered_correlation<S: Ord>(
    observations: impl IntoIterator<Item = (S, f64, f64)>,
    coefficient: fn(&[(f64, f64)]) -> Option<f64>,
    seed: u64,
) -> Option<Correlation> {
    let mut sources: BTreeMap<S, Vec<(f64, f64)>> = BTreeMap::new();
    for (source, x, y) in observations {
        sources.entry(source).or_default().push((x, y));
    }
    let sources: Vec<Vec<(f64, f64)>> = sources.into_values().collect();
    let of_sources = |drawn: &[&Vec<(f64, f64)>]| {
        let pairs: Vec<(f64, f64)> = drawn.iter().copied().flatten().copied().collect();
        coefficient(&pairs)
    };
    Some(Correlation {
        coefficient: of_sources(&sources.iter().collect::<Vec<_>>())?,
        interval: resampled_interval(&sources, of_sources, seed),
        sources: sources.len(),
        samples: sources.iter().map(Vec::len).sum(),
    })
}

/// Pearson's coefficient of pairs `(x, y)`; `None` with fewer than three, or where x or y is constant.
///
/// # Panics
/// If a value is not finite.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < FEWEST_PAIRS {
        return None;
    }
    let x = deviations(pairs.iter().map(|pair| pair.0).collect())?;
    let y = deviations(pairs.iter().map(|pair| pair.1).collect())?;
    let sum_of_products = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f64>();
    let coefficient = sum_of_products(&x, &y) / (sum_of_products(&x, &x) * sum_of_products(&y, &y)).sqrt();
    // Rounding may lead past a perfect correlation.
    Some(coefficient.clamp(-1.0, 1.0))
}

/// Spearman's rank coefficient of pairs `(x, y)`; `None` with fewer than three, or where x or y is constant.
///
/// Equal values share the mean of their ranks.
///
/// # Panics
/// If a value is not finite.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let x = ranks(pairs.iter().map(|pair| pair.0).collect());
    let y = ranks(pairs.iter().map(|pair| pair.1).collect());
    pearson(&x.into_iter().zip(y).collect::<Vec<_>>())
}

/// Deviations from the mean, in units of the largest so that their squares neither overflow nor vanish; `None` if all
/// values are equal.
fn deviations(values: Vec<f64>) -> Option<Vec<f64>> {
    assert_finite(&values);
    // Asked of the values themselves: the mean of equal values may differ from them by rounding.
    if values.iter().all(|value| *value == values[0]) {
        return None;
    }
    let mean = super::mean(&values);
    let largest = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    Some(values.into_iter().map(|value| (value - mean) / largest).collect())
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    assert_finite(&values);
    let mut rising: Vec<usize> = (0..values.len()).collect();
    rising.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0.0; values.len()];
    let mut smaller = 0;
    for equal in rising.chunk_by(|&left, &right| values[left] == values[right]) {
        // Of the ranks smaller + 1 to smaller + equal.
        let shared = smaller as f64 + (equal.len() + 1) as f64 / 2.0;
        for &index in equal {
            ranks[index] = shared;
        }
        smaller += equal.len();
    }
    ranks
}

fn assert_finite(values: &[f64]) {
    for value in values {
        assert!(value.is_finite(), "a correlation of values that hold {value} is undefined");
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::{SplitMix64, normal};
    use super::*;
    use proptest::prelude::*;

    type Coefficient = fn(&[(f64, f64)]) -> Option<f64>;
    const COEFFICIENTS: [Coefficient; 2] = [pearson, spearman];

    fn close(left: Option<f64>, right: Option<f64>) -> bool {
        left.is_some() == right.is_some() && left.zip(right).is_none_or(|(left, right)| (left - right).abs() < 1e-12)
    }

    #[test]
    fn pearson_by_hand() {
        // Deviations −1 0 1 and −1 1 0: products sum to 1, squares to 2 and 2; 1 / √4.
        assert!(close(pearson(&[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0)]), Some(0.5)));
    }

    #[test]
    fn spearman_with_ties_by_hand() {
        // Ranks 1 2.5 2.5 4 against 1 2 3 4: products sum to 4.5, squares to 4.5 and 5; 4.5 / √22.5.
        assert_eq!(ranks(vec![10.0, 20.0, 20.0, 30.0]), [1.0, 2.5, 2.5, 4.0]);
        let coefficient = spearman(&[(10.0, 5.0), (20.0, 6.0), (20.0, 7.0), (30.0, 8.0)]);
        assert!(close(coefficient, Some(4.5 / 22.5_f64.sqrt())), "{coefficient:?}");
    }

    #[test]
    fn a_curve_that_rises_is_a_perfect_order_but_no_perfect_line() {
        let pairs: Vec<(f64, f64)> = (1..10).map(|x| (f64::from(x), f64::from(x).exp())).collect();
        assert!(close(spearman(&pairs), Some(1.0)) && pearson(&pairs).unwrap() < 0.9);
    }

    #[test]
    fn two_pairs_or_a_constant_have_no_coefficient() {
        for coefficient in COEFFICIENTS {
            assert_eq!(coefficient(&[(1.0, 2.0), (3.0, 4.0)]), None);
            // The mean of three times 0.1 is not 0.1.
            assert_eq!(coefficient(&[(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)]), None);
            assert_eq!(coefficient(&[(1.0, 0.1), (2.0, 0.1), (3.0, 0.1)]), None);
        }
    }

    #[test]
    #[should_panic(expected = "values that hold inf")]
    fn an_infinite_value_is_a_broken_measurement() {
        spearman(&[(1.0, 2.0), (f64::INFINITY, 3.0), (2.0, 5.0)]);
    }

    #[test]
    fn an_interval_needs_two_sources_and_a_coefficient_in_most_resamples() {
        let line = [("a", 1.0, 1.0), ("a", 2.0, 2.0), ("a", 3.0, 3.0)];
        let of_one = clustered_correlation(line, pearson, 1).unwrap();
        assert_eq!((of_one.interval, of_one.sources, of_one.samples), (None, 1, 3));
        // Drawing a or c or b alone, 3 of 27 resamples, is constant.
        let of_three = clustered_correlation([("a", 1.0, 1.0), ("b", 2.0, 2.0), ("c", 3.0, 3.0)], pearson, 1).unwrap();
        assert!(close(Some(of_three.coefficient), Some(1.0)) && of_three.interval.is_none());
        let of_two = clustered_correlation(line.into_iter().chain(line.map(|(_, x, y)| ("b", x, y))), pearson, 1);
        assert!((of_two.unwrap().interval.unwrap().low - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_interval_covers_the_true_correlation_where_one_that_ignores_sources_does_not() {
        // 40 photographs; x and y share half of their variance, mostly between photographs: the true coefficient is ½.
        const EXPERIMENTS: u64 = 200;
        let (mut by_source, mut by_sample) = (0, 0);
        for seed in 0..EXPERIMENTS {
            let mut random = SplitMix64(seed);
            let mut observations = Vec::new();
            for source in 0..40 {
                let of_source = [(); 3].map(|()| normal(&mut random));
                for _ in 0..5 {
                    let [shared, x, y] = of_source.map(|value| value + 0.3 * normal(&mut random));
                    observations.push((source, shared + x, shared + y));
                }
            }
            let covers = |correlation: Option<Correlation>| {
                correlation.unwrap().interval.is_some_and(|it| it.low <= 0.5 && 0.5 <= it.high)
            };
            by_source += u64::from(covers(clustered_correlation(observations.iter().copied(), pearson, seed)));
            let samples = observations.iter().enumerate().map(|(sample, &(_, x, y))| (sample, x, y));
            by_sample += u64::from(covers(clustered_correlation(samples, pearson, seed)));
        }
        println!("covered: {by_source} by source, {by_sample} by sample, of {EXPERIMENTS}");
        assert!((EXPERIMENTS * 88 / 100..=EXPERIMENTS * 98 / 100).contains(&by_source), "{by_source}");
        assert!(by_sample < EXPERIMENTS * 75 / 100, "{by_sample}");
    }

    proptest! {
        #[test]
        fn neither_units_nor_the_order_of_the_quantities_matter_and_a_sign_turns_it(
            pairs in prop::collection::vec((-20_i8..20, -20_i8..20), 0..30),
        ) {
            let pairs: Vec<(f64, f64)> = pairs.into_iter().map(|(x, y)| (f64::from(x), f64::from(y))).collect();
            let mapped = |map: fn((f64, f64)) -> (f64, f64)| pairs.iter().copied().map(map).collect::<Vec<_>>();
            for coefficient in COEFFICIENTS {
                let plain = coefficient(&pairs);
                prop_assert!(plain.is_none_or(|plain| plain.abs() <= 1.0));
                prop_assert!(close(coefficient(&mapped(|(x, y)| (y, x))), plain));
                prop_assert!(close(coefficient(&mapped(|(x, y)| (1e-200 * x, 3.0 * y + 7.0))), plain));
                prop_assert!(close(coefficient(&mapped(|(x, y)| (x, -y))), plain.map(|plain| -plain)));
            }
            prop_assert_eq!(spearman(&mapped(|(x, y)| (x.powi(3), y.exp()))), spearman(&pairs));
        }
    }
}
