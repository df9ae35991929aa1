//! Tables `trial_sample`, `trial_block` and `measurement`: what a trial found for one sample.
//!
//! One sample is one transaction: after `kill -9` it is recorded whole or not at all, and the next start of the trial
//! evaluates exactly the samples that are missing from [`done_samples`](super::Reader::done_samples).

use std::collections::BTreeSet;

use sqlx::SqliteConnection;
use sqlx::types::Json;

use super::error::{At, finite};
use super::{ContentHash, MetricId, Reader, Result, SampleId, Store, StoreError, Subject, TrialId};

/// What a trial found for one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRecord {
    /// The sample.
    pub sample: SampleId,
    /// The reconstruction, if it is kept; see [`Store::put_artifact`].
    pub reconstruction: Option<ContentHash>,
    /// Its blocks.
    pub blocks: Vec<BlockRecord>,
    /// Its metrics, over all blocks.
    pub measurements: Vec<(MetricId, f64)>,
}

/// What the search decided for one block, and what it spent on it.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow, serde::Serialize, serde::Deserialize)]
pub struct BlockRecord {
    /// The block, from 0.
    pub block: u32,
    /// Tokens kept.
    pub kept_tokens: u32,
    /// Mean squared error of the final reconstruction, in [-1, 1] after clipping.
    pub distortion: f64,
    /// Whether the final reconstruction meets the threshold, if there is one.
    pub threshold_met: Option<bool>,
    /// Encoder passes.
    pub encoder_evaluations: u32,
    /// Decoder passes.
    pub decoder_evaluations: u32,
    /// Passes that fixed a block's keys and values.
    pub commit_evaluations: u32,
    /// Passes for the final reconstruction.
    pub final_evaluations: u32,
    /// Passes that had to wait for one another.
    pub sequential_depth: u32,
    /// Counts reconstructed together, at most; unknown in results of version 0.1.0's first schema.
    pub largest_batch: Option<u32>,
    /// Floating point operations, those of a predictor included.
    pub flops: f64,
    /// Seconds of the search, unless it was replayed.
    pub seconds: Option<f64>,
    /// Floating point operations of the predictor, if one was asked.
    pub prediction_flops: Option<f64>,
    /// Its seconds, unless the search was replayed.
    pub prediction_seconds: Option<f64>,
    /// Kept tokens and distortion, in the order asked.
    #[sqlx(json)]
    pub probes: Vec<(u32, f64)>,
    /// Codes of the kept tokens, 32 bits each, little-endian; none for a VAE.
    pub codes: Option<Vec<u8>>,
}

impl Store {
    /// Records one sample of a running trial: the sample, its blocks and its measurements, or nothing.
    ///
    /// # Errors
    /// [`MeasurementNotFinite`](StoreError::MeasurementNotFinite) names metric and sample;
    /// [`NotFinite`](StoreError::NotFinite); [`SampleRecorded`](StoreError::SampleRecorded);
    /// [`WrongStatus`](StoreError::WrongStatus) if the trial is not running.
    pub async fn record_sample(&self, trial: TrialId, record: &SampleRecord) -> Result<()> {
        for &(metric, value) in &record.measurements {
            if !value.is_finite() {
                return Err(self.not_finite(metric, record.sample, value).await?);
            }
        }
        for block in &record.blocks {
            block.check(record.sample)?;
        }
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query(
            "insert into trial_sample (trial_id, sample_id, reconstruction)
             select id, ?2, ?3 from trial where id = ?1 and status = 'running'
             on conflict (trial_id, sample_id) do nothing",
        )
        .bind(trial)
        .bind(record.sample)
        .bind(record.reconstruction)
        .execute(&mut *transaction)
        .await
        .at(self)?;
        if inserted.rows_affected() == 0 {
            let recorded = is_recorded(trial, record.sample, &mut transaction).await.at(self)?;
            return Err(match recorded {
                true => StoreError::SampleRecorded { trial, sample: record.sample },
                false => {
                    Subject::from(trial).refused("record a sample of", "running", &mut transaction).await.at(self)?
                }
            });
        }
        for block in &record.blocks {
            block.insert(trial, record.sample, &mut transaction).await.at(self)?;
        }
        for (metric, value) in &record.measurements {
            sqlx::query("insert into measurement (trial_id, sample_id, metric_id, value) values (?, ?, ?, ?)")
                .bind(trial)
                .bind(record.sample)
                .bind(metric)
                .bind(value)
                .execute(&mut *transaction)
                .await
                .at(self)?;
        }
        transaction.commit().await.at(self)
    }

    /// Looks up the names for the error about this measurement.
    async fn not_finite(&self, metric: MetricId, sample: SampleId, value: f64) -> Result<StoreError> {
        let names: (Option<String>, Option<String>) = sqlx::query_as(
            "select (select name from metric where id = ?),
                    (select source.name || ' #' || ordinal from sample join source on source.id = source_id
                     where sample.id = ?)",
        )
        .bind(metric)
        .bind(sample)
        .fetch_one(&self.pool)
        .await
        .at(self)?;
        Ok(StoreError::MeasurementNotFinite {
            metric: names.0.unwrap_or_else(|| metric.to_string()),
            sample: names.1.unwrap_or_else(|| sample.to_string()),
            value,
        })
    }
}

async fn is_recorded(trial: TrialId, sample: SampleId, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from trial_sample where trial_id = ? and sample_id = ?)")
        .bind(trial)
        .bind(sample)
        .fetch_one(connection)
        .await
}

impl BlockRecord {
    fn check(&self, sample: SampleId) -> Result<()> {
        let what = |name: &str| format!("{name} of block {} of sample {sample}", self.block);
        finite(self.distortion, || what("the distortion"))?;
        finite(self.flops, || what("the operations"))?;
        for (name, value) in [
            ("the time", self.seconds),
            ("the predictor's operations", self.prediction_flops),
            ("the predictor's time", self.prediction_seconds),
        ] {
            finite(value.unwrap_or(0.0), || what(name))?;
        }
        // JSON would write them as null.
        for (kept_tokens, distortion) in &self.probes {
            finite(*distortion, || what(&format!("the probed distortion at {kept_tokens} tokens")))?;
        }
        Ok(())
    }

    async fn insert(
        &self,
        trial: TrialId,
        sample: SampleId,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into trial_block
                 (trial_id, sample_id, block, kept_tokens, distortion, threshold_met, encoder_evaluations,
                  decoder_evaluations, commit_evaluations, final_evaluations, sequential_depth, largest_batch, flops,
                  seconds, prediction_flops, prediction_seconds, probes, codes)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(trial)
        .bind(sample)
        .bind(self.block)
        .bind(self.kept_tokens)
        .bind(self.distortion)
        .bind(self.threshold_met)
        .bind(self.encoder_evaluations)
        .bind(self.decoder_evaluations)
        .bind(self.commit_evaluations)
        .bind(self.final_evaluations)
        .bind(self.sequential_depth)
        .bind(self.largest_batch)
        .bind(self.flops)
        .bind(self.seconds)
        .bind(self.prediction_flops)
        .bind(self.prediction_seconds)
        .bind(Json(&self.probes))
        .bind(self.codes.as_deref())
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Reader {
    /// The samples that the trial has recorded.
    pub async fn done_samples(&self, trial: TrialId) -> Result<BTreeSet<SampleId>> {
        let samples: Vec<SampleId> = sqlx::query_scalar("select sample_id from trial_sample where trial_id = ?")
            .bind(trial)
            .fetch_all(&self.pool)
            .await
            .at(self)?;
        Ok(samples.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, record};
    use super::*;

    #[tokio::test]
    async fn only_a_running_trial_records_and_each_sample_once() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        let first = record(&bench, bench.samples[0]);
        let error = store.record_sample(trial, &first).await.unwrap_err().to_string();
        assert_eq!(error, format!("cannot record a sample of trial:{trial}: it is pending, need running"));
        store.start_trial(trial).await.unwrap();
        store.record_sample(trial, &first).await.unwrap();
        assert!(matches!(store.record_sample(trial, &first).await, Err(StoreError::SampleRecorded { .. })));
        assert!(matches!(store.record_sample(TrialId(99), &first).await, Err(StoreError::NotFound { .. })));
        assert_eq!(store.done_samples(trial).await.unwrap(), [bench.samples[0]].into());
    }

    #[tokio::test]
    async fn a_measurement_that_is_no_number_names_its_metric_and_sample() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        store.start_trial(trial).await.unwrap();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut broken = record(&bench, bench.samples[1]);
            broken.measurements[0].1 = value;
            let error = store.record_sample(trial, &broken).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("metric psnr of sample b.png #1 is {value}")), "{error}");
        }
        let mut broken = record(&bench, bench.samples[1]);
        broken.blocks[0].probes[0].1 = f64::NAN;
        let error = store.record_sample(trial, &broken).await.unwrap_err().to_string();
        assert!(error.starts_with("the probed distortion at 64 tokens of block 0"), "{error}");
        assert!(store.done_samples(trial).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_record_is_stored_whole_or_not_at_all() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        store.start_trial(trial).await.unwrap();
        let mut broken = record(&bench, bench.samples[0]);
        broken.measurements.push((MetricId(99), 1.0)); // refused last, after everything else was inserted
        assert!(matches!(store.record_sample(trial, &broken).await, Err(StoreError::Refused { .. })));
        assert!(store.done_samples(trial).await.unwrap().is_empty());
        assert!(store.blocks(trial).await.unwrap().is_empty() && store.measurements(trial).await.unwrap().is_empty());
    }
}
