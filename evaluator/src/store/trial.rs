//! Tables `trial` and `experiment_trial`: one trained variant × threshold × strategy over one test set.
//!
//! A trial goes `pending → running → done`; paused it is `pending` again, `failed` it may be started again. While it
//! runs its samples are recorded one by one (`trial_sample.rs`); what is recorded stays, so that a killed sweep loses
//! one sample. The transaction that ends a trial also writes its summaries: whoever sees it done sees them. A done
//! trial never changes.

use serde_json::Value;

use super::error::{At, finite};
use super::{
    ContentHash, DatasetId, ExperimentId, NewSummary, ProtocolId, ProvenanceId, Reader, Result, Store, StoreError,
    Stored, Subject, TrainingRunId, TrialId, clock,
};

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub enum TrialStatus {
    /// Not begun.
    Pending,
    /// Being evaluated, or killed while it was.
    Running,
    /// Stopped by an error.
    Failed,
    /// Finished; never changes again.
    Done,
}

/// A trial to store.
#[derive(Debug, Clone)]
pub struct NewTrial {
    /// Hash of configuration, data, weights, seed and evaluator version.
    pub key: ContentHash,
    /// The resolved configuration.
    pub config: Value,
    /// The run whose weights are evaluated; none for a codec.
    pub training_run: Option<TrainingRunId>,
    /// The test set.
    pub dataset: DatasetId,
    /// How it is measured.
    pub protocol: ProtocolId,
    /// Program and machine, if recorded.
    pub provenance: Option<ProvenanceId>,
    /// The weights; none for a codec.
    pub weights: Option<ContentHash>,
    /// Raised whenever the evaluator's numbers change.
    pub evaluator_version: u32,
    /// The search strategy's name.
    pub strategy: String,
    /// The distortion asked for, if the strategy asks for one.
    pub threshold: Option<f64>,
    /// Seed of the strategy.
    pub seed: i64,
    /// Whether probes are answered from stored curves.
    pub replayed: bool,
    /// How many samples it has when done.
    pub samples: u32,
}

/// The statuses of a trial that may still change.
const UNFINISHED: &str = "pending, running or failed";

impl Store {
    /// The trial with this key, stored now if it is new.
    ///
    /// # Errors
    /// [`NotFinite`](StoreError::NotFinite) for its threshold.
    pub async fn put_trial(&self, new: &NewTrial) -> Result<Stored<TrialId>> {
        if let Some(threshold) = new.threshold {
            finite(threshold, || format!("the threshold of a trial of {}", new.strategy))?;
        }
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into trial (key, config, training_run_id, dataset_id, protocol_id, provenance_id, weights_hash,
                                evaluator_version, strategy, threshold, seed, replayed, samples)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.config)
        .bind(new.training_run)
        .bind(new.dataset)
        .bind(new.protocol)
        .bind(new.provenance)
        .bind(new.weights)
        .bind(new.evaluator_version)
        .bind(&new.strategy)
        .bind(new.threshold)
        .bind(new.seed)
        .bind(new.replayed)
        .bind(new.samples)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let find = "select id from trial where key = ?";
        let stored = Stored::or_found(inserted, find, new.key, &mut transaction).await.at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }

    /// Gives the trial its place in an experiment; whatever had that place before loses it (it stays in the store).
    pub async fn link_trial(
        &self,
        experiment: ExperimentId,
        ordinal: u32,
        variant: &str,
        trial: TrialId,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "insert into experiment_trial (experiment_id, ordinal, variant, trial_id) values (?, ?, ?, ?)
             on conflict (experiment_id, ordinal)
             do update set variant = excluded.variant, trial_id = excluded.trial_id",
        )
        .bind(experiment)
        .bind(ordinal)
        .bind(variant)
        .bind(trial)
        .execute(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)
    }

    /// The trial is evaluated from now on; samples recorded by an earlier start stay.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is done.
    pub async fn start_trial(&self, trial: TrialId) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update trial
             set status = 'running', error = null, finished_at = null, started_at = coalesce(started_at, ?)
             where id = ? and status <> 'done'",
        )
        .bind(clock::now())
        .bind(trial);
        Subject::from(trial).update("start", UNFINISHED, update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }

    /// The trial was asked to stop: it is pending again and keeps its recorded samples.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is not running.
    pub async fn pause_trial(&self, trial: TrialId) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query("update trial set status = 'pending' where id = ? and status = 'running'").bind(trial);
        Subject::from(trial).update("pause", "running", update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }

    /// The trial could not go on; `error` says why.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is done.
    pub async fn fail_trial(&self, trial: TrialId, error: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update trial set status = 'failed', error = ?, finished_at = ? where id = ? and status <> 'done'",
        )
        .bind(error)
        .bind(clock::now())
        .bind(trial);
        Subject::from(trial).update("fail", UNFINISHED, update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }

    /// All samples are recorded: writes the summaries, computed by the caller, and ends the trial.
    ///
    /// # Errors
    /// [`Incomplete`](StoreError::Incomplete) if samples are missing, [`WrongStatus`](StoreError::WrongStatus) if it is
    /// not running, [`NotFinite`](StoreError::NotFinite).
    pub async fn finish_trial(&self, trial: TrialId, summaries: &[NewSummary]) -> Result<()> {
        for summary in summaries {
            summary.check(trial)?;
        }
        let mut transaction = self.begin().await?;
        let update =
            sqlx::query("update trial set status = 'done', finished_at = ? where id = ? and status = 'running'")
                .bind(clock::now())
                .bind(trial);
        Subject::from(trial).update("finish", "running", update, self, &mut transaction).await?;
        let (recorded, expected): (u32, u32) = sqlx::query_as(
            "select (select count(*) from trial_sample where trial_id = trial.id), samples from trial where id = ?",
        )
        .bind(trial)
        .fetch_one(&mut *transaction)
        .await
        .at(self)?;
        if recorded != expected {
            return Err(StoreError::Incomplete { trial, recorded, expected });
        }
        for summary in summaries {
            summary.insert(trial, &mut transaction).await.at(self)?;
        }
        transaction.commit().await.at(self)
    }
}

impl Reader {
    /// How far a trial is.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn trial_status(&self, trial: TrialId) -> Result<TrialStatus> {
        sqlx::query_scalar("select status from trial where id = ?")
            .bind(trial)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("trial", trial))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, record, summary};
    use super::*;

    #[tokio::test]
    async fn a_trial_is_found_again_by_its_key() {
        let bench = Workbench::new().await;
        let again = bench.store.put_trial(&bench.new_trial("trial")).await.unwrap();
        assert_eq!(again, Stored { id: bench.trial, existed: true });
        let infinite = NewTrial { threshold: Some(f64::INFINITY), ..bench.new_trial("infinite") };
        assert!(matches!(bench.store.put_trial(&infinite).await, Err(StoreError::NotFinite { .. })));
    }

    #[tokio::test]
    async fn a_trial_ends_when_all_its_samples_are_recorded_and_then_never_changes() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        let summaries = [summary(bench.psnr, 30.0), summary(bench.tokens, 128.0)];
        assert!(matches!(store.finish_trial(trial, &summaries).await, Err(StoreError::WrongStatus { .. })));
        store.start_trial(trial).await.unwrap();
        for &sample in &bench.samples[..3] {
            store.record_sample(trial, &record(&bench, sample)).await.unwrap();
        }
        let error = store.finish_trial(trial, &summaries).await.unwrap_err().to_string();
        assert_eq!(error, format!("cannot finish trial {trial}: 3 of its 4 samples are recorded"));
        let report = &store.trials(bench.experiment).await.unwrap()[0];
        assert_eq!((report.status, report.summaries.len()), (TrialStatus::Running, 0), "nothing of it was written");

        store.record_sample(trial, &record(&bench, bench.samples[3])).await.unwrap();
        store.finish_trial(trial, &summaries).await.unwrap();
        let done = store.trials(bench.experiment).await.unwrap();
        assert_eq!((done[0].status, done[0].summaries.len()), (TrialStatus::Done, 2));
        assert!(matches!(store.start_trial(trial).await, Err(StoreError::WrongStatus { .. })));
        assert!(matches!(store.fail_trial(trial, "late").await, Err(StoreError::WrongStatus { .. })));
        assert!(matches!(store.finish_trial(trial, &[]).await, Err(StoreError::WrongStatus { .. })));
        assert_eq!(store.trials(bench.experiment).await.unwrap(), done);
    }

    #[tokio::test]
    async fn a_failed_trial_says_why_and_keeps_its_samples_for_the_next_start() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        store.start_trial(trial).await.unwrap();
        store.record_sample(trial, &record(&bench, bench.samples[0])).await.unwrap();
        store.fail_trial(trial, "out of memory").await.unwrap();
        let failed = &store.trials(bench.experiment).await.unwrap()[0];
        assert_eq!((failed.status, failed.error.as_deref()), (TrialStatus::Failed, Some("out of memory")));
        store.start_trial(trial).await.unwrap();
        let running = &store.trials(bench.experiment).await.unwrap()[0];
        assert_eq!((running.status, &running.error, &running.finished_at), (TrialStatus::Running, &None, &None));
        store.pause_trial(trial).await.unwrap();
        assert!(matches!(store.pause_trial(trial).await, Err(StoreError::WrongStatus { .. })));
        assert_eq!(store.done_samples(trial).await.unwrap(), [bench.samples[0]].into());
    }

    #[tokio::test]
    async fn a_newer_trial_takes_the_place_of_the_old_one() {
        let bench = Workbench::new().await;
        let newer = NewTrial { evaluator_version: 2, ..bench.new_trial("newer") };
        let newer = bench.store.put_trial(&newer).await.unwrap().id;
        bench.store.link_trial(bench.experiment, 0, "base", newer).await.unwrap();
        let rows = bench.store.trials(bench.experiment).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [newer]);
        assert!(bench.store.put_trial(&bench.new_trial("trial")).await.unwrap().existed, "the old one is still there");
    }

    #[tokio::test]
    async fn a_summary_that_is_no_number_is_refused() {
        let bench = Workbench::new().await;
        let mut broken = summary(bench.psnr, 30.0);
        broken.deviation = f64::NAN;
        let error = bench.store.finish_trial(bench.trial, &[broken]).await.unwrap_err().to_string();
        assert!(error.starts_with("deviation of metric") && error.contains("NaN"), "{error}");
        let unknown = bench.store.start_trial(TrialId(77)).await.unwrap_err();
        assert_eq!(unknown.to_string(), "the store has no trial 77");
    }
}
