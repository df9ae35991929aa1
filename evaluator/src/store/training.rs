//! Tables `training_run` and `experiment_training`: how weights came to be.
//!
//! A run goes `pending → running → done`, with `stopped` (asked to) and `failed` (could not) as places to go on from.
//! A run that was killed goes on from its last checkpoint; what it had reported after that (`training_point.rs`) is
//! deleted, because those steps happen again. A finished run never changes.

use serde_json::Value;

use super::error::At;
use super::{
    ContentHash, DatasetId, ExperimentId, ProvenanceId, Reader, Result, Store, StoreError, Stored, Subject,
    TrainingRunId, clock,
};

/// Where a training run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub enum TrainingStatus {
    /// Not begun.
    Pending,
    /// Being trained, or killed while it was.
    Running,
    /// Stopped on request; goes on from its last checkpoint.
    Stopped,
    /// Stopped by an error.
    Failed,
    /// Finished; never changes again.
    Done,
}

/// A training run to store.
#[derive(Debug, Clone)]
pub struct NewTrainingRun {
    /// Hash of model, training configuration, seed and data.
    pub key: ContentHash,
    /// The resolved model and training configuration.
    pub config: Value,
    /// Seed of initialization and of the order of the data.
    pub seed: i64,
    /// What it is trained on.
    pub dataset: DatasetId,
    /// Program and machine, if recorded.
    pub provenance: Option<ProvenanceId>,
    /// Steps until it is done.
    pub steps: u32,
    /// Numbers in the model.
    pub parameters: u32,
}

/// A stored training run.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct TrainingRunRow {
    /// Its id.
    pub id: TrainingRunId,
    /// Hash of model, training configuration, seed and data.
    pub key: ContentHash,
    /// The resolved model and training configuration.
    pub config: Value,
    /// Seed of initialization and of the order of the data.
    pub seed: i64,
    /// What it is trained on.
    pub dataset_id: DatasetId,
    /// Program and machine, if recorded.
    pub provenance_id: Option<ProvenanceId>,
    /// Where it stands.
    pub status: TrainingStatus,
    /// Steps taken.
    pub step: u32,
    /// Steps until it is done.
    pub steps: u32,
    /// Numbers in the model.
    pub parameters: u32,
    /// Seconds spent training, over all its starts.
    pub seconds: f64,
    /// Hash of the finished weights.
    pub weights_hash: Option<ContentHash>,
    /// The finished checkpoint, below the database's folder.
    pub checkpoint: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it first started: UTC, RFC 3339.
    pub started_at: Option<String>,
    /// When it was done, stopped or failed.
    pub finished_at: Option<String>,
}

/// A training run in its place in an experiment.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ExperimentTrainingRow {
    /// Its place in the expanded experiment.
    pub ordinal: u32,
    /// The variant's name in the experiment.
    pub variant: String,
    /// The run.
    #[sqlx(flatten)]
    pub run: TrainingRunRow,
}

/// The statuses of a training run that may still change.
const UNFINISHED: &str = "pending, running, stopped or failed";

impl Store {
    /// The training run with this key, stored now if it is new.
    pub async fn put_training_run(&self, new: &NewTrainingRun) -> Result<Stored<TrainingRunId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into training_run (key, config, seed, dataset_id, provenance_id, steps, parameters)
             values (?, ?, ?, ?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.config)
        .bind(new.seed)
        .bind(new.dataset)
        .bind(new.provenance)
        .bind(new.steps)
        .bind(new.parameters)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let find = "select id from training_run where key = ?";
        let stored = Stored::or_found(inserted, find, new.key, &mut transaction).await.at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }

    /// Gives the run its place in an experiment; whatever had that place before loses it.
    pub async fn link_training_run(
        &self,
        experiment: ExperimentId,
        ordinal: u32,
        variant: &str,
        run: TrainingRunId,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "insert into experiment_training (experiment_id, ordinal, variant, training_run_id) values (?, ?, ?, ?)
             on conflict (experiment_id, ordinal)
             do update set variant = excluded.variant, training_run_id = excluded.training_run_id",
        )
        .bind(experiment)
        .bind(ordinal)
        .bind(variant)
        .bind(run)
        .execute(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)
    }

    /// The run trains from the checkpoint after `step` (0: from the beginning); later points are deleted.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is done.
    pub async fn start_training(&self, run: TrainingRunId, step: u32) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update training_run
             set status = 'running', step = ?2, error = null, finished_at = null, started_at = coalesce(started_at, ?3)
             where id = ?1 and status <> 'done'",
        )
        .bind(run)
        .bind(step)
        .bind(clock::now());
        Subject::from(run).update("start", UNFINISHED, update, self, &mut transaction).await?;
        sqlx::query("delete from training_point where training_run_id = ? and step > ?")
            .bind(run)
            .bind(step)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }

    /// The run was asked to stop and has written a checkpoint.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is not running.
    pub async fn stop_training(&self, run: TrainingRunId) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update training_run set status = 'stopped', finished_at = ? where id = ? and status = 'running'",
        )
        .bind(clock::now())
        .bind(run);
        Subject::from(run).update("stop", "running", update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }

    /// The run could not go on; `error` says why.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is done.
    pub async fn fail_training(&self, run: TrainingRunId, error: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update training_run set status = 'failed', error = ?, finished_at = ? where id = ? and status <> 'done'",
        )
        .bind(error)
        .bind(clock::now())
        .bind(run);
        Subject::from(run).update("fail", UNFINISHED, update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }

    /// The run has taken all its steps; `checkpoint` is the file of its weights, below the database's folder.
    ///
    /// # Errors
    /// [`WrongStatus`](StoreError::WrongStatus) if it is not running.
    pub async fn finish_training(&self, run: TrainingRunId, weights: ContentHash, checkpoint: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        let update = sqlx::query(
            "update training_run
             set status = 'done', step = steps, weights_hash = ?, checkpoint = ?, finished_at = ?
             where id = ? and status = 'running'",
        )
        .bind(weights)
        .bind(checkpoint)
        .bind(clock::now())
        .bind(run);
        Subject::from(run).update("finish", "running", update, self, &mut transaction).await?;
        transaction.commit().await.at(self)
    }
}

impl Reader {
    /// One training run.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn training_run(&self, id: TrainingRunId) -> Result<TrainingRunRow> {
        sqlx::query_as("select * from training_run where id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("training run", id))
    }

    /// The training run with this key, if there is one.
    pub async fn find_training_run(&self, key: ContentHash) -> Result<Option<TrainingRunRow>> {
        sqlx::query_as("select * from training_run where key = ?").bind(key).fetch_optional(&self.pool).await.at(self)
    }

    /// The experiment's training runs by ordinal.
    pub async fn training_runs(&self, experiment: ExperimentId) -> Result<Vec<ExperimentTrainingRow>> {
        sqlx::query_as(
            "select ordinal, variant, training_run.*
             from experiment_training join training_run on training_run.id = training_run_id
             where experiment_id = ? order by ordinal",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await
        .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn a_run_stops_fails_goes_on_and_never_changes_once_done() {
        let bench = Workbench::new().await;
        let (store, run) = (&bench.store, bench.run);
        let error = store.report_training(run, 1, 0.0, &[]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot report on training_run:{run}: it is pending, need running"));

        store.start_training(run, 0).await.unwrap();
        store.stop_training(run).await.unwrap();
        assert_eq!(store.training_run(run).await.unwrap().status, TrainingStatus::Stopped);
        store.start_training(run, 0).await.unwrap();
        store.fail_training(run, "the loss is NaN at step 7").await.unwrap();
        assert_eq!(store.training_run(run).await.unwrap().error.as_deref(), Some("the loss is NaN at step 7"));

        store.start_training(run, 0).await.unwrap();
        store.finish_training(run, key("weights"), "checkpoints/a.safetensors").await.unwrap();
        let done = store.training_run(run).await.unwrap();
        assert_eq!((done.status, done.step, &done.error), (TrainingStatus::Done, done.steps, &None));
        assert_eq!(done.weights_hash, Some(key("weights")));
        assert!(matches!(store.start_training(run, 0).await, Err(StoreError::WrongStatus { .. })));
        assert!(matches!(store.fail_training(run, "late").await, Err(StoreError::WrongStatus { .. })));
        assert!(matches!(store.stop_training(run).await, Err(StoreError::WrongStatus { .. })));
        assert_eq!(store.training_run(run).await.unwrap(), done);
        let nobody = store.start_training(TrainingRunId(99), 0).await.unwrap_err();
        assert_eq!(nobody.to_string(), "the store has no training run 99");
    }

    #[tokio::test]
    async fn two_variants_may_share_a_run_and_a_place_has_one() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        store.link_training_run(experiment, 1, "same weights", bench.run).await.unwrap();
        store.link_training_run(experiment, 1, "same weights", bench.run).await.unwrap();
        let rows = store.training_runs(experiment).await.unwrap();
        let places: Vec<_> = rows.iter().map(|row| (row.ordinal, row.variant.as_str(), row.run.id)).collect();
        assert_eq!(places, [(0, "base", bench.run), (1, "same weights", bench.run)]);

        let row = store.training_run(bench.run).await.unwrap();
        let other = NewTrainingRun {
            key: key("other run"),
            config: row.config.clone(),
            seed: 2,
            dataset: row.dataset_id,
            provenance: None,
            steps: 10,
            parameters: 10,
        };
        let other = store.put_training_run(&other).await.unwrap().id;
        store.link_training_run(experiment, 1, "other weights", other).await.unwrap();
        let rows = store.training_runs(experiment).await.unwrap();
        assert_eq!((rows.len(), rows[1].run.id, rows[1].variant.as_str()), (2, other, "other weights"));
    }
}
