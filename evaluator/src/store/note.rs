//! Tables `note` and `tag`: what people remember about an experiment.
//!
//! They come from people's keyboards, so what they may be is decided here, for all who write them.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::error::At;
use super::{ExperimentId, NoteId, Reader, Result, Store, StoreError, TrialId, clock};

/// Of the longest tag; the schema checks it too.
pub const MOST_TAG_CHARACTERS: usize = 64;
/// Of the longest note.
pub const MOST_NOTE_CHARACTERS: usize = 10_000;

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
    /// Writes a note about an experiment, or about one of its trials: 1 to [`MOST_NOTE_CHARACTERS`] characters on any
    /// number of lines, without the space around them.
    ///
    /// # Errors
    /// [`TextLength`](StoreError::TextLength), [`ControlCharacter`](StoreError::ControlCharacter), and
    /// [`NotFound`](StoreError::NotFound) for an experiment that is not there or does not have the trial.
    pub async fn add_note(&self, experiment: ExperimentId, trial: Option<TrialId>, text: &str) -> Result<NoteId> {
        // Browsers send the lines of a form so.
        let text = text.replace("\r\n", "\n");
        let text = checked("note", &text, MOST_NOTE_CHARACTERS, &['\n', '\t'])?;
        let mut transaction = self.begin().await?;
        self.require(experiment, trial, &mut transaction).await?;
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

    /// Deletes one of the experiment's notes.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound), also for another experiment's.
    pub async fn delete_note(&self, experiment: ExperimentId, note: NoteId) -> Result<()> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query("delete from note where id = ? and experiment_id = ?")
            .bind(note)
            .bind(experiment)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)?;
        match deleted.rows_affected() {
            0 => Err(StoreError::not_found("note", format!("{note} about experiment {experiment}"))),
            _ => Ok(()),
        }
    }

    /// Tags an experiment with 1 to [`MOST_TAG_CHARACTERS`] characters, without the space around them; no matter if it
    /// has the tag already.
    ///
    /// # Errors
    /// [`TextLength`](StoreError::TextLength), [`ControlCharacter`](StoreError::ControlCharacter), and
    /// [`NotFound`](StoreError::NotFound) for an experiment that is not there.
    pub async fn add_tag(&self, experiment: ExperimentId, name: &str) -> Result<()> {
        let name = checked("tag", name, MOST_TAG_CHARACTERS, &[])?;
        let mut transaction = self.begin().await?;
        self.require(experiment, None, &mut transaction).await?;
        sqlx::query("insert into tag (experiment_id, name) values (?, ?) on conflict (experiment_id, name) do nothing")
            .bind(experiment)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }

    /// Removes a tag; no matter if the experiment does not have it.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) for an experiment that is not there.
    pub async fn remove_tag(&self, experiment: ExperimentId, name: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        self.require(experiment, None, &mut transaction).await?;
        sqlx::query("delete from tag where experiment_id = ? and name = ?")
            .bind(experiment)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }

    /// Refuses an experiment that is not there, and a trial that it does not have.
    async fn require(
        &self,
        experiment: ExperimentId,
        trial: Option<TrialId>,
        connection: &mut SqliteConnection,
    ) -> Result<()> {
        let (is_there, has_trial): (bool, bool) = sqlx::query_as(
            "select exists (select 1 from experiment where id = ?1),
                    exists (select 1 from experiment_trial where experiment_id = ?1 and trial_id = ?2)",
        )
        .bind(experiment)
        .bind(trial)
        .fetch_one(connection)
        .await
        .at(self)?;
        match trial {
            _ if !is_there => Err(StoreError::not_found("experiment", experiment)),
            Some(trial) if !has_trial => {
                Err(StoreError::not_found("trial", format!("{trial} in experiment {experiment}")))
            }
            _ => Ok(()),
        }
    }
}

/// The text without the space around it.
fn checked<'a>(what: &'static str, text: &'a str, most: usize, allowed: &[char]) -> Result<&'a str> {
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=most).contains(&length) {
        return Err(StoreError::TextLength { what, length, most });
    }
    match text.chars().find(|character| character.is_control() && !allowed.contains(character)) {
        Some(character) => Err(StoreError::ControlCharacter { what, character }),
        None => Ok(text),
    }
}

pub(super) const NOTES: &str = "select * from note where experiment_id = ? order by id";
pub(super) const NOTES_ABOUT: &str = "select * from note where experiment_id = ? and trial_id = ? order by id";
pub(super) const TAGS: &str = "select name from tag where experiment_id = ? order by name";
pub(super) const TAGS_OF: &str = "
    select experiment_id, name from tag
    where experiment_id in (select value from json_each(?))
    order by experiment_id, name";

impl Reader {
    /// The experiment's notes, with those about its trials, oldest first.
    pub async fn notes(&self, experiment: ExperimentId) -> Result<Vec<NoteRow>> {
        sqlx::query_as(NOTES).bind(experiment).fetch_all(&self.pool).await.at(self)
    }

    /// The experiment's notes about this trial, oldest first.
    pub async fn notes_about(&self, experiment: ExperimentId, trial: TrialId) -> Result<Vec<NoteRow>> {
        sqlx::query_as(NOTES_ABOUT).bind(experiment).bind(trial).fetch_all(&self.pool).await.at(self)
    }

    /// The experiment's tags by name.
    pub async fn tags(&self, experiment: ExperimentId) -> Result<Vec<String>> {
        sqlx::query_scalar(TAGS).bind(experiment).fetch_all(&self.pool).await.at(self)
    }

    /// The tags of each of these experiments by name; those without any are left out.
    pub async fn tags_of(&self, experiments: &[ExperimentId]) -> Result<HashMap<ExperimentId, Vec<String>>> {
        let rows: Vec<(ExperimentId, String)> =
            sqlx::query_as(TAGS_OF).bind(serde_json::json!(experiments)).fetch_all(&self.pool).await.at(self)?;
        let mut tags: HashMap<_, Vec<_>> = HashMap::new();
        for (experiment, name) in rows {
            tags.entry(experiment).or_default().push(name);
        }
        Ok(tags)
    }

    /// At most so many of all tags: those of the most experiments, most first.
    pub async fn tags_in_use(&self, most: u32) -> Result<Vec<String>> {
        // Goes through all of them: they are few.
        sqlx::query_scalar("select name from tag group by name order by count(*) desc, name limit ?")
            .bind(most)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NewExperiment;
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    async fn another(store: &Store, name: &str) -> ExperimentId {
        let new = NewExperiment {
            key: key(name),
            name: name.into(),
            question: String::new(),
            source: String::new(),
            config: serde_json::json!({}),
        };
        store.put_experiment(&new).await.unwrap().id
    }

    #[tokio::test]
    async fn notes_come_oldest_first_and_can_be_deleted() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        let first = store.add_note(experiment, None, "the curve is too flat").await.unwrap();
        store.add_note(experiment, Some(bench.trial), "an outlier: 夜景 '; drop table note").await.unwrap();
        let notes = store.notes(experiment).await.unwrap();
        assert_eq!((notes.len(), notes[0].id, notes[1].trial_id), (2, first, Some(bench.trial)));
        assert_eq!(notes[1].text, "an outlier: 夜景 '; drop table note");
        assert_eq!(store.notes_about(experiment, bench.trial).await.unwrap(), notes[1..]);
        store.delete_note(experiment, first).await.unwrap();
        assert_eq!(store.notes(experiment).await.unwrap(), notes[1..]);
        let error = store.delete_note(experiment, first).await.unwrap_err();
        assert_eq!(error.to_string(), "the store has no note 1 about experiment 1");
    }

    #[tokio::test]
    async fn a_note_is_of_one_experiment_and_about_one_of_its_trials() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        let other = another(store, "other").await;
        let note = store.add_note(experiment, Some(bench.trial), "ours").await.unwrap();
        for (experiment, trial) in
            [(other, Some(bench.trial)), (experiment, Some(TrialId(99))), (ExperimentId(99), None)]
        {
            let refused = store.add_note(experiment, trial, "lost").await;
            assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
        }
        assert!(matches!(store.delete_note(other, note).await, Err(StoreError::NotFound { .. })));
        assert_eq!(store.notes(experiment).await.unwrap().len(), 1);
        assert_eq!(store.notes_about(other, bench.trial).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_note_keeps_its_lines_and_has_a_length() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        store.add_note(experiment, None, " \r\n\tfirst\r\n\r\n  second\tline \r\n").await.unwrap();
        store.add_note(experiment, None, &"夜".repeat(MOST_NOTE_CHARACTERS)).await.unwrap();
        let lines = "é\r\n".repeat(MOST_NOTE_CHARACTERS / 2);
        store.add_note(experiment, None, &lines).await.unwrap();
        assert_eq!(store.notes(experiment).await.unwrap()[0].text, "first\n\n  second\tline");
        for (text, length) in [("", 0), (" \r\n\t", 0), ("é".repeat(10_001).as_str(), 10_001)] {
            let error = store.add_note(experiment, None, text).await.unwrap_err();
            assert_eq!(error.to_string(), format!("a note has 1 to 10000 characters, and this one has {length}"));
        }
        for (text, character) in [("a\0b", '\0'), ("a\rb", '\r'), ("\u{1b}[2J", '\u{1b}'), ("a\u{85}b", '\u{85}')] {
            let error = store.add_note(experiment, None, text).await.unwrap_err();
            assert!(matches!(error, StoreError::ControlCharacter { character: found, .. } if found == character));
        }
        assert_eq!(store.notes(experiment).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_tag_is_set_once_and_has_a_length() {
        let bench = Workbench::new().await;
        let (store, experiment) = (&bench.store, bench.experiment);
        for tag in ["paper", "baseline", " paper\n"] {
            store.add_tag(experiment, tag).await.unwrap();
        }
        assert_eq!(store.tags(experiment).await.unwrap(), ["baseline", "paper"]);
        store.remove_tag(experiment, "baseline").await.unwrap();
        store.remove_tag(experiment, "never set").await.unwrap();
        assert_eq!(store.tags(experiment).await.unwrap(), ["paper"]);
        for (wrong, length) in [("", 0), (" ", 0), ("x".repeat(65).as_str(), 65)] {
            let error = store.add_tag(experiment, wrong).await.unwrap_err();
            assert_eq!(error.to_string(), format!("a tag has 1 to 64 characters, and this one has {length}"));
        }
        for wrong in ["two\nlines", "a\tb", "a\0b", "a\u{7f}b"] {
            let error = store.add_tag(experiment, wrong).await.unwrap_err();
            assert!(matches!(error, StoreError::ControlCharacter { .. }), "{error}");
        }
        let missing = ExperimentId(99);
        assert!(matches!(store.add_tag(missing, "lost").await, Err(StoreError::NotFound { .. })));
        assert!(matches!(store.remove_tag(missing, "lost").await, Err(StoreError::NotFound { .. })));
        store.add_tag(experiment, &"é".repeat(MOST_TAG_CHARACTERS)).await.unwrap();
        assert_eq!(store.tags(experiment).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_schema_and_the_check_agree_on_the_longest_tag() {
        let bench = Workbench::new().await;
        for (length, fits) in [(MOST_TAG_CHARACTERS, true), (MOST_TAG_CHARACTERS + 1, false)] {
            let insert = sqlx::query("insert into tag (experiment_id, name) values (?, ?)");
            let inserted = insert.bind(bench.experiment).bind("𝄞".repeat(length)).execute(&bench.store.writer).await;
            assert_eq!(inserted.is_ok(), fits, "{length}");
        }
    }

    #[tokio::test]
    async fn tags_of_many_experiments_come_at_once_and_those_in_use_most_used_first() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let (second, third) = (another(store, "second").await, another(store, "third").await);
        for (experiment, tag) in [(bench.experiment, "b"), (bench.experiment, "a"), (second, "b"), (second, "c")] {
            store.add_tag(experiment, tag).await.unwrap();
        }
        let tags = store.tags_of(&[bench.experiment, third]).await.unwrap();
        assert_eq!(tags, HashMap::from([(bench.experiment, vec!["a".to_owned(), "b".to_owned()])]));
        assert_eq!(store.tags_of(&[]).await.unwrap(), HashMap::new());
        assert_eq!(store.tags_in_use(10).await.unwrap(), ["b", "a", "c"]);
        assert_eq!(store.tags_in_use(2).await.unwrap(), ["b", "a"]);
    }
}
