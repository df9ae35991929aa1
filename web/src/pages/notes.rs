//! Notes about an experiment or one of its trials: a part of their pages, and the forms in it.

use askama::Template;
use axum::extract::State;
use axum::response::Redirect;
use evaluator::store::{ExperimentId, MOST_NOTE_CHARACTERS, NoteId, NoteRow, Reader, Result, TrialId, TrialReport};
use serde::Deserialize;

use super::trial_title;
use crate::database::Database;
use crate::error::Problem;
use crate::extract::{Form, Path};
use crate::format;

/// The notes, and the forms that change them.
#[derive(Debug, Template)]
#[template(path = "notes.html")]
pub struct Notes {
    page: Place,
    /// Oldest first.
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Note {
    row: NoteRow,
    /// What the trial is called that it is about, where the page does not say so.
    about: Option<(TrialId, String)>,
}

/// Whose page notes are on.
#[derive(Debug, Clone, Copy)]
struct Place {
    experiment: ExperimentId,
    trial: Option<TrialId>,
}

/// A note to write.
#[derive(Debug, Deserialize)]
pub struct Written {
    text: String,
}

/// Where a note was deleted.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// On this trial's page, or on the experiment's.
    trial: Option<TrialId>,
}

impl Notes {
    /// For the page of the experiment with these trials: what was written about it, and about any of them.
    pub async fn of_experiment(reader: &Reader, experiment: ExperimentId, trials: &[TrialReport]) -> Result<Self> {
        let title = |id: TrialId| {
            let trial = trials.iter().find(|trial| trial.id == id);
            (id, trial.map_or_else(|| format!("trial {id}"), trial_title))
        };
        let note = |row: NoteRow| Note { about: row.trial_id.map(title), row };
        let notes = reader.notes(experiment).await?.into_iter().map(note).collect();
        Ok(Self { page: Place { experiment, trial: None }, notes })
    }

    /// For the page of one of its trials: what was written about that.
    pub async fn of_trial(reader: &Reader, experiment: ExperimentId, trial: TrialId) -> Result<Self> {
        let rows = reader.notes_about(experiment, trial).await?;
        let notes = rows.into_iter().map(|row| Note { row, about: None }).collect();
        Ok(Self { page: Place { experiment, trial: Some(trial) }, notes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.notes.len()
    }
}

impl Place {
    fn address(self) -> String {
        match self {
            Self { experiment, trial: None } => format!("/experiments/{experiment}"),
            Self { experiment, trial: Some(trial) } => format!("/experiments/{experiment}/trials/{trial}"),
        }
    }
}

/// Writes a note about the experiment.
pub async fn add(
    database: State<Database>,
    Path(experiment): Path<ExperimentId>,
    note: Form<Written>,
) -> Result<Redirect, Problem> {
    write(database, Place { experiment, trial: None }, note).await
}

/// Writes a note about one of its trials.
pub async fn add_about_trial(
    database: State<Database>,
    Path((experiment, trial)): Path<(ExperimentId, TrialId)>,
    note: Form<Written>,
) -> Result<Redirect, Problem> {
    write(database, Place { experiment, trial: Some(trial) }, note).await
}

async fn write(State(database): State<Database>, page: Place, Form(note): Form<Written>) -> Result<Redirect, Problem> {
    let id = database.write(async |store| store.add_note(page.experiment, page.trial, &note.text).await).await?;
    Ok(Redirect::to(&format!("{}#note-{id}", page.address())))
}

/// Deletes a note.
pub async fn delete(
    State(database): State<Database>,
    Path((experiment, note)): Path<(ExperimentId, NoteId)>,
    Form(seen): Form<Seen>,
) -> Result<Redirect, Problem> {
    database.write(async |store| store.delete_note(experiment, note).await).await?;
    Ok(Redirect::to(&format!("{}#notes", Place { experiment, trial: seen.trial }.address())))
}
