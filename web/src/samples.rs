//! A trial's samples with their measurements, in the order that the reader asked for.
//!
//! The list of a trial and the neighbours of a sample come from here, so that «next» means the same on both pages.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use evaluator::metric::Direction;
use evaluator::store::{MetricRow, Reader, SampleId, StoreError, TrialId, TrialSampleRow};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::Problem;
use crate::format;

/// What samples are sorted by: the name of a metric, or «name» for the source's name and then the crop's number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Sort(String);

/// Not a metric.
const NAME: &str = "name";

impl Default for Sort {
    fn default() -> Self {
        Self("psnr".to_owned())
    }
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The samples that went worst.
    #[default]
    Worst,
    /// The samples that went best.
    Best,
}

/// The query of a list of samples.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Arrangement {
    /// What they are sorted by.
    pub sort: Sort,
    /// Which end comes first.
    pub order: Order,
    /// Which page of the list.
    pub page: usize,
}

/// One sample of a trial with everything measured of it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The sample.
    pub row: TrialSampleRow,
    /// Its values by the metrics' names.
    pub values: BTreeMap<String, f64>,
}

impl Measured {
    /// What a list in this order says of it: names as people read them, with values.
    pub fn shown(&self, sort: &Sort) -> Vec<(String, String)> {
        let value = |name| Some((format::metric(name), format::number(*self.values.get(name)?)));
        let usual = ["psnr", "ssim", "kept_tokens"];
        let sorted_by = sort.metric().filter(|name| !usual.contains(name));
        usual.into_iter().chain(sorted_by).filter_map(value).collect()
    }
}

/// The metrics by name; of a name's versions, the newest.
pub type Metrics = BTreeMap<String, MetricRow>;

/// All metrics of the store.
pub async fn metrics(reader: &Reader) -> Result<Metrics, StoreError> {
    let mut metrics = Metrics::new();
    for row in reader.metrics().await? {
        match metrics.get(&row.name) {
            Some(known) if known.version > row.version => {}
            _ => {
                metrics.insert(row.name.clone(), row);
            }
        }
    }
    Ok(metrics)
}

/// The trial's samples in this order; those that lack the value come last.
///
/// # Errors
/// The order is by a metric that nobody measured.
pub async fn load(
    reader: &Reader,
    trial: TrialId,
    arrangement: &Arrangement,
    metrics: &Metrics,
) -> Result<Vec<Measured>, Problem> {
    arrangement.sort.check(metrics)?;
    let mut values: HashMap<SampleId, BTreeMap<String, f64>> = HashMap::new();
    for row in reader.measurements(trial).await? {
        // A metric's versions come rising: the newest stays.
        values.entry(row.sample_id).or_default().insert(row.metric, row.value);
    }
    let rows = reader.trial_samples(trial).await?;
    let measured =
        rows.into_iter().map(|row| Measured { values: values.remove(&row.sample_id).unwrap_or_default(), row });
    let mut samples: Vec<Measured> = measured.collect();
    arrangement.arrange(&mut samples, metrics);
    Ok(samples)
}

impl Arrangement {
    /// Sorts samples that come by name; equal ones stay in that order.
    fn arrange(&self, samples: &mut [Measured], metrics: &Metrics) {
        let Some(name) = self.sort.metric() else {
            if self.order == Order::Best {
                samples.reverse();
            }
            return;
        };
        let direction = metrics.get(name).map_or(Direction::Neither, |metric| metric.direction);
        let smallest_first = (direction == Direction::Higher) == (self.order == Order::Worst);
        samples.sort_by(|a, b| match (a.values.get(name), b.values.get(name)) {
            (Some(a), Some(b)) if smallest_first => a.total_cmp(b),
            (Some(a), Some(b)) => b.total_cmp(a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
    }

    /// The query that asks for this order, without the page; empty for the usual one.
    pub fn query(&self) -> String {
        let mut parts = Vec::new();
        if self.sort != Sort::default() {
            parts.push(form_urlencoded::Serializer::new(String::new()).append_pair("sort", &self.sort.0).finish());
        }
        if self.order != Order::default() {
            parts.push(format!("order={}", self.order.key()));
        }
        parts.join("&")
    }
}

impl Sort {
    /// What samples can be sorted by, in the order of the form: every metric that one of them has, and the name.
    pub fn all(samples: &[Measured]) -> Vec<Self> {
        let measured: BTreeSet<&String> = samples.iter().flat_map(|sample| sample.values.keys()).collect();
        let mut measured: Vec<&String> = measured.into_iter().collect();
        measured.sort_by_key(|name| format::metric_order(name));
        measured.into_iter().cloned().chain([NAME.to_owned()]).map(Self).collect()
    }

    /// Its word in the address.
    pub fn key(&self) -> &str {
        &self.0
    }

    /// The metric's name in the store, if it is a metric.
    fn metric(&self) -> Option<&str> {
        Some(self.key()).filter(|key| *key != NAME)
    }

    fn check(&self, metrics: &Metrics) -> Result<(), Problem> {
        match self.metric() {
            // The usual one may be missing: then samples come by name.
            Some(name) if *self != Self::default() && !metrics.contains_key(name) => {
                let measured: Vec<&str> = metrics.keys().map(String::as_str).chain([NAME]).collect();
                let advice = format!("sort={name}: samples are sorted by one of {}", measured.join(", "));
                Err(Problem::bad_request(advice))
            }
            _ => Ok(()),
        }
    }
}

impl Order {
    /// Its word in the address.
    pub fn key(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Best => "best",
        }
    }
}

#[cfg(test)]
mod tests {
    use evaluator::store::{MetricId, SourceId};

    use super::*;

    fn sample(id: i64, values: &[(&str, f64)]) -> Measured {
        Measured {
            row: TrialSampleRow {
                sample_id: SampleId(id),
                source_id: SourceId(1),
                source_name: "a.png".into(),
                ordinal: id as u32,
                original: None,
                reconstruction: None,
            },
            values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        }
    }

    fn order(sort: &str, order: Order) -> Vec<i64> {
        let metric = |name: &str, direction| {
            let row = MetricRow {
                id: MetricId(1),
                name: name.into(),
                version: 1,
                unit: String::new(),
                direction,
                noisy: false,
            };
            (name.to_owned(), row)
        };
        let metrics = Metrics::from([metric("psnr", Direction::Higher), metric("mse", Direction::Lower)]);
        let mut samples = vec![
            sample(1, &[("psnr", 30.0), ("mse", 0.1)]),
            sample(2, &[]),
            sample(3, &[("psnr", 20.0), ("mse", 0.9)]),
            sample(4, &[("psnr", 25.0), ("mse", 0.5)]),
        ];
        Arrangement { sort: Sort(sort.to_owned()), order, page: 1 }.arrange(&mut samples, &metrics);
        samples.iter().map(|sample| sample.row.sample_id.0).collect()
    }

    #[test]
    fn worst_first_follows_the_metric_and_missing_values_come_last() {
        assert_eq!(order("psnr", Order::Worst), [3, 4, 1, 2]);
        assert_eq!(order("mse", Order::Worst), [3, 4, 1, 2]);
        assert_eq!(order("psnr", Order::Best), [1, 4, 3, 2]);
        assert_eq!(order("name", Order::Worst), [1, 2, 3, 4]);
        assert_eq!(order("name", Order::Best), [4, 3, 2, 1]);
        assert_eq!(order("ssim", Order::Worst), [1, 2, 3, 4], "nobody has it: by name");
    }

    #[test]
    fn the_usual_order_needs_no_query() {
        assert_eq!(Arrangement::default().query(), "");
        let other = Arrangement { sort: Sort("kept_tokens".to_owned()), order: Order::Best, page: 7 };
        assert_eq!(other.query(), "sort=kept_tokens&order=best");
    }
}
