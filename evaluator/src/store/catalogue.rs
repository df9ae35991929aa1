//! What a catalogue of all finished trials is made of, read an experiment at a time, and whether it is still true.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::sync::Mutex;

use super::error::At;
use super::{DatasetId, ExperimentId, MetricId, ProtocolId, Reader, Result, TrainingRunId, TrialId};

/// What an experiment's finished trials are known by: if it is equal, they are the same.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Holdings {
    /// The experiment.
    pub id: ExperimentId,
    /// Its name.
    pub name: String,
    /// How many trials it has.
    pub trials: i64,
    /// How many are done.
    pub done: i64,
    /// Sum of the finished trials' ids: another when one takes the place of another.
    pub sum: i64,
}

/// A finished trial with the means of everything that was measured.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct FinishedTrial {
    /// The trial.
    pub id: TrialId,
    /// Its place in the experiment.
    pub ordinal: u32,
    /// The variant's name in the experiment.
    pub variant: String,
    /// The resolved configuration.
    pub config: Value,
    /// The run whose weights are evaluated; none for a codec.
    pub training_run_id: Option<TrainingRunId>,
    /// The test set.
    pub dataset_id: DatasetId,
    /// How it is measured.
    pub protocol_id: ProtocolId,
    /// The search strategy's name.
    pub strategy: String,
    /// The distortion asked for, if the strategy asks for one.
    pub threshold: Option<f64>,
    /// Seed of model and strategy.
    pub seed: i64,
    /// Its summaries by metric.
    #[sqlx(skip)]
    pub means: Vec<Mean>,
}

/// The mean of a metric over a trial's samples.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Mean {
    /// The metric.
    pub metric_id: MetricId,
    /// The mean.
    pub mean: f64,
    /// Lower end of its interval, clustered by source.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

#[derive(sqlx::FromRow)]
struct TrialMean {
    trial_id: TrialId,
    #[sqlx(flatten)]
    mean: Mean,
}

// `+status`: by its index SQLite would go through all finished trials of the store for each experiment.

pub(super) const HOLDINGS: &str = "
    select experiment.id, experiment.name, count(trial.id) as trials,
           count(trial.id) filter (where status = 'done') as done,
           coalesce(sum(trial.id) filter (where status = 'done'), 0) as sum
    from experiment
    left join experiment_trial on experiment_id = experiment.id
    left join trial on trial.id = trial_id
    group by experiment.id
    order by experiment.id desc";

pub(super) const FINISHED: &str = "
    select trial.id, ordinal, variant, config, training_run_id, dataset_id, protocol_id, strategy, threshold, seed
    from experiment_trial join trial on trial.id = trial_id
    where experiment_id = ? and +status = 'done'
    order by ordinal";

pub(super) const MEANS: &str = "
    select summary.trial_id, metric_id, mean, low, high
    from experiment_trial join summary on summary.trial_id = experiment_trial.trial_id
    where experiment_id = ?";

impl Reader {
    /// Every experiment, newest first, with what its finished trials are known by.
    pub async fn holdings(&self) -> Result<Vec<Holdings>> {
        sqlx::query_as(HOLDINGS).fetch_all(&self.pool).await.at(self)
    }

    /// The experiment's finished trials by ordinal.
    pub async fn finished_trials(&self, experiment: ExperimentId) -> Result<Vec<FinishedTrial>> {
        let mut snapshot = self.snapshot().await?;
        let mut trials: Vec<FinishedTrial> =
            sqlx::query_as(FINISHED).bind(experiment).fetch_all(&mut *snapshot).await.at(self)?;
        let means: Vec<TrialMean> = sqlx::query_as(MEANS).bind(experiment).fetch_all(&mut *snapshot).await.at(self)?;
        snapshot.commit().await.at(self)?;
        let mut by_trial: HashMap<TrialId, Vec<Mean>> = HashMap::with_capacity(trials.len());
        for row in means {
            by_trial.entry(row.trial_id).or_default().push(row.mean);
        }
        for trial in &mut trials {
            // Two variants may share a trial.
            trial.means = by_trial.get(&trial.id).cloned().unwrap_or_default();
        }
        Ok(trials)
    }

    /// A watch over what any process commits to this store.
    pub async fn changes(&self) -> Result<Changes> {
        // Not one of the pool's: that would be missing from it, and closing the pool would wait for it.
        let connection = self.pool.connect_options().connect().await.at(self)?;
        Ok(Changes { reader: self.clone(), state: Mutex::new((connection, None)) })
    }
}

/// Tells whether anything was committed since it was last asked.
#[derive(Debug)]
pub struct Changes {
    reader: Reader,
    /// SQLite counts commits of others for each connection, so it must be always the same one.
    state: Mutex<(SqliteConnection, Option<i64>)>,
}

impl Changes {
    /// Whether anything was committed since the last call; true at the first.
    pub async fn any(&self) -> Result<bool> {
        let (connection, known) = &mut *self.state.lock().await;
        let version = sqlx::query_scalar("pragma data_version").fetch_one(connection).await.at(&self.reader)?;
        Ok(known.replace(version) != Some(version))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, record, summary};
    use super::super::{NewTrial, TrialStatus};
    use super::*;

    #[tokio::test]
    async fn finished_trials_come_with_their_means_and_holdings_tell_of_them() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let before = store.holdings().await.unwrap();
        let one = NewTrial { samples: 1, ..bench.new_trial("one sample") };
        let one = store.put_trial(&one).await.unwrap().id;
        store.link_trial(bench.experiment, 1, "wide", one).await.unwrap();
        let planned = store.holdings().await.unwrap();
        assert_eq!((planned[0].trials, planned[0].done, planned[0].sum), (before[0].trials + 1, 0, 0));
        store.start_trial(one).await.unwrap();
        store.record_sample(one, &record(&bench, bench.samples[0])).await.unwrap();
        store.finish_trial(one, &[summary(bench.psnr, 30.5)]).await.unwrap();
        let done = store.holdings().await.unwrap();
        assert_eq!((done[0].done, done[0].sum), (1, one.0));
        let trials = store.finished_trials(bench.experiment).await.unwrap();
        assert_eq!(trials.len(), 1, "the other one is {:?}", TrialStatus::Pending);
        assert_eq!((trials[0].id, trials[0].variant.as_str()), (one, "wide"));
        let mean = Mean { metric_id: bench.psnr, mean: 30.5, low: Some(29.5), high: Some(31.5) };
        assert_eq!(trials[0].means, [mean]);
    }

    #[tokio::test]
    async fn a_commit_is_noticed_once() {
        let bench = Workbench::new().await;
        let changes = bench.store.changes().await.unwrap();
        let mut seen = vec![changes.any().await.unwrap(), changes.any().await.unwrap()];
        bench.store.add_tag(bench.experiment, "paper").await.unwrap();
        seen.extend([changes.any().await.unwrap(), changes.any().await.unwrap()]);
        assert_eq!(seen, [true, false, true, false]);
    }
}
