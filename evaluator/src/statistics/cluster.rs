//! Samples summed by their source: all that a mean clustered by source needs to know of them.
use std::collections::BTreeMap;

/// The samples of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cluster {
    pub(super) sum: f64,
    pub(super) samples: usize,
}

/// The clusters of observations `(source, value)`, in the order of their sources.
///
/// # Panics
/// If a value is not finite.
pub(super) fn clusters<S: Ord>(observations: impl IntoIterator<Item = (S, f64)>) -> Vec<Cluster> {
    let mut clusters: BTreeMap<S, Cluster> = BTreeMap::new();
    for (source, value) in observations {
        assert!(value.is_finite(), "a statistic of values that hold {value} is undefined");
        let cluster = clusters.entry(source).or_default();
        cluster.sum += value;
        cluster.samples += 1;
    }
    clusters.into_values().collect()
}

/// Mean of all samples; a source weighs as many as it has.
pub(super) fn mean_of<'a>(clusters: impl IntoIterator<Item = &'a Cluster>) -> f64 {
    let (sum, samples) =
        clusters.into_iter().fold((0.0, 0), |(sum, samples), cluster| (sum + cluster.sum, samples + cluster.samples));
    sum / samples as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_weigh_as_their_samples() {
        let clusters = clusters([("b", 3.0), ("a", 1.0), ("b", 5.0)]);
        assert_eq!(clusters, [Cluster { sum: 1.0, samples: 1 }, Cluster { sum: 8.0, samples: 2 }]);
        assert_eq!(mean_of(&clusters), 3.0);
    }

    #[test]
    #[should_panic(expected = "values that hold NaN")]
    fn a_value_that_is_not_a_number_is_a_broken_measurement() {
        clusters([("a", 1.0), ("b", f64::NAN)]);
    }
}
