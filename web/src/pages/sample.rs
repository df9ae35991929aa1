//! `/experiments/{id}/trials/{trial}/samples/{sample}`: what the search kept of one crop, and what became of it.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use evaluator::report::curve_key;
use evaluator::store::{
    BlockRecord, BlockRow, CurveFilter, CurveRow, ExperimentId, ExperimentRow, Reader, SampleId, TrialId, TrialReport,
};

use super::{compute, render, trial_of, trial_title};
use crate::charts::{self, Figure};
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::format;
use crate::samples::{self, Arrangement, Measured, Metrics};

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
    query: String,
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

/// The sample.
pub async fn page(
    State(reader): State<Reader>,
    Path((experiment, trial, id)): Path<(ExperimentId, TrialId, SampleId)>,
    Query(arrangement): Query<Arrangement>,
) -> Result<Html<String>, Problem> {
    let (experiment, trial) = trial_of(&reader, experiment, trial).await?;
    let metrics = samples::metrics(&reader).await?;
    let samples = samples::load(&reader, trial.id, arrangement, &metrics).await?;
    let Some(index) = samples.iter().position(|sample| sample.row.sample_id == id) else {
        return Err(Problem::not_found(format_args!("sample {id} in trial {}", trial.id)));
    };
    let neighbour = |index: Option<usize>| Some(samples.get(index?)?.row.sample_id);
    let sample = samples[index].clone();
    let blocks = blocks(&reader, &trial, id).await?;
    let has_curve = blocks.iter().any(|(_, curve)| curve.is_some());
    let (criterion, threshold) = (evaluator::report::criterion(&trial), trial.threshold);
    let max_tokens = max_tokens(&trial, &blocks);
    let query = arrangement.query();
    let page = Page {
        max_tokens,
        blocks: blocks.iter().map(|(block, _)| block.record.clone()).collect(),
        figure: compute(move || Figure::of(&charts::distortion(&blocks, criterion, threshold, max_tokens))).await,
        has_curve,
        measurements: measurements(&sample, &metrics),
        trial_title: trial_title(&trial),
        place: index + 1,
        count: samples.len(),
        previous: neighbour(index.checked_sub(1)),
        next: neighbour(index.checked_add(1)),
        query: if query.is_empty() { query } else { format!("?{query}") },
        experiment,
        trial,
        sample,
    };
    render(&page)
}

/// The sample's blocks, each with the curve that was measured behind the blocks before it as this trial kept them.
async fn blocks(
    reader: &Reader,
    trial: &TrialReport,
    sample: SampleId,
) -> Result<Vec<(BlockRow, Option<CurveRow>)>, Problem> {
    let mut blocks = reader.blocks(trial.id).await?;
    blocks.retain(|block| block.sample_id == sample);
    let mut curves = match curve_key(reader, trial).await? {
        Some((weights, protocol)) => {
            let filter = CurveFilter { protocol: Some(protocol), sample: Some(sample), ..CurveFilter::default() };
            reader.curves(weights, &filter).await?
        }
        None => Vec::new(),
    };
    let mut history = Vec::new();
    let with_curve = blocks.into_iter().map(|block| {
        let same = |curve: &CurveRow| curve.block == block.record.block && curve.history == history;
        let curve = curves.iter().position(same).map(|index| curves.swap_remove(index));
        history.push(block.record.kept_tokens);
        (block, curve)
    });
    Ok(with_curve.collect())
}

/// All tokens of a block: as configured, or else the most that was ever asked for.
fn max_tokens(trial: &TrialReport, blocks: &[(BlockRow, Option<CurveRow>)]) -> u32 {
    let kept = blocks.iter().map(|(block, _)| block.record.kept_tokens);
    let probed = blocks.iter().flat_map(|(block, _)| &block.record.probes).map(|(count, _)| *count);
    let seen = kept.chain(probed).max().unwrap_or(1);
    let configured = trial.config["max_tokens"].as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    configured.map_or(seen, |configured| configured.max(seen))
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
