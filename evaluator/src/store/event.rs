//! Table `event`: progress for other processes. Ids only grow, so a reader goes on behind the last one it saw.
//!
//! SQLite commits one write at a time, so an event with a smaller id can never appear after one with a larger id.

use serde_json::Value;

use super::error::At;
use super::{EventId, ExperimentId, Reader, Result, Store, TrainingRunId, TrialId, clock};

/// Something that happened, to store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The experiment it belongs to, if any.
    pub experiment: Option<ExperimentId>,
    /// The training run it belongs to, if any.
    pub training_run: Option<TrainingRunId>,
    /// The trial it belongs to, if any.
    pub trial: Option<TrialId>,
    /// What happened, such as `sample`.
    pub kind: String,
    /// The details.
    pub payload: Value,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// When: UTC, RFC 3339.
    pub at: String,
    /// The experiment it belongs to, if any.
    pub experiment_id: Option<ExperimentId>,
    /// The training run it belongs to, if any.
    pub training_run_id: Option<TrainingRunId>,
    /// The trial it belongs to, if any.
    pub trial_id: Option<TrialId>,
    /// What happened.
    pub kind: String,
    /// The details.
    pub payload: Value,
}

impl Store {
    /// Appends an event.
    pub async fn append_event(&self, new: &NewEvent) -> Result<EventId> {
        let mut transaction = self.begin().await?;
        let id = sqlx::query_scalar(
            "insert into event (at, experiment_id, training_run_id, trial_id, kind, payload)
             values (?, ?, ?, ?, ?, ?) returning id",
        )
        .bind(clock::now())
        .bind(new.experiment)
        .bind(new.training_run)
        .bind(new.trial)
        .bind(&new.kind)
        .bind(&new.payload)
        .fetch_one(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(id)
    }
}

impl Reader {
    /// The id of the newest event, or 0: where a reader starts that wants only what comes.
    pub async fn last_event(&self) -> Result<EventId> {
        sqlx::query_scalar("select coalesce(max(id), 0) from event").fetch_one(&self.pool).await.at(self)
    }

    /// At most `limit` events after `id`, oldest first.
    pub async fn events_after(&self, id: EventId, limit: u32) -> Result<Vec<EventRow>> {
        sqlx::query_as("select * from event where id > ? order by id limit ?")
            .bind(id)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }

    /// At most `limit` events of the experiment after `id`, oldest first.
    pub async fn experiment_events(&self, experiment: ExperimentId, id: EventId, limit: u32) -> Result<Vec<EventRow>> {
        sqlx::query_as("select * from event where id > ? and experiment_id = ? order by id limit ?")
            .bind(id)
            .bind(experiment)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }

    /// Which meshes computed each training run, one after the other, as far as its starts were told in this store.
    pub async fn training_meshes(&self) -> Result<Vec<(TrainingRunId, String)>> {
        sqlx::query_as(
            "select training_run_id, payload ->> 'mesh' as mesh from event
             where kind = 'training started' and training_run_id is not null and mesh is not null
             group by training_run_id, mesh order by min(id)",
        )
        .fetch_all(&self.pool)
        .await
        .at(self)
    }

    /// The experiment's newest events whose kind is `like` this pattern of SQL, newest first.
    pub async fn newest_events(&self, experiment: ExperimentId, like: &str, limit: u32) -> Result<Vec<EventRow>> {
        sqlx::query_as("select * from event where experiment_id = ? and kind like ? order by id desc limit ?")
            .bind(experiment)
            .bind(like)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::Workbench;
    use super::*;

    #[tokio::test]
    async fn a_reader_goes_on_behind_the_last_event_it_saw() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        assert_eq!(store.last_event().await.unwrap(), EventId(0));
        let mut ids = Vec::new();
        for number in 0..5 {
            let event = NewEvent {
                experiment: Some(bench.experiment),
                training_run: None,
                trial: Some(bench.trial),
                kind: "sample".into(),
                payload: serde_json::json!({ "number": number }),
            };
            ids.push(store.append_event(&event).await.unwrap());
        }
        let first = store.events_after(EventId(0), 2).await.unwrap();
        assert_eq!(first.iter().map(|event| event.id).collect::<Vec<_>>(), ids[..2]);
        assert_eq!((first[0].trial_id, first[0].training_run_id), (Some(bench.trial), None));
        let rest = store.events_after(first[1].id, 100).await.unwrap();
        assert_eq!(rest.iter().map(|event| event.id).collect::<Vec<_>>(), ids[2..]);
        assert_eq!(rest[2].payload, serde_json::json!({ "number": 4 }));
        assert_eq!(store.last_event().await.unwrap(), ids[4]);
        assert!(store.events_after(ids[4], 100).await.unwrap().is_empty());
    }
    #[tokio::test]
    async fn an_experiment_has_its_own_events() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let tell = async |experiment, kind: &str| {
            let (training_run, trial) = (None, None);
            let event = NewEvent { experiment, training_run, trial, kind: kind.into(), payload: Value::Null };
            store.append_event(&event).await.unwrap()
        };
        let ours = Some(bench.experiment);
        let mut ids = Vec::new();
        for kind in ["run started", "trial started", "trial done", "run done"] {
            tell(None, "run of another").await;
            ids.push(tell(ours, kind).await);
        }
        let id = |events: Vec<EventRow>| events.iter().map(|event| event.id).collect::<Vec<_>>();
        let experiment = bench.experiment;
        assert_eq!(id(store.experiment_events(experiment, EventId(0), 3).await.unwrap()), ids[..3]);
        assert_eq!(id(store.experiment_events(experiment, ids[1], 3).await.unwrap()), ids[2..]);
        assert_eq!(id(store.newest_events(experiment, "%", 2).await.unwrap()), [ids[3], ids[2]]);
        assert_eq!(id(store.newest_events(experiment, "run %", 9).await.unwrap()), [ids[3], ids[0]]);
        assert!(store.newest_events(ExperimentId(99), "%", 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_training_run_was_computed_by_the_meshes_that_its_starts_name() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        for (kind, payload) in [
            ("training started", serde_json::json!({ "seed": 0 })),
            ("training started", serde_json::json!({ "mesh": "data=2,sequence=1" })),
            ("training stopped", serde_json::json!({ "mesh": "data=9,sequence=1" })),
            ("training started", serde_json::json!({ "mesh": "data=1,sequence=1" })),
            ("training started", serde_json::json!({ "mesh": "data=2,sequence=1" })),
        ] {
            let (experiment, training_run) = (Some(bench.experiment), Some(bench.run));
            let event = NewEvent { experiment, training_run, trial: None, kind: kind.into(), payload };
            store.append_event(&event).await.unwrap();
        }
        let meshes = ["data=2,sequence=1", "data=1,sequence=1"].map(|mesh| (bench.run, mesh.to_owned()));
        assert_eq!(store.training_meshes().await.unwrap(), meshes);
    }
}
