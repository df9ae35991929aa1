//! What can be worked on, and therefore leased, started, finished and failed: a training run or a trial.

use std::fmt;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::error::At;
use super::{Reader, Result, StoreError, TrainingRunId, TrialId};

/// One piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A training run.
    TrainingRun(TrainingRunId),
    /// A trial.
    Trial(TrialId),
}

/// `training_run:3` or `trial:17`, as the table `lease` names it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrainingRun(id) => write!(f, "training_run:{id}"),
            Self::Trial(id) => write!(f, "trial:{id}"),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(kind, id)| match kind {
            "training_run" => Some(Self::TrainingRun(id.parse().ok()?)),
            "trial" => Some(Self::Trial(id.parse().ok()?)),
            _ => None,
        });
        parsed.ok_or_else(|| format!("«{text}» is neither a training run nor a trial"))
    }
}

impl From<TrainingRunId> for Subject {
    fn from(id: TrainingRunId) -> Self {
        Self::TrainingRun(id)
    }
}

impl From<TrialId> for Subject {
    fn from(id: TrialId) -> Self {
        Self::Trial(id)
    }
}

impl Subject {
    /// Its status, if there is such a row.
    async fn status(self, connection: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
        let query = match self {
            Self::TrainingRun(id) => sqlx::query_scalar("select status from training_run where id = ?").bind(id.0),
            Self::Trial(id) => sqlx::query_scalar("select status from trial where id = ?").bind(id.0),
        };
        query.fetch_optional(connection).await
    }

    /// Carries out an update of this row that is conditional on its status, or says why it changed nothing.
    pub(super) async fn update(
        self,
        action: &'static str,
        needed: &'static str,
        update: Query<'_, Sqlite, SqliteArguments>,
        store: &Reader,
        connection: &mut SqliteConnection,
    ) -> Result<()> {
        if update.execute(&mut *connection).await.at(store)?.rows_affected() > 0 {
            return Ok(());
        }
        Err(self.refused(action, needed, connection).await.at(store)?)
    }

    /// Why this row's status, or its absence, did not allow something.
    pub(super) async fn refused(
        self,
        action: &'static str,
        needed: &'static str,
        connection: &mut SqliteConnection,
    ) -> Result<StoreError, sqlx::Error> {
        Ok(match (self.status(connection).await?, self) {
            (Some(status), subject) => StoreError::WrongStatus { action, subject, status, needed },
            (None, Self::TrainingRun(id)) => StoreError::not_found("training run", id),
            (None, Self::Trial(id)) => StoreError::not_found("trial", id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_its_text() {
        for subject in [Subject::TrainingRun(TrainingRunId(3)), Subject::Trial(TrialId(17))] {
            assert_eq!(Subject::try_from(subject.to_string()), Ok(subject));
        }
        for wrong in ["", "trial", "trial:", "trial:x", "curve:1"] {
            assert!(Subject::try_from(wrong.to_owned()).is_err(), "{wrong} was accepted");
        }
    }
}
