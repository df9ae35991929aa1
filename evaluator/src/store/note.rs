//! Tables `note` and `tag`: what people remember about an experiment.

use super::error::At;
use super::{ExperimentId, NoteId, Reader, Result, Store, TrialId, clock};

/// A stored note.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct NoteRow {
    /// Its id.
    pub id: NoteId,
    /// The experiment.
    pub experiment_id: ExperimentId,
    /// The trial, if it is about one.
    pub trial_id: Option<TrialId>,
    /// What was written.
    pub text: String,
    /// When: UTC, RFC 3339.
    pub written_at: String,
}

impl Store {
    /// Writes a note about an experiment, or about one of its trials.
    pub async fn add_note(&self, experiment: ExperimentId, trial: Option<TrialId>, text: &str) -> Result<NoteId> {
        let mut transaction = self.begin().await?;
        let id = sqlx::query_scalar(
            "insert into note (experiment_id, trial_id, text, written_at) values (?, ?, ?, ?) returning id",
        )
        .bind(experiment)
        .bind(trial)
        .bind(text)
        .bind(clock::now())
        .fetch_one(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(id)
    }

    /// Deletes a note; no matter if it is gone already.
    pub async fn delete_note(&self, note: NoteId) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from note where id = ?").bind(note).execute(&mut *transaction).await.at(self)?;
        transaction.commit().await.at(self)
    }

    /// Tags an experiment with 1 to 64 characters; no matter if it has the tag already.
    ///
    /// # Errors
    /// [`Refused`](super::StoreError::Refused) for another length.
    pub async fn add_tag(&self, experiment: ExperimentId, name: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("insert into tag (experiment_id, name) values (?, ?) on conflict (experiment_id, name) do nothing")
            .bind(experiment)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }

    /// Removes a tag; no matter if the experiment does not have it.
    pub async fn remove_tag(&self, experiment: ExperimentId, name: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from tag where experiment_id = ? and name = ?")
            .bind(experiment)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }
}

impl Reader {
    /// The experiment's notes, oldest first.
    pub async fn notes(&self, experiment: ExperimentId) -> Result<Vec<NoteRow>> {
        sqlx::query_as("select * from note where experiment_id = ? order by id")
            .bind(experiment)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }

    /// The experiment's tags by name.
    pub async fn tags(&self, experiment: ExperimentId) -> Result<Vec<String>> {
        sqlx::query_scalar("select name from tag where experiment_id = ? order by name")
            .bind(experiment)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoreError;
    use super::super::tests::fixture::Workbench;
    use super::*;

    #[tokio::test]
    async fn notes_come_oldest_first_and_can_be_deleted() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        let first = store.add_note(experiment, None, "the curve is too flat").await.unwrap();
        store.add_note(experiment, Some(bench.trial), "an outlier: 夜景 '; drop table note").await.unwrap();
        let notes = store.notes(experiment).await.unwrap();
        assert_eq!((notes.len(), notes[0].id, notes[1].trial_id), (2, first, Some(bench.trial)));
        assert_eq!(notes[1].text, "an outlier: 夜景 '; drop table note");
        store.delete_note(first).await.unwrap();
        store.delete_note(first).await.unwrap();
        assert_eq!(store.notes(experiment).await.unwrap().len(), 1);
        assert!(matches!(store.add_note(ExperimentId(99), None, "lost").await, Err(StoreError::Refused { .. })));
    }

    #[tokio::test]
    async fn a_tag_is_set_once_and_has_a_length() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        for tag in ["paper", "baseline", "paper"] {
            store.add_tag(experiment, tag).await.unwrap();
        }
        assert_eq!(store.tags(experiment).await.unwrap(), ["baseline", "paper"]);
        store.remove_tag(experiment, "baseline").await.unwrap();
        store.remove_tag(experiment, "never set").await.unwrap();
        assert_eq!(store.tags(experiment).await.unwrap(), ["paper"]);
        for wrong in ["", "x".repeat(65).as_str()] {
            assert!(matches!(store.add_tag(experiment, wrong).await, Err(StoreError::Refused { .. })));
        }
        store.add_tag(experiment, &"é".repeat(64)).await.unwrap();
    }
}
