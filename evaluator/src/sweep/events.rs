//! What a sweep tells other processes: what began, how it ended, and why it failed.
//!
//! Never how far something is: that is read from the rows that grow meanwhile.

use super::Run;
use crate::error::{EvaluatorError, Result};
use crate::store::{NewEvent, Subject};
use serde_json::{Value, json};

impl Run<'_> {
    /// Appends an event of this experiment.
    pub(super) async fn event(&self, kind: &str, subject: Option<Subject>, payload: Value) -> Result<()> {
        let (training_run, trial) = match subject {
            Some(Subject::TrainingRun(run)) => (Some(run), None),
            Some(Subject::Trial(trial)) => (None, Some(trial)),
            None => (None, None),
        };
        let experiment = Some(self.experiment);
        let event = NewEvent { experiment, training_run, trial, kind: kind.to_owned(), payload };
        self.store.append_event(&event).await?;
        Ok(())
    }

    /// Appends that `what` is done, stopped, or failed with its reason.
    pub(super) async fn ended<T>(
        &self,
        what: &str,
        subject: Option<Subject>,
        mut payload: Value,
        outcome: &Result<T>,
    ) -> Result<()> {
        let how = match outcome {
            Ok(_) => "done",
            Err(EvaluatorError::Stopped) => "stopped",
            Err(error) => {
                payload["error"] = json!(error.to_string());
                "failed"
            }
        };
        self.event(&format!("{what} {how}"), subject, payload).await
    }
}
