//! `/compare?t=…`: trials side by side, with what differs in their settings and, paired by sample, in their results.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Response};
use evaluator::metric::Direction;
use evaluator::report::{Cell, Column, Table};
use evaluator::statistics::{BOOTSTRAP_SEED, Comparison, holm, mean, paired};
use evaluator::store::{Reader, SampleId, SourceId, TrialId};

use super::{compute, render, trade_offs::Sources};
use crate::download::File;
use crate::error::Problem;
use crate::explore::{Catalogue, Entry, Pooled, Quantity, STRATEGY, VARIANT, differing};
use crate::extract::{Path, Query};
use crate::format;

/// More columns than this nobody reads side by side.
const MOST_TRIALS: usize = 12;

#[derive(Template)]
#[template(path = "compare.html")]
struct Page {
    trials: Vec<Heading>,
    settings: Vec<(String, Vec<String>)>,
    rows: Vec<Row>,
    query: String,
}

/// One of the compared: all seeds of a variant × strategy × threshold.
struct Heading {
    experiment: i64,
    trial: i64,
    name: String,
    seeds: usize,
}

/// A metric of all of them.
struct Row {
    label: String,
    cells: Vec<Shown>,
}

struct Shown {
    value: String,
    /// The paired difference from the first, if there is one.
    difference: Option<Difference>,
}

struct Difference {
    text: String,
    p_value: String,
    verdict: &'static str,
}

/// The one table made of the comparison.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tabled {
    Comparison,
}

/// What was measured of one of the compared: by metric and sample, the mean over its seeds.
type Values = BTreeMap<String, BTreeMap<SampleId, (SourceId, f64)>>;

/// One metric of one of the compared.
struct Outcome {
    metric: String,
    column: usize,
    value: Option<f64>,
    comparison: Option<Comparison>,
}

/// The comparison.
pub async fn page(
    State(sources): State<Sources>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Html<String>, Problem> {
    let wanted = wanted(&asked)?;
    let catalogue = sources.keeper.catalogue().await?;
    let pools = pools(&catalogue, &wanted)?;
    let results = results(&sources.reader, &pools).await?;
    render(&Page::new(&catalogue, &pools, &results))
}

/// The comparison as a file.
pub async fn file(
    State(sources): State<Sources>,
    Path(file): Path<File<Tabled>>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let wanted = wanted(&asked)?;
    let catalogue = sources.keeper.catalogue().await?;
    let pools = pools(&catalogue, &wanted)?;
    let table = table(&catalogue, &pools, &results(&sources.reader, &pools).await?);
    Ok(file.format.answer(&table, "comparison"))
}

fn wanted(asked: &[(String, String)]) -> Result<Vec<TrialId>, Problem> {
    let mut wanted = Vec::new();
    for (name, value) in asked {
        if name != "t" {
            return Err(Problem::bad_request(format!("{name}: this page knows t=NUMBER,NUMBER")));
        }
        for id in value.split(',') {
            let id = id.parse().map_err(|_| Problem::bad_request(format!("t={value}: trials have numbers")))?;
            if !wanted.contains(&id) {
                wanted.push(id);
            }
        }
    }
    match wanted.len() {
        0 | 1 => Err(Problem::bad_request("A comparison needs two trials: tick two rows of a table of trade-offs.")),
        2..=MOST_TRIALS => Ok(wanted),
        many => {
            Err(Problem::bad_request(format!("{many} trials side by side are more than the {MOST_TRIALS} that fit.")))
        }
    }
}

/// Each trial with its other seeds.
fn pools<'a>(catalogue: &'a Catalogue, wanted: &[TrialId]) -> Result<Vec<Pooled<'a>>, Problem> {
    let entries = || catalogue.experiments.iter().flat_map(|shelf| &shelf.entries);
    let pool = |id: &TrialId| {
        let first = entries().find(|entry| entry.trial == *id);
        let first = first.ok_or_else(|| Problem::not_found(format_args!("finished trial {id}")))?;
        // The experiment is a setting too: seeds of one are never pooled with those of another.
        Ok(Pooled { trials: entries().filter(|entry| entry.pool == first.pool).collect() })
    };
    wanted.iter().map(pool).collect()
}

async fn values(reader: &Reader, pool: &Pooled<'_>) -> Result<Values, Problem> {
    let mut all: BTreeMap<String, BTreeMap<SampleId, (SourceId, Vec<f64>)>> = BTreeMap::new();
    for entry in &pool.trials {
        for row in reader.measurements(entry.trial).await? {
            let of_metric = all.entry(row.metric).or_default();
            of_metric.entry(row.sample_id).or_insert_with(|| (row.source_id, Vec::new())).1.push(row.value);
        }
    }
    let over_seeds = |samples: BTreeMap<SampleId, (SourceId, Vec<f64>)>| {
        samples.into_iter().map(|(sample, (source, values))| (sample, (source, mean(&values)))).collect()
    };
    Ok(all.into_iter().map(|(metric, samples)| (metric, over_seeds(samples))).collect())
}

/// Every metric of every trial, those after the first compared with it on the samples that both have.
async fn results(reader: &Reader, pools: &[Pooled<'_>]) -> Result<Vec<Outcome>, Problem> {
    let mut measured = Vec::new();
    for pool in pools {
        measured.push(values(reader, pool).await?);
    }
    Ok(compute(move || compared(&measured)).await)
}

fn compared(measured: &[Values]) -> Vec<Outcome> {
    let mut metrics: Vec<&String> = measured.iter().flat_map(Values::keys).collect();
    metrics.sort_by_key(|name| (format::metric_order(name), (*name).clone()));
    metrics.dedup();
    let result = |metric: &String, column: usize| {
        let own = measured[column].get(metric);
        let value = own.map(|samples| mean(&samples.values().map(|(_, value)| *value).collect::<Vec<_>>()));
        let pairs = own.zip(measured[0].get(metric)).map(|(own, first)| {
            let pair = |(sample, (source, a)): (&SampleId, &(SourceId, f64))| Some((*source, *a, own.get(sample)?.1));
            first.iter().filter_map(pair).collect::<Vec<_>>()
        });
        let comparison = pairs.filter(|_| column > 0).and_then(|pairs| paired(pairs, BOOTSTRAP_SEED));
        Outcome { metric: metric.clone(), column, value, comparison }
    };
    metrics.into_iter().flat_map(|metric| (0..measured.len()).map(move |column| result(metric, column))).collect()
}

/// The p-values of all comparisons, adjusted for their number.
fn adjusted(results: &[Outcome]) -> Vec<Option<f64>> {
    let p_values: Vec<f64> = results.iter().filter_map(|result| Some(result.comparison?.p_value)).collect();
    let mut adjusted = holm(&p_values).into_iter();
    results.iter().map(|result| result.comparison.and_then(|_| adjusted.next())).collect()
}

impl Page {
    fn new(catalogue: &Catalogue, pools: &[Pooled], results: &[Outcome]) -> Self {
        let firsts: Vec<_> = pools.iter().map(|pool| pool.trials[0]).collect();
        let text = |entry: &Entry, key| entry.setting(key).map_or("–", |value| catalogue.texts.text(value));
        let settings = differing(catalogue, &firsts).into_iter().map(|key| {
            let values = firsts.iter().map(|entry| text(entry, key).to_owned()).collect();
            (catalogue.texts.text(key).to_owned(), values)
        });
        let p_values = adjusted(results);
        let mut rows: Vec<Row> = Vec::new();
        for (result, p_value) in results.iter().zip(p_values) {
            let Some(quantity) = Quantity::find(catalogue, &result.metric) else { continue };
            if result.column == 0 {
                rows.push(Row { label: quantity.label(), cells: Vec::new() });
            }
            let Some(row) = rows.last_mut() else { continue };
            row.cells.push(Shown {
                value: result.value.map_or("–".to_owned(), |value| quantity.text(value)),
                difference: result.comparison.zip(p_value).map(|(comparison, p)| difference(&quantity, &comparison, p)),
            });
        }
        let heading = |pool: &Pooled| {
            let entry = pool.trials[0];
            Heading {
                experiment: entry.experiment.0,
                trial: entry.trial.0,
                name: name(catalogue, entry),
                seeds: pool.trials.len(),
            }
        };
        let ids: Vec<String> = firsts.iter().map(|entry| entry.trial.to_string()).collect();
        Self {
            trials: pools.iter().map(heading).collect(),
            settings: settings.collect(),
            rows,
            query: format!("t={}", ids.join(",")),
        }
    }
}

fn name(catalogue: &Catalogue, entry: &Entry) -> String {
    let of =
        |key| catalogue.texts.find(key).and_then(|key| entry.setting(key)).map(|value| catalogue.texts.text(value));
    let threshold = entry.threshold.map(|threshold| format!("τ = {threshold}"));
    let parts = [of(VARIANT).map(str::to_owned), of(STRATEGY).map(str::to_owned), threshold];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn difference(quantity: &Quantity, comparison: &Comparison, p_value: f64) -> Difference {
    let (mean, low, high) = (comparison.difference, comparison.interval.low, comparison.interval.high);
    let sign = if mean > 0.0 { "+" } else { "" };
    let text = |value| quantity.text(value);
    let is_better = match quantity.direction() {
        Direction::Higher => Some(mean > 0.0),
        Direction::Lower => Some(mean < 0.0),
        Direction::Neither => None,
    };
    Difference {
        text: format!("{sign}{} [{}, {}]", text(mean), text(low), text(high)),
        p_value: if p_value < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p_value:.3}") },
        verdict: match is_better {
            _ if p_value >= 0.05 => "",
            Some(true) => "better",
            Some(false) => "worse",
            None => "different",
        },
    }
}

/// The comparison as a table, exact.
fn table(catalogue: &Catalogue, pools: &[Pooled], results: &[Outcome]) -> Table {
    let row = |(result, p_value): (&Outcome, Option<f64>)| {
        let scale = Quantity::find(catalogue, &result.metric).map_or(1.0, |quantity| quantity.scale());
        let number = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
        let difference =
            |c: Comparison| Cell::Estimate(scale * c.difference, scale * c.interval.low, scale * c.interval.high);
        vec![
            Cell::Text(result.metric.clone()),
            Cell::Number(pools[result.column].trials[0].trial.0 as f64),
            Cell::Text(name(catalogue, pools[result.column].trials[0])),
            number(result.value.map(|value| scale * value)),
            result.comparison.map_or(Cell::Missing, difference),
            number(p_value),
            number(result.comparison.map(|comparison| comparison.samples as f64)),
            number(result.comparison.map(|comparison| comparison.sources as f64)),
        ]
    };
    Table {
        caption: "Differences from the first trial, paired by sample; 95 % bootstrap intervals clustered by source, \
                  p-values of sign flips, adjusted after Holm"
            .to_owned(),
        columns: vec![
            Column::new("metric", "metric", 0),
            Column::new("trial", "trial", 0),
            Column::new("what", "what", 0),
            Column::new("mean", "mean", 4),
            Column::new("difference", "difference", 4),
            Column::new("p", "p_adjusted", 4),
            Column::new("samples", "samples", 0),
            Column::new("sources", "sources", 0),
        ],
        rows: results.iter().zip(adjusted(results)).map(row).collect(),
        trials: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[f64]) -> Values {
        let samples = values.iter().enumerate();
        let samples = samples.map(|(index, value)| (SampleId(index as i64), (SourceId(index as i64 / 2), *value)));
        Values::from([("psnr".to_owned(), samples.collect())])
    }

    #[test]
    fn trials_are_compared_with_the_first_sample_by_sample() {
        let results = compared(&[values(&[20.0, 30.0, 25.0, 10.0]), values(&[21.0, 32.0, 25.5]), Values::new()]);
        let [first, second, third] = &results[..] else { panic!("one a trial") };
        assert_eq!((first.value, first.comparison), (Some(21.25), None));
        let comparison = second.comparison.unwrap();
        // Three samples in both: +1, +2 and +0.5, of two sources.
        assert!((comparison.difference - 3.5 / 3.0).abs() < 1e-12);
        assert_eq!((comparison.samples, comparison.sources), (3, 2));
        assert_eq!((third.value, third.comparison), (None, None));
        assert_eq!(adjusted(&results)[1], Some(comparison.p_value), "one comparison needs no adjustment");
    }

    #[test]
    fn a_comparison_needs_two_trials_and_only_numbers() {
        let asked = |value: &str| wanted(&[("t".to_owned(), value.to_owned())]);
        assert_eq!(asked("4,2,4").unwrap(), [TrialId(4), TrialId(2)]);
        for wrong in ["", "1", "1,1", "1,<b>", "1,2,3,4,5,6,7,8,9,10,11,12,13"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
