//! How far an experiment is: what somebody who watches reads every second. Finished trials are only counted.

use super::error::At;
use super::{ContentHash, DatasetId, ExperimentId, ProtocolId, Reader, Result, TrialId, TrialStatus};

/// A trial that is being evaluated, or could not go on.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct TrialProgress {
    /// The trial.
    pub id: TrialId,
    /// Its place in the expanded experiment.
    pub ordinal: u32,
    /// The variant's name in the experiment.
    pub variant: String,
    /// The search strategy's name.
    pub strategy: String,
    /// The distortion asked for, if the strategy asks for one.
    pub threshold: Option<f64>,
    /// Seed of the strategy.
    pub seed: i64,
    /// Where it stands.
    pub status: TrialStatus,
    /// How many samples it has when done.
    pub samples: u32,
    /// How many samples are recorded.
    pub samples_done: u32,
    /// How many were recorded when it was last started; unknown without an event that says so.
    pub samples_before: Option<u32>,
    /// When it was last started: UTC, RFC 3339.
    pub resumed_at: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// How many of an experiment's trials stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct TrialCounts {
    /// All of them.
    pub all: u32,
    /// Being evaluated, or killed meanwhile.
    pub running: u32,
    /// Stopped by an error.
    pub failed: u32,
    /// Finished.
    pub done: u32,
}

// The newest start of a running trial is among the newest events: the search from the end is short.
pub(super) const UNFINISHED: &str = "
    select trial.id, ordinal, variant, strategy, threshold, seed, status, samples, error,
           (select count(*) from trial_sample where trial_id = trial.id) as samples_done,
           start.payload ->> 'samples_done' as samples_before, start.at as resumed_at
    from experiment_trial
    join trial on trial.id = experiment_trial.trial_id
    left join event as start on trial.status = 'running' and start.id =
        (select id from event where trial_id = trial.id and kind = 'trial started' order by id desc limit 1)
    where experiment_trial.experiment_id = ? and +status in ('running', 'failed')
    order by ordinal";

impl Reader {
    /// The experiment's running and failed trials by ordinal.
    pub async fn unfinished_trials(&self, experiment: ExperimentId) -> Result<Vec<TrialProgress>> {
        sqlx::query_as(UNFINISHED).bind(experiment).fetch_all(&self.pool).await.at(self)
    }

    /// How many of the experiment's trials stand where.
    pub async fn trial_counts(&self, experiment: ExperimentId) -> Result<TrialCounts> {
        sqlx::query_as(
            r#"select count(*) as "all", count(*) filter (where status = 'running') as running,
                      count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'done') as done
               from experiment_trial join trial on trial.id = trial_id
               where experiment_id = ?"#,
        )
        .bind(experiment)
        .fetch_one(&self.pool)
        .await
        .at(self)
    }

    /// How many curves of these weights and this protocol are stored of the dataset's samples.
    pub async fn curve_count(&self, weights: ContentHash, protocol: ProtocolId, dataset: DatasetId) -> Result<u32> {
        sqlx::query_scalar(
            "select count(*) from curve
             join sample on sample.id = curve.sample_id
             join source on source.id = sample.source_id
             where weights_hash = ? and protocol_id = ? and dataset_id = ?",
        )
        .bind(weights)
        .bind(protocol)
        .bind(dataset)
        .fetch_one(&self.pool)
        .await
        .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key, record};
    use super::super::{CurvePoint, NewCurve, NewEvent, NewTrial};
    use super::*;

    async fn tell(bench: &Workbench, kind: &str, samples_done: u32) {
        let event = NewEvent {
            experiment: Some(bench.experiment),
            training_run: None,
            trial: Some(bench.trial),
            kind: kind.into(),
            payload: serde_json::json!({ "samples_done": samples_done }),
        };
        bench.store.append_event(&event).await.unwrap();
    }

    #[tokio::test]
    async fn a_running_trial_is_counted_from_its_last_start() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        assert!(store.unfinished_trials(bench.experiment).await.unwrap().is_empty(), "it has not begun");
        store.start_trial(trial).await.unwrap();
        let told_nothing = &store.unfinished_trials(bench.experiment).await.unwrap()[0];
        assert_eq!((told_nothing.samples_before, &told_nothing.resumed_at), (None, &None));
        for (before, sample) in bench.samples[..2].iter().enumerate() {
            tell(&bench, "trial started", before as u32).await;
            tell(&bench, "trial stopped", 9).await;
            store.record_sample(trial, &record(&bench, *sample)).await.unwrap();
        }
        let row = &store.unfinished_trials(bench.experiment).await.unwrap()[0];
        assert_eq!((row.samples_before, row.samples_done, row.samples), (Some(1), 2, 4));
        assert_eq!((row.status, row.resumed_at.is_some(), row.threshold), (TrialStatus::Running, true, Some(0.05)));
    }

    #[tokio::test]
    async fn failed_trials_say_why_and_all_are_counted() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let other = NewTrial { threshold: None, ..bench.new_trial("other") };
        let other = store.put_trial(&other).await.unwrap().id;
        store.link_trial(bench.experiment, 1, "deep", other).await.unwrap();
        store.link_trial(bench.experiment, 2, "the same", other).await.unwrap();
        store.start_trial(other).await.unwrap();
        store.fail_trial(other, "the disk is full").await.unwrap();
        let rows = store.unfinished_trials(bench.experiment).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.variant.as_str(), row.error.as_deref())).collect();
        assert_eq!(told, [("deep", Some("the disk is full")), ("the same", Some("the disk is full"))]);
        let counts = store.trial_counts(bench.experiment).await.unwrap();
        assert_eq!(counts, TrialCounts { all: 3, running: 0, failed: 2, done: 0 });
        assert_eq!(store.trial_counts(ExperimentId(99)).await.unwrap(), TrialCounts::default());
    }

    #[tokio::test]
    async fn curves_are_counted_by_weights_protocol_and_dataset() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let point = CurvePoint { kept_tokens: 1, distortion: 0.1, psnr: 10.0, ssim: 0.1 };
        for sample in &bench.samples[..3] {
            let curve = NewCurve {
                weights: key("weights"),
                sample: *sample,
                block: 0,
                history: Vec::new(),
                protocol: bench.protocol,
                seconds: 0.1,
                points: vec![point],
            };
            store.put_curve(&curve).await.unwrap();
        }
        let count =
            async |weights: &str, protocol, dataset| store.curve_count(key(weights), protocol, dataset).await.unwrap();
        assert_eq!(count("weights", bench.protocol, bench.dataset).await, 3);
        assert_eq!(count("others", bench.protocol, bench.dataset).await, 0);
        assert_eq!(count("weights", ProtocolId(99), bench.dataset).await, 0);
        assert_eq!(count("weights", bench.protocol, DatasetId(99)).await, 0);
    }
}
