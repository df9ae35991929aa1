//! What reports read: an experiment's trials with their summaries, and one trial's samples, blocks and measurements.
//!
//! Every list has a stated order, so that two runs of a report print the same text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::At;
use super::{
    BlockRecord, ContentHash, DatasetId, ExperimentId, ProtocolId, ProvenanceId, Reader, Result, SampleId, SourceId,
    StoreError, SummaryRow, TrainingRunId, TrialId, TrialStatus,
};

/// A trial in its place in an experiment.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct TrialReport {
    /// The trial.
    pub id: TrialId,
    /// Hash of configuration, data, weights, seed and evaluator version.
    pub key: ContentHash,
    /// Its place in the expanded experiment.
    pub ordinal: u32,
    /// The variant's name in the experiment.
    pub variant: String,
    /// The resolved configuration.
    pub config: Value,
    /// The run whose weights are evaluated; none for a codec.
    pub training_run_id: Option<TrainingRunId>,
    /// The test set.
    pub dataset_id: DatasetId,
    /// How it is measured: numbers of different protocols never share a table.
    pub protocol_id: ProtocolId,
    /// Program and machine, if recorded.
    pub provenance_id: Option<ProvenanceId>,
    /// The weights; none for a codec.
    pub weights_hash: Option<ContentHash>,
    /// Version of the evaluator's numbers.
    pub evaluator_version: u32,
    /// The search strategy's name.
    pub strategy: String,
    /// The distortion asked for, if the strategy asks for one.
    pub threshold: Option<f64>,
    /// Seed of the strategy.
    pub seed: i64,
    /// Whether probes were answered from stored curves.
    pub replayed: bool,
    /// Where it stands.
    pub status: TrialStatus,
    /// How many samples it has when done.
    pub samples: u32,
    /// How many samples are recorded.
    pub samples_done: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it first started: UTC, RFC 3339.
    pub started_at: Option<String>,
    /// When it was done or failed.
    pub finished_at: Option<String>,
    /// Its summaries by metric name, then version; empty until it is done.
    #[sqlx(skip)]
    pub summaries: Vec<SummaryRow>,
}

/// One sample of a trial.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct TrialSampleRow {
    /// The sample.
    pub sample_id: SampleId,
    /// Its source.
    pub source_id: SourceId,
    /// Its source's name.
    pub source_name: String,
    /// Which crop of its source.
    pub ordinal: u32,
    /// The crop itself, if it is kept.
    pub original: Option<ContentHash>,
    /// The reconstruction, if it is kept.
    pub reconstruction: Option<ContentHash>,
}

/// One metric of one sample of a trial.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct MeasurementRow {
    /// The sample.
    pub sample_id: SampleId,
    /// Its source: what intervals are clustered by.
    pub source_id: SourceId,
    /// Its source's name.
    pub source_name: String,
    /// Which crop of its source.
    pub ordinal: u32,
    /// The metric's name.
    pub metric: String,
    /// The metric's version.
    pub version: u32,
    /// The value.
    pub value: f64,
}

/// One block of one sample of a trial.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct BlockRow {
    /// The sample.
    pub sample_id: SampleId,
    /// Its source.
    pub source_id: SourceId,
    /// Its source's name.
    pub source_name: String,
    /// Which crop of its source.
    pub ordinal: u32,
    /// What was recorded of it.
    #[sqlx(flatten)]
    pub record: BlockRecord,
}

/// What a trial decided for one block, and how good the sample is with it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct OutcomeRow {
    /// The sample.
    pub sample_id: SampleId,
    /// Its source: what intervals are clustered by.
    pub source_id: SourceId,
    /// The block, from 0.
    pub block: u32,
    /// Tokens kept.
    pub kept_tokens: u32,
    /// Mean squared error of its final reconstruction, in [−1, 1] after clipping.
    pub distortion: f64,
    /// Whether the final reconstruction meets the threshold, if there is one.
    pub threshold_met: Option<bool>,
    /// Encoder runs of the search.
    pub encoder_evaluations: u32,
    /// Candidates reconstructed.
    pub decoder_evaluations: u32,
    /// Runs that fixed the answer for later blocks.
    pub commit_evaluations: u32,
    /// Reconstructions of the answer.
    pub final_evaluations: u32,
    /// Batches of candidates asked one after another.
    pub sequential_depth: u32,
    /// Candidates of the largest batch.
    pub largest_batch: Option<u32>,
    /// Floating point operations, those of a predictor included.
    pub flops: f64,
    /// Seconds of the search without a predictor's; not available where it was replayed.
    pub seconds: Option<f64>,
    /// Operations of a predictor, if one was asked.
    pub prediction_flops: Option<f64>,
    /// Seconds of a predictor, if one was asked and timed.
    pub prediction_seconds: Option<f64>,
    /// PSNR of the sample in dB.
    pub psnr: f64,
    /// SSIM of the sample.
    pub ssim: f64,
    /// High-frequency energy of the sample; unknown in results of evaluator version 1.
    pub high_frequency: Option<f64>,
    /// Bytes of the sample as JPEG; unknown in results of evaluator version 1.
    pub jpeg_bytes: Option<f64>,
    /// Bits of the kept codes and their number, written plainly; FSQ only.
    pub bits: Option<f64>,
    /// Bits as an adaptive arithmetic coder writes them; FSQ only.
    pub adaptive_bits: Option<f64>,
    /// Bits written plainly over pixels; FSQ only.
    pub bits_per_pixel: Option<f64>,
    /// MS-SSIM of the sample; not available for small pictures.
    pub ms_ssim: Option<f64>,
}

impl TrialReport {
    /// The summary of the newest version of this metric.
    pub fn summary(&self, metric: &str) -> Option<&SummaryRow> {
        self.summaries.iter().rev().find(|summary| summary.metric == metric)
    }
}

// Constants, so that a test can ask SQLite for their query plans.

/// Trials in their places, those of one condition.
macro_rules! trials {
    ($condition:literal) => {
        concat!(
            "select trial.*, ordinal, variant,
                    case status
                        when 'done' then samples
                        else (select count(*) from trial_sample where trial_id = trial.id)
                    end as samples_done
             from experiment_trial join trial on trial.id = trial_id
             where ",
            $condition,
            " order by ordinal"
        )
    };
}

/// Summaries of trials, found as these tables and the condition say.
macro_rules! summaries {
    ($from:literal) => {
        concat!(
            "select distinct summary.trial_id, metric.id as metric_id, metric.name as metric, version, unit, direction, noisy,
                    summary.samples, mean, deviation, low, high, minimum, maximum
             from ",
            $from,
            " order by summary.trial_id, metric.name, version"
        )
    };
}

pub(super) const TRIALS: &str = trials!("experiment_id = ?");

pub(super) const TRIAL: &str = trials!("trial_id = ? and experiment_id = ?");

pub(super) const TRIAL_SUMMARIES: &str = summaries!("summary join metric on metric.id = metric_id where trial_id = ?");

pub(super) const SUMMARIES: &str = summaries!(
    "experiment_trial
     join summary on summary.trial_id = experiment_trial.trial_id
     join metric on metric.id = metric_id
     where experiment_id = ?"
);

pub(super) const MEASUREMENTS: &str = "
    select measurement.sample_id, source.id as source_id, source.name as source_name, ordinal,
           metric.name as metric, version, value
    from measurement
    join sample on sample.id = sample_id
    join source on source.id = source_id
    join metric on metric.id = metric_id
    where trial_id = ?
    order by source.name, ordinal, measurement.sample_id, metric.name, version";

pub(super) const BLOCKS: &str = "
    select trial_block.*, source.id as source_id, source.name as source_name, ordinal
    from trial_block
    join sample on sample.id = sample_id
    join source on source.id = source_id
    where trial_id = ?
    order by source.name, ordinal, trial_block.sample_id, block";

pub(super) const OUTCOMES: &str = "
    select trial_block.sample_id, source_id, block, kept_tokens, distortion, threshold_met, encoder_evaluations,
           decoder_evaluations, commit_evaluations, final_evaluations, sequential_depth, largest_batch, flops, seconds,
           prediction_flops, prediction_seconds,
           max(case metric.name when 'psnr' then value end) as psnr,
           max(case metric.name when 'ssim' then value end) as ssim,
           max(case metric.name when 'high_frequency_energy' then value end) as high_frequency,
           max(case metric.name when 'jpeg_bytes' then value end) as jpeg_bytes,
           max(case metric.name when 'bits' then value end) as bits,
           max(case metric.name when 'adaptive_bits' then value end) as adaptive_bits,
           max(case metric.name when 'bits_per_pixel' then value end) as bits_per_pixel,
           max(case metric.name when 'ms_ssim' then value end) as ms_ssim
    from trial_block
    join sample on sample.id = trial_block.sample_id
    join measurement on measurement.trial_id = trial_block.trial_id and measurement.sample_id = trial_block.sample_id
    join metric on metric.id = metric_id
    where trial_block.trial_id = ?
    group by trial_block.sample_id, block
    order by source_id, ordinal, trial_block.sample_id, block";

pub(super) const TRIAL_SAMPLES: &str = "
    select trial_sample.sample_id, source.id as source_id, source.name as source_name, ordinal,
           sample.artifact as original, reconstruction
    from trial_sample
    join sample on sample.id = sample_id
    join source on source.id = source_id
    where trial_id = ?
    order by source.name, ordinal, trial_sample.sample_id";

/// A summary as the query of a whole experiment returns it.
#[derive(sqlx::FromRow)]
struct TrialSummary {
    trial_id: TrialId,
    #[sqlx(flatten)]
    summary: SummaryRow,
}

impl Reader {
    /// The experiment's trials by ordinal, each with its summaries.
    pub async fn trials(&self, experiment: ExperimentId) -> Result<Vec<TrialReport>> {
        let mut snapshot = self.snapshot().await?;
        let mut trials: Vec<TrialReport> =
            sqlx::query_as(TRIALS).bind(experiment).fetch_all(&mut *snapshot).await.at(self)?;
        let summaries: Vec<TrialSummary> =
            sqlx::query_as(SUMMARIES).bind(experiment).fetch_all(&mut *snapshot).await.at(self)?;
        snapshot.commit().await.at(self)?;
        let mut by_trial: BTreeMap<TrialId, Vec<SummaryRow>> = BTreeMap::new();
        for row in summaries {
            by_trial.entry(row.trial_id).or_default().push(row.summary);
        }
        for trial in &mut trials {
            // Two variants may share a trial.
            trial.summaries = by_trial.get(&trial.id).cloned().unwrap_or_default();
        }
        Ok(trials)
    }

    /// One trial of the experiment, with its summaries; in the first of its places, if variants share it.
    ///
    /// # Errors
    /// [`NotFound`](super::StoreError::NotFound).
    pub async fn trial_of(&self, experiment: ExperimentId, trial: TrialId) -> Result<TrialReport> {
        let mut snapshot = self.snapshot().await?;
        let row = sqlx::query_as(TRIAL).bind(trial).bind(experiment).fetch_optional(&mut *snapshot).await.at(self)?;
        let missing = || StoreError::not_found("trial", format!("{trial} in experiment {experiment}"));
        let row: TrialReport = row.ok_or_else(missing)?;
        let summaries: Vec<TrialSummary> =
            sqlx::query_as(TRIAL_SUMMARIES).bind(trial).fetch_all(&mut *snapshot).await.at(self)?;
        snapshot.commit().await.at(self)?;
        Ok(TrialReport { summaries: summaries.into_iter().map(|row| row.summary).collect(), ..row })
    }

    /// The trial's measurements by source name, sample ordinal, metric name and version.
    pub async fn measurements(&self, trial: TrialId) -> Result<Vec<MeasurementRow>> {
        sqlx::query_as(MEASUREMENTS).bind(trial).fetch_all(&self.pool).await.at(self)
    }

    /// Every block's outcome, by source and crop.
    pub async fn outcomes(&self, trial: TrialId) -> Result<Vec<OutcomeRow>> {
        sqlx::query_as(OUTCOMES).bind(trial).fetch_all(&self.pool).await.at(self)
    }

    /// The trial's blocks by source name, sample ordinal and block.
    pub async fn blocks(&self, trial: TrialId) -> Result<Vec<BlockRow>> {
        sqlx::query_as(BLOCKS).bind(trial).fetch_all(&self.pool).await.at(self)
    }

    /// The trial's recorded samples by source name and sample ordinal.
    pub async fn trial_samples(&self, trial: TrialId) -> Result<Vec<TrialSampleRow>> {
        sqlx::query_as(TRIAL_SAMPLES).bind(trial).fetch_all(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MediaType;
    use super::super::tests::fixture::{Workbench, record, summary};
    use super::super::{NewMetric, NewTrial};
    use super::*;
    use crate::metric::Direction;

    #[tokio::test]
    async fn a_report_has_every_trial_in_order_with_its_own_summaries() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let one = NewTrial { samples: 1, threshold: None, strategy: "full".into(), ..bench.new_trial("one sample") };
        let one = store.put_trial(&one).await.unwrap().id;
        store.link_trial(bench.experiment, 2, "wide", one).await.unwrap();
        store.link_trial(bench.experiment, 1, "deep", one).await.unwrap();
        store.start_trial(one).await.unwrap();
        store.record_sample(one, &record(&bench, bench.samples[0])).await.unwrap();
        store.finish_trial(one, &[summary(bench.tokens, 128.0), summary(bench.psnr, 30.5)]).await.unwrap();

        let trials = store.trials(bench.experiment).await.unwrap();
        let order: Vec<_> = trials.iter().map(|row| (row.ordinal, row.variant.as_str(), row.id)).collect();
        assert_eq!(order, [(0, "base", bench.trial), (1, "deep", one), (2, "wide", one)]);
        assert!(trials[0].summaries.is_empty() && trials[0].threshold == Some(0.05));
        assert_eq!((trials[1].threshold, trials[1].status, trials[1].samples_done), (None, TrialStatus::Done, 1));
        let names: Vec<_> = trials[2].summaries.iter().map(|row| row.metric.as_str()).collect();
        assert_eq!(names, ["psnr", "tokens"]);
        let psnr = trials[2].summary("psnr").unwrap();
        assert_eq!((psnr.mean, psnr.low, psnr.high, psnr.unit.as_str()), (30.5, Some(29.5), Some(31.5), "dB"));
        assert_eq!(trials[2].summary("lpips"), None);
        assert_eq!(store.trial_of(bench.experiment, one).await.unwrap(), trials[1], "alone as among the others");
        assert_eq!(store.trial_of(bench.experiment, bench.trial).await.unwrap(), trials[0]);
        for (experiment, trial) in [(bench.experiment, TrialId(99)), (ExperimentId(99), one)] {
            assert!(matches!(store.trial_of(experiment, trial).await, Err(StoreError::NotFound { .. })));
        }
        let row = store.experiment(bench.experiment).await.unwrap();
        assert_eq!((row.trials, row.trials_done), (3, 2));
    }

    #[tokio::test]
    async fn the_newest_version_of_a_metric_is_reported() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let second = NewMetric {
            name: "psnr".into(),
            version: 2,
            unit: "dB".into(),
            direction: Direction::Higher,
            noisy: false,
        };
        let second = store.put_metric(&second).await.unwrap().id;
        let trial = store.put_trial(&NewTrial { samples: 1, ..bench.new_trial("versions") }).await.unwrap().id;
        store.link_trial(bench.experiment, 1, "base", trial).await.unwrap();
        store.start_trial(trial).await.unwrap();
        store.record_sample(trial, &record(&bench, bench.samples[0])).await.unwrap();
        store.finish_trial(trial, &[summary(second, 2.0), summary(bench.psnr, 1.0)]).await.unwrap();
        let trials = store.trials(bench.experiment).await.unwrap();
        assert_eq!(trials[1].summary("psnr").map(|row| (row.version, row.mean)), Some((2, 2.0)));
    }

    #[tokio::test]
    async fn samples_blocks_and_measurements_come_back_as_recorded_by_source_name() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        let image = store.put_artifact(b"reconstruction".to_vec(), MediaType::Png).await.unwrap().id;
        store.start_trial(trial).await.unwrap();
        // The samples of b.png are the older ones, those of a.png come first in a report.
        for &sample in &bench.samples {
            let mut record = record(&bench, sample);
            record.reconstruction = Some(image);
            record.blocks[0].distortion = 0.1 + 0.2; // 0.30000000000000004: every bit is kept
            record.blocks[0].probes = vec![(256, 0.1 + 0.2), (64, 1.0 / 3.0)];
            store.record_sample(trial, &record).await.unwrap();
        }
        let samples = store.trial_samples(trial).await.unwrap();
        let order: Vec<_> = samples.iter().map(|row| (row.source_name.as_str(), row.ordinal)).collect();
        assert_eq!(order, [("a.png", 0), ("a.png", 1), ("b.png", 0), ("b.png", 1)]);
        assert!(samples.iter().all(|row| row.reconstruction == Some(image)));

        let blocks = store.blocks(trial).await.unwrap();
        let order: Vec<_> =
            blocks.iter().map(|row| (row.source_name.as_str(), row.ordinal, row.record.block)).collect();
        assert_eq!(order, [("a.png", 0, 0), ("a.png", 1, 0), ("b.png", 0, 0), ("b.png", 1, 0)]);
        let given = &record(&bench, bench.samples[0]).blocks[0];
        let block = &blocks[0];
        assert_eq!(
            (block.record.distortion, &block.record.probes),
            (0.1 + 0.2, &vec![(256, 0.1 + 0.2), (64, 1.0 / 3.0)])
        );
        assert_eq!((block.record.kept_tokens, block.record.threshold_met), (given.kept_tokens, given.threshold_met));
        assert_eq!(
            (
                block.record.encoder_evaluations,
                block.record.decoder_evaluations,
                block.record.commit_evaluations,
                block.record.final_evaluations
            ),
            (1, 2, 3, 4)
        );
        assert_eq!((block.record.sequential_depth, block.record.flops, block.record.seconds), (5, 6e9, Some(0.7)));

        let measurements = store.measurements(trial).await.unwrap();
        let order: Vec<_> =
            measurements.iter().map(|row| (row.source_name.as_str(), row.ordinal, row.metric.as_str())).collect();
        assert_eq!(order[..3], [("a.png", 0, "psnr"), ("a.png", 0, "tokens"), ("a.png", 1, "psnr")]);
        assert_eq!((measurements.len(), measurements[0].source_id), (8, samples[0].source_id));
    }
}
