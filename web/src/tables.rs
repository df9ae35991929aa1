//! The tables that pages show of trials, training runs, samples and blocks, whole and exact.

use evaluator::report::{Cell, Column, Table, criterion};
use evaluator::store::{BlockRecord, ExperimentRow, ExperimentTrainingRow, SummaryRow, TrialReport};

use crate::format;
use crate::samples::{Measured, Metrics};

fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn number(number: impl Into<f64>) -> Cell {
    Cell::Number(number.into())
}

fn optional(value: Option<f64>) -> Cell {
    value.map_or(Cell::Missing, Cell::Number)
}

fn id(id: i64) -> Cell {
    // Whole numbers are exact up to 2⁵³.
    Cell::Number(id as f64)
}

fn table(caption: String, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Table {
    Table { caption, columns, rows, trials: Vec::new() }
}

/// Every trial of an experiment with the means of all its metrics.
pub fn trials(experiment: &ExperimentRow, trials: &[TrialReport]) -> Table {
    let mut metrics: Vec<&SummaryRow> = Vec::new();
    for summary in trials.iter().flat_map(|trial| &trial.summaries) {
        if !metrics.iter().any(|known| known.metric == summary.metric) {
            metrics.push(summary);
        }
    }
    metrics.sort_by_key(|summary| format::metric_order(&summary.metric));
    let row = |trial: &TrialReport| {
        let own = [
            id(trial.id.0),
            text(&trial.variant),
            text(&trial.strategy),
            serde_json::to_value(criterion(trial)).ok().and_then(|c| c.as_str().map(text)).unwrap_or(Cell::Missing),
            optional(trial.threshold),
            id(trial.seed),
            text(format::trial_status(trial.status)),
            number(trial.samples_done),
            number(trial.samples),
        ];
        let mean = |metric: &&SummaryRow| match trial.summary(&metric.metric) {
            Some(SummaryRow { mean, low: Some(low), high: Some(high), .. }) => Cell::Estimate(*mean, *low, *high),
            Some(summary) => Cell::Number(summary.mean),
            None => Cell::Missing,
        };
        own.into_iter().chain(metrics.iter().map(mean)).collect()
    };
    let mut columns = vec![
        Column::new("trial", "trial", 0),
        Column::new("variant", "variant", 0),
        Column::new("strategy", "strategy", 0),
        Column::new("threshold of", "criterion", 0),
        Column::new("τ", "threshold", 4),
        Column::new("seed", "seed", 0),
        Column::new("state", "state", 0),
        Column::new("samples done", "samples_done", 0),
        Column::new("samples", "samples", 0),
    ];
    columns.extend(metrics.iter().map(|summary| Column {
        noisy: summary.noisy,
        ..Column::new(with_unit(&summary.metric, &summary.unit), summary.metric.clone(), 4)
    }));
    let caption = format!(
        "{}: all trials; metrics are means over their samples, with 95 % intervals clustered by source",
        experiment.name
    );
    table(caption, columns, trials.iter().map(row).collect())
}

/// An experiment's training runs.
pub fn training(experiment: &ExperimentRow, runs: &[ExperimentTrainingRow]) -> Table {
    let row = |linked: &ExperimentTrainingRow| {
        let run = &linked.run;
        vec![
            id(run.id.0),
            text(&linked.variant),
            id(run.seed),
            text(format::training_status(run.status)),
            number(run.step),
            number(run.steps),
            number(run.parameters),
            number(run.seconds),
            run.weights_hash.map_or(Cell::Missing, text),
        ]
    };
    let columns = vec![
        Column::new("run", "training_run", 0),
        Column::new("variant", "variant", 0),
        Column::new("seed", "seed", 0),
        Column::new("state", "state", 0),
        Column::new("step", "step", 0),
        Column::new("steps", "steps", 0),
        Column::new("parameters", "parameters", 0),
        Column { noisy: true, ..Column::new("time (s)", "seconds", 1) },
        Column::new("weights", "weights", 0),
    ];
    table(format!("{}: training runs", experiment.name), columns, runs.iter().map(row).collect())
}

/// The summaries of a trial.
pub fn summary(title: &str, trial: &TrialReport) -> Table {
    let row = |summary: &SummaryRow| {
        vec![
            text(&summary.metric),
            number(summary.version),
            match summary.low.zip(summary.high) {
                Some((low, high)) => Cell::Estimate(summary.mean, low, high),
                None => Cell::Number(summary.mean),
            },
            number(summary.deviation),
            number(summary.minimum),
            number(summary.maximum),
            text(&summary.unit),
            text(format::better(summary.direction)),
        ]
    };
    let columns = vec![
        Column::new("metric", "metric", 0),
        Column::new("version", "version", 0),
        Column::new("mean", "mean", 4),
        Column::new("deviation", "deviation", 4),
        Column::new("lowest", "minimum", 4),
        Column::new("highest", "maximum", 4),
        Column::new("unit", "unit", 0),
        Column::new("better", "better", 0),
    ];
    let caption = format!("{title}: over {} samples; 95 % intervals of the mean, clustered by source", trial.samples);
    table(caption, columns, trial.summaries.iter().map(row).collect())
}

/// The samples of a trial in the order that was asked for, with everything measured of them.
pub fn samples(title: &str, samples: &[Measured], metrics: &Metrics) -> Table {
    let is_measured = |name: &&String| samples.iter().any(|sample| sample.values.contains_key(*name));
    let mut measured: Vec<&String> = metrics.keys().filter(is_measured).collect();
    measured.sort_by_key(|name| format::metric_order(name));
    let row = |sample: &Measured| {
        let own = [id(sample.row.sample_id.0), text(&sample.row.source_name), number(sample.row.ordinal)];
        let value = |name: &&String| optional(sample.values.get(*name).copied());
        own.into_iter().chain(measured.iter().map(value)).collect()
    };
    let mut columns =
        vec![Column::new("sample", "sample", 0), Column::new("source", "source", 0), Column::new("crop", "crop", 0)];
    columns.extend(measured.iter().map(|name| Column {
        noisy: metrics[*name].noisy,
        ..Column::new(with_unit(name, &metrics[*name].unit), (*name).clone(), 4)
    }));
    table(format!("{title}: its samples"), columns, samples.iter().map(row).collect())
}

/// What a search kept of each block of a sample, and what it spent.
pub fn blocks(title: &str, blocks: &[BlockRecord]) -> Table {
    let row = |block: &BlockRecord| {
        vec![
            number(block.block),
            number(block.kept_tokens),
            number(block.distortion),
            block.threshold_met.map_or(Cell::Missing, |met| text(if met { "yes" } else { "no" })),
            number(block.probes.len() as u32),
            number(block.encoder_evaluations),
            number(block.decoder_evaluations),
            number(block.flops),
            optional(block.seconds),
        ]
    };
    let columns = vec![
        Column::new("block", "block", 0),
        Column::new("kept tokens", "kept_tokens", 0),
        Column::new("distortion (MSE)", "distortion_mse", 6),
        Column::new("meets τ", "threshold_met", 0),
        Column::new("probes", "probes", 0),
        Column::new("encoder", "encoder_evaluations", 0),
        Column::new("decoder", "decoder_evaluations", 0),
        Column::new("FLOPs", "flops", 0),
        Column { noisy: true, ..Column::new("seconds", "seconds", 4) },
    ];
    table(format!("{title}: its blocks"), columns, blocks.iter().map(row).collect())
}

/// Everything measured of a sample.
pub fn measurements(title: &str, sample: &Measured, metrics: &Metrics) -> Table {
    let mut values: Vec<(&String, &f64)> = sample.values.iter().collect();
    values.sort_by_key(|(name, _)| format::metric_order(name));
    let row = |(name, value): (&String, &f64)| {
        let unit = metrics.get(name).map(|metric| metric.unit.as_str()).unwrap_or_default();
        vec![text(name), number(*value), text(unit), text(format::description(name))]
    };
    let columns = vec![
        Column::new("metric", "metric", 0),
        Column::new("value", "value", 4),
        Column::new("unit", "unit", 0),
        Column::new("what it is", "description", 0),
    ];
    table(format!("{title}: measurements"), columns, values.into_iter().map(row).collect())
}

fn with_unit(metric: &str, unit: &str) -> String {
    let name = format::metric(metric);
    if unit.is_empty() { name } else { format!("{name} ({unit})") }
}
