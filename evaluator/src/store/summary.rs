//! Table `summary`: one metric of one done trial in one row, so that a page of many trials never scans measurements.

use sqlx::SqliteConnection;

use super::error::finite;
use crate::metric::Direction;

use super::{MetricId, Result, TrialId};

/// A summary to store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewSummary {
    /// The metric.
    pub metric: MetricId,
    /// How many samples it covers.
    pub samples: u32,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; 0 for one sample.
    pub deviation: f64,
    /// Interval of the mean, clustered by source, if there is one.
    pub interval: Option<(f64, f64)>,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
}

/// A stored summary with its metric.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct SummaryRow {
    /// The metric.
    pub metric_id: MetricId,
    /// The metric's name.
    pub metric: String,
    /// The metric's version.
    pub version: u32,
    /// The metric's unit.
    pub unit: String,
    /// Which way the metric gets better.
    pub direction: Direction,
    /// Whether another run of the same trial may differ.
    pub noisy: bool,
    /// How many samples it covers.
    pub samples: u32,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; 0 for one sample.
    pub deviation: f64,
    /// Lower end of the mean's interval, clustered by source.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
}

impl NewSummary {
    pub(super) fn check(&self, trial: TrialId) -> Result<()> {
        let (low, high) = self.interval.unwrap_or((0.0, 0.0));
        for (name, value) in [
            ("mean", self.mean),
            ("deviation", self.deviation),
            ("low", low),
            ("high", high),
            ("minimum", self.minimum),
            ("maximum", self.maximum),
        ] {
            finite(value, || format!("{name} of metric {} of trial {trial}", self.metric))?;
        }
        Ok(())
    }

    pub(super) async fn insert(&self, trial: TrialId, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into summary (trial_id, metric_id, samples, mean, deviation, low, high, minimum, maximum)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(trial)
        .bind(self.metric)
        .bind(self.samples)
        .bind(self.mean)
        .bind(self.deviation)
        .bind(self.interval.map(|(low, _)| low))
        .bind(self.interval.map(|(_, high)| high))
        .bind(self.minimum)
        .bind(self.maximum)
        .execute(connection)
        .await?;
        Ok(())
    }
}
