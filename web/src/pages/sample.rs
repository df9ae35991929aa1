//! `/experiments/{id}/trials/{trial}/samples/{sample}`: what the search kept of one crop, and what became of it.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Response};
use evaluator::report::curve_key;
use evaluator::store::{BlockRecord, ExperimentId, ExperimentRow, Reader, SampleId, SampleRow, TrialId, TrialReport};
use serde::Deserialize;

use super::{compute, render, trial_of, trial_title};
use crate::added::{self, Chosen, Step};
use crate::charts::Figure;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::format;
use crate::sample::{Sample, Search};
use crate::samples::{Arrangement, Measured, Metrics};
use crate::saved::FigureFile;
use crate::timeline::Timeline;

/// The figure's name in its address.
const FIGURE: &str = "distortion";

#[derive(Template)]
#[template(path = "sample.html")]
struct Page {
    experiment: ExperimentRow,
    trial: TrialReport,
    trial_title: String,
    sample: Measured,
    measurements: Vec<Measurement>,
    /// Its place in the order of the list, from 1.
    place: usize,
    count: usize,
    previous: Option<SampleId>,
    next: Option<SampleId>,
    /// What a link to the trial carries on, with its question mark.
    query: String,
    /// What a link to a neighbour carries on besides: the view.
    neighbour_query: String,
    view: View,
    /// Every view with the query that asks for it.
    views: Vec<(View, String)>,
    cut: SampleRow,
    steps: Vec<Step>,
    timeline: Option<Timeline>,
    blocks: Vec<BlockRecord>,
    max_tokens: u32,
    has_curve: bool,
    figure: Figure,
}

struct Measurement {
    name: String,
    value: String,
    unit: String,
    description: &'static str,
}

/// How the two pictures are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum View {
    /// One beside the other.
    #[default]
    Side,
    /// One over the other, cut by a slider.
    Slider,
    /// The original beside the absolute difference.
    Difference,
    /// The original beside the signed difference.
    Signed,
}

/// The view's part of the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Viewed {
    view: View,
}

impl View {
    const ALL: [Self; 4] = [Self::Side, Self::Slider, Self::Difference, Self::Signed];

    fn title(self) -> &'static str {
        match self {
            Self::Side => "side by side",
            Self::Slider => "slider",
            Self::Difference => "difference",
            Self::Signed => "signed difference",
        }
    }

    /// Its word in the address.
    fn key(self) -> &'static str {
        match self {
            Self::Side => "side",
            Self::Slider => "slider",
            Self::Difference => "difference",
            Self::Signed => "signed",
        }
    }

    /// The query that asks for it in this order of the samples, with its question mark; empty for what is usual.
    fn query(self, arrangement: &Arrangement) -> String {
        let view = if self == Self::default() { String::new() } else { format!("view={}", self.key()) };
        let parts: Vec<String> = [arrangement.query(), view].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

/// The sample.
pub async fn page(
    State(reader): State<Reader>,
    Path((experiment, trial, id)): Path<(ExperimentId, TrialId, SampleId)>,
    Query(arrangement): Query<Arrangement>,
    Query(Viewed { view }): Query<Viewed>,
) -> Result<Html<String>, Problem> {
    let experiment = reader.experiment(experiment).await?;
    let sample = Sample::load(&reader, (experiment.id, trial, id), &arrangement).await?;
    let Sample { trial, metrics, measured, place, count, previous, next, cut, search, added } = sample;
    let psnr = measured.values.get("psnr").copied();
    let chosen = measured.row.reconstruction.map(|picture| Chosen { picture, psnr });
    let steps = added::steps(&added, &search.blocks, chosen);
    let has_curve = search.blocks.iter().any(|(_, curve)| curve.is_some());
    let max_tokens = search.max_tokens;
    let records: Vec<BlockRecord> = search.blocks.iter().map(|(block, _)| block.record.clone()).collect();
    let base = format!("/experiments/{}/trials/{}/samples/{id}/{FIGURE}", experiment.id, trial.id);
    let page = Page {
        max_tokens,
        timeline: (records.len() > 1).then(|| Timeline::of(&records, max_tokens)),
        blocks: records,
        steps,
        cut,
        view,
        views: View::ALL.map(|view| (view, view.query(&arrangement))).into(),
        figure: compute(move || Figure::of(&search.chart()).with_files(&base, "")).await,
        has_curve,
        measurements: measurements(&measured, &metrics),
        trial_title: trial_title(&trial),
        place,
        count,
        previous,
        next,
        query: View::default().query(&arrangement),
        neighbour_query: view.query(&arrangement),
        experiment,
        trial,
        sample: measured,
    };
    render(&page)
}

/// The figure of the search as a file.
pub async fn figure(
    State(reader): State<Reader>,
    Path((experiment, trial, sample, file)): Path<(ExperimentId, TrialId, SampleId, FigureFile)>,
) -> Result<Response, Problem> {
    let (_, trial) = trial_of(&reader, experiment, trial).await?;
    let cut = reader.sample(sample).await?;
    let search = Search::read(&reader, &trial, &cut, curve_key(&reader, &trial).await?).await?;
    if search.blocks.is_empty() || file.name != FIGURE {
        let what = format_args!("figure {} of sample {sample} in trial {}", file.name, trial.id);
        return Err(Problem::not_found(what));
    }
    file.answer(&format!("trial-{}-sample-{sample}-{FIGURE}", trial.id), move || search.chart()).await
}

fn measurements(sample: &Measured, metrics: &Metrics) -> Vec<Measurement> {
    let measurement = |(name, value): (&String, &f64)| Measurement {
        name: format::metric(name),
        value: format::number(*value),
        unit: metrics.get(name).map(|metric| metric.unit.clone()).unwrap_or_default(),
        description: format::description(name),
    };
    let mut values: Vec<_> = sample.values.iter().collect();
    values.sort_by_key(|(name, _)| format::metric_order(name));
    values.into_iter().map(measurement).collect()
}
