//! Table `experiment`: one resolved configuration, whose trials answer one question.

use serde_json::Value;

use super::error::At;
use super::{ContentHash, ExperimentId, Reader, Result, Store, StoreError, Stored, clock};

/// An experiment to store.
#[derive(Debug, Clone)]
pub struct NewExperiment {
    /// Hash of the resolved configuration.
    pub key: ContentHash,
    /// Its name, for people.
    pub name: String,
    /// The file's leading question.
    pub question: String,
    /// The TOML as it was written.
    pub source: String,
    /// The resolved configuration.
    pub config: Value,
}

/// A stored experiment.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ExperimentRow {
    /// Its id.
    pub id: ExperimentId,
    /// Hash of the resolved configuration.
    pub key: ContentHash,
    /// Its name, for people.
    pub name: String,
    /// The file's leading question.
    pub question: String,
    /// The TOML as it was written.
    pub source: String,
    /// The resolved configuration.
    pub config: Value,
    /// When it was first stored: UTC, RFC 3339.
    pub created_at: String,
    /// How many trials it has.
    pub trials: u32,
    /// How many of them are done.
    pub trials_done: u32,
}

impl Store {
    /// The experiment with this key, stored now if it is new.
    pub async fn put_experiment(&self, new: &NewExperiment) -> Result<Stored<ExperimentId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into experiment (key, name, question, source, config, created_at) values (?, ?, ?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.name)
        .bind(&new.question)
        .bind(&new.source)
        .bind(&new.config)
        .bind(clock::now())
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let stored = Stored::or_found(inserted, "select id from experiment where key = ?", new.key, &mut transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

// `+status` everywhere beside an experiment: by its index SQLite would go through all finished trials of the store.

pub(super) const TAGGED: &str = "
    select *,
           (select count(*) from experiment_trial where experiment_id = experiment.id) as trials,
           (select count(*) from experiment_trial join trial on trial.id = trial_id
            where experiment_id = experiment.id and +status = 'done') as trials_done
    from experiment
    where not exists (select 1 from json_each(?) as wanted
                      where not exists (select 1 from tag where experiment_id = experiment.id and name = wanted.value))
    order by id desc";

impl Reader {
    /// One experiment.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn experiment(&self, id: ExperimentId) -> Result<ExperimentRow> {
        sqlx::query_as(
            "select *,
                    (select count(*) from experiment_trial where experiment_id = experiment.id) as trials,
                    (select count(*) from experiment_trial join trial on trial.id = trial_id
                     where experiment_id = experiment.id and +status = 'done') as trials_done
             from experiment where id = ?",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .at(self)?
        .ok_or_else(|| StoreError::not_found("experiment", id))
    }

    /// The newest experiment with this name: a changed configuration makes a new one under the old name.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn experiment_by_name(&self, name: &str) -> Result<ExperimentRow> {
        let id = sqlx::query_scalar("select id from experiment where name = ? order by id desc limit 1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("experiment", name))?;
        self.experiment(id).await
    }

    /// When something of the experiment last began or ended: UTC, RFC 3339.
    pub async fn last_activity(&self, id: ExperimentId) -> Result<String> {
        // Times of this form sort as text.
        sqlx::query_scalar(
            "select max(at) from (
                 select created_at as at from experiment where id = ?1
                 union all
                 select max(coalesce(finished_at, started_at)) from experiment_trial join trial on trial.id = trial_id
                 where experiment_id = ?1
                 union all
                 select max(coalesce(finished_at, started_at))
                 from experiment_training join training_run on training_run.id = training_run_id
                 where experiment_id = ?1)",
        )
        .bind(id)
        .fetch_one(&self.pool)
        .await
        .at(self)
    }

    /// All experiments, newest first.
    pub async fn experiments(&self) -> Result<Vec<ExperimentRow>> {
        self.experiments_tagged(&[]).await
    }

    /// The experiments that have all of these tags, newest first.
    pub async fn experiments_tagged(&self, tags: &[String]) -> Result<Vec<ExperimentRow>> {
        sqlx::query_as(TAGGED).bind(serde_json::json!(tags)).fetch_all(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn an_experiment_is_found_again_by_its_key_and_keeps_its_first_words() {
        let bench = Workbench::new().await;
        let new = NewExperiment {
            key: key("sweep"),
            name: "thresholds".into(),
            question: "How many tokens does a threshold cost?".into(),
            source: "name = \"thresholds\"".into(),
            config: serde_json::json!({ "seed": 1 }),
        };
        let first = bench.store.put_experiment(&new).await.unwrap();
        let renamed = NewExperiment { name: "other".into(), ..new.clone() };
        let again = bench.store.put_experiment(&renamed).await.unwrap();
        assert_eq!((first.existed, again), (false, Stored { id: first.id, existed: true }));
        let row = bench.store.experiment(first.id).await.unwrap();
        assert_eq!((row.name, row.config, row.trials), (new.name, new.config, 0));
    }

    #[tokio::test]
    async fn an_experiment_is_listed_by_its_tags_if_it_has_all_of_them() {
        let bench = Workbench::new().await;
        let new = NewExperiment {
            key: key("second"),
            name: "second".into(),
            question: String::new(),
            source: String::new(),
            config: serde_json::json!({}),
        };
        let (first, second) = (bench.experiment, bench.store.put_experiment(&new).await.unwrap().id);
        let hostile = "\"'; drop table tag; --\\";
        for (experiment, tags) in [(first, ["paper", "draft"]), (second, ["paper", hostile])] {
            for tag in tags {
                bench.store.add_tag(experiment, tag).await.unwrap();
            }
        }
        for (tags, expected) in [
            (&[][..], &[second, first][..]),
            (&["paper"], &[second, first]),
            (&["paper", "draft"], &[first]),
            (&["draft", hostile], &[]),
            (&[hostile, "paper", hostile], &[second]),
            (&["Paper"], &[]),
        ] {
            let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
            let found = bench.store.experiments_tagged(&tags).await.unwrap();
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{tags:?}");
        }
    }

    #[tokio::test]
    async fn a_name_finds_its_newest_experiment_and_the_list_is_newest_first() {
        let bench = Workbench::new().await;
        let new = |text: &str| NewExperiment {
            key: key(text),
            name: "same".into(),
            question: String::new(),
            source: String::new(),
            config: serde_json::json!({}),
        };
        let old = bench.store.put_experiment(&new("old")).await.unwrap().id;
        let newest = bench.store.put_experiment(&new("new")).await.unwrap().id;
        assert_eq!(bench.store.experiment_by_name("same").await.unwrap().id, newest);
        let listed: Vec<_> = bench.store.experiments().await.unwrap().iter().map(|row| row.id).collect();
        assert_eq!(listed, [newest, old, bench.experiment]);
        let missing = bench.store.experiment_by_name("none").await.unwrap_err();
        assert_eq!(missing.to_string(), "the store has no experiment none");
    }
}
