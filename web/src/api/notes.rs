//! What people wrote, as the API tells it.

use evaluator::store::{NoteId, NoteRow, TrialId};
use serde::Serialize;
use utoipa::ToSchema;

/// A note about an experiment or one of its trials.
#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    /// Its number.
    #[schema(value_type = i64, example = 1)]
    id: NoteId,
    /// The trial that it is about; null if it is about the experiment.
    #[schema(required, value_type = Option<i64>, example = 1)]
    trial: Option<TrialId>,
    /// What was written: plain text of one or more lines.
    #[schema(example = "Worth a second look.")]
    text: String,
    /// When it was written.
    #[schema(format = DateTime, example = "2026-03-01T10:15:00.000Z")]
    written_at: String,
}

impl From<NoteRow> for Note {
    fn from(row: NoteRow) -> Self {
        Self { id: row.id, trial: row.trial_id, text: row.text, written_at: row.written_at }
    }
}
