//! `/api/experiments/{experiment}/training`: the curves of the page of training, or every point of them.

use std::num::NonZeroU32;

use evaluator::store::{ExperimentTrainingRow, Reader, TrainingRunId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::experiments::Named;
use crate::error::Problem;
use crate::thin::Bucket;
use crate::training_charts::{Curve, Quantity, steps_of_a_point};

/// Which runs, and how exactly.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Only this training run; without it, all of the experiment.
    #[param(value_type = Option<i64>, nullable = false, example = 1)]
    run: Option<TrainingRunId>,
    /// How many steps a point stands for; 1: every step that was reported. Without it, as many as the page of training
    /// has, which shows the longest run in about 240 points.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, example = 1)]
    steps_per_point: Option<NonZeroU32>,
}

/// Along the training runs of an experiment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Training {
    /// How many steps a point stands for.
    #[schema(example = 5)]
    steps_per_point: u32,
    /// Its training runs, in the order of the file.
    runs: Vec<Run>,
}

/// Along one training run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrainingCurves)]
pub struct Run {
    /// Its number.
    #[schema(example = 1)]
    id: i64,
    /// The variants that it belongs to.
    #[schema(example = json!(["elastic"]))]
    variants: Vec<String>,
    /// Seed of initialization and of the order of the data.
    #[schema(example = 0)]
    seed: i64,
    /// What was seen along it.
    series: Vec<Series>,
}

/// One quantity along the steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    /// Its name.
    #[schema(example = "loss")]
    quantity: &'static str,
    /// The unit of its values; empty for a pure number.
    #[schema(example = "")]
    unit: &'static str,
    /// What it is.
    #[schema(example = "Loss")]
    description: &'static str,
    /// Its points, rising in steps. No step is in two of them.
    points: Vec<Point>,
}

/// Neighbouring steps as one point.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrainingPoint)]
pub struct Point {
    /// Where it is drawn.
    #[schema(example = 3.0)]
    step: f64,
    /// The first step that it stands for, from 1.
    #[schema(example = 1)]
    first_step: u32,
    /// The last of them.
    #[schema(example = 5)]
    last_step: u32,
    /// The mean of their values.
    #[schema(example = 0.21)]
    mean: f64,
    /// The lowest value.
    #[schema(example = 0.18)]
    low: f64,
    /// The highest value.
    #[schema(example = 0.26)]
    high: f64,
}

/// Along the training runs.
pub async fn list(reader: Reader, Named { experiment }: Named, asked: Asked) -> Result<Training, Problem> {
    let id = reader.experiment(experiment).await?.id;
    let linked = reader.training_runs(id).await?;
    let longest = linked.iter().map(|linked| linked.run.step).max().unwrap_or_default();
    let steps_per_point = asked.steps_per_point.map_or_else(|| steps_of_a_point(longest), NonZeroU32::get);
    let mut runs: Vec<Run> = Vec::new();
    for ExperimentTrainingRow { variant, run, .. } in linked {
        if asked.run.is_some_and(|wanted| wanted != run.id) {
            continue;
        }
        match runs.iter_mut().find(|known| known.id == run.id.0) {
            Some(known) => known.variants.push(variant),
            None => {
                let points = reader.training_points(run.id, 0).await?;
                let curve = Curve::new(variant.clone(), 0, &points, steps_per_point);
                let series = curve.series().map(Series::from).collect();
                runs.push(Run { id: run.id.0, variants: vec![variant], seed: run.seed, series });
            }
        }
    }
    match asked.run {
        Some(unknown) if runs.is_empty() => {
            Err(Problem::not_found(format_args!("training run {unknown} in experiment {id}")))
        }
        _ => Ok(Training { steps_per_point, runs }),
    }
}

impl From<(&'static Quantity, &[Bucket])> for Series {
    fn from((quantity, buckets): (&'static Quantity, &[Bucket])) -> Self {
        let point = |bucket: &Bucket| Point {
            step: bucket.step,
            first_step: bucket.first,
            last_step: bucket.last,
            mean: bucket.mean,
            low: bucket.low,
            high: bucket.high,
        };
        let Quantity { name, unit, title, .. } = quantity;
        Self { quantity: name, unit, description: title, points: buckets.iter().map(point).collect() }
    }
}
