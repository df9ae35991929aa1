//! Table `training_point`: what was seen along a training run, reported in batches while it trains.

use super::error::{At, finite};
use super::{Reader, Result, Store, Subject, TrainingRunId};

/// What was seen at one step of training.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct TrainingPoint {
    /// The step, from 1.
    pub step: u32,
    /// The loss that was minimized.
    pub loss: f64,
    /// Its mean squared error part.
    pub mse: f64,
    /// Its Kullback-Leibler part, before weighting; 0 without one.
    pub kl: f64,
    /// Its perceptual part, after weighting; 0 without one.
    pub perceptual: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Norm of the gradient, before clipping.
    pub gradient_norm: f64,
    /// Tokens trained on per second.
    pub tokens_per_second: f64,
}

impl Store {
    /// The run has come to `step`, `seconds` after its start or its last report; `points` are those since then.
    ///
    /// # Errors
    /// [`NotFinite`](super::StoreError::NotFinite) if the training has diverged: fail the run then.
    /// [`WrongStatus`](super::StoreError::WrongStatus) if it is not running.
    pub async fn report_training(
        &self,
        run: TrainingRunId,
        step: u32,
        seconds: f64,
        points: &[TrainingPoint],
    ) -> Result<()> {
        finite(seconds, || format!("the time spent on training run {run}"))?;
        for point in points {
            point.check(run)?;
        }
        let mut transaction = self.begin().await?;
        let update =
            sqlx::query("update training_run set step = ?, seconds = seconds + ? where id = ? and status = 'running'")
                .bind(step)
                .bind(seconds)
                .bind(run);
        Subject::from(run).update("report on", "running", update, self, &mut transaction).await?;
        for point in points {
            sqlx::query(
                "insert into training_point
                     (training_run_id, step, loss, mse, kl, perceptual, learning_rate, gradient_norm, tokens_per_second)
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(run)
            .bind(point.step)
            .bind(point.loss)
            .bind(point.mse)
            .bind(point.kl)
            .bind(point.perceptual)
            .bind(point.learning_rate)
            .bind(point.gradient_norm)
            .bind(point.tokens_per_second)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        }
        transaction.commit().await.at(self)
    }
}

impl TrainingPoint {
    fn check(&self, run: TrainingRunId) -> Result<()> {
        for (name, value) in [
            ("loss", self.loss),
            ("mse", self.mse),
            ("kl", self.kl),
            ("perceptual loss", self.perceptual),
            ("learning rate", self.learning_rate),
            ("gradient norm", self.gradient_norm),
            ("tokens per second", self.tokens_per_second),
        ] {
            finite(value, || format!("{name} of training run {run} at step {}", self.step))?;
        }
        Ok(())
    }
}

impl Reader {
    /// The run's points after `step` (0: all), by step.
    pub async fn training_points(&self, run: TrainingRunId, step: u32) -> Result<Vec<TrainingPoint>> {
        sqlx::query_as("select * from training_point where training_run_id = ? and step > ? order by step")
            .bind(run)
            .bind(step)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainingStatus;
    use super::super::tests::fixture::{Workbench, point};
    use super::*;

    async fn steps(bench: &Workbench) -> Vec<u32> {
        bench.store.training_points(bench.run, 0).await.unwrap().iter().map(|point| point.step).collect()
    }

    #[tokio::test]
    async fn a_killed_run_goes_on_from_its_checkpoint_without_the_points_after_it() {
        let bench = Workbench::new().await;
        let (store, run) = (&bench.store, bench.run);
        store.start_training(run, 0).await.unwrap();
        store.report_training(run, 20, 2.0, &[point(10), point(20)]).await.unwrap();
        store.report_training(run, 40, 2.0, &[point(30), point(40)]).await.unwrap();
        let started = store.training_run(run).await.unwrap().started_at;

        store.start_training(run, 20).await.unwrap();
        assert_eq!(steps(&bench).await, [10, 20]);
        store.report_training(run, 30, 1.5, &[point(30)]).await.unwrap();
        let row = store.training_run(run).await.unwrap();
        assert_eq!((row.step, row.seconds, row.status), (30, 5.5, TrainingStatus::Running));
        assert_eq!((row.started_at.is_some(), row.started_at), (true, started));
        let newer: Vec<_> = store.training_points(run, 10).await.unwrap().iter().map(|point| point.step).collect();
        assert_eq!(newer, [20, 30]);
    }

    #[tokio::test]
    async fn a_diverged_point_is_refused_with_its_batch() {
        let bench = Workbench::new().await;
        let (store, run) = (&bench.store, bench.run);
        store.start_training(run, 0).await.unwrap();
        let diverged = TrainingPoint { loss: f64::NAN, ..point(2) };
        let error = store.report_training(run, 2, 1.0, &[point(1), diverged]).await.unwrap_err().to_string();
        assert!(error.contains("loss of training run") && error.contains("at step 2 is NaN"), "{error}");
        assert!(steps(&bench).await.is_empty());
        // The same step twice: the whole batch and the progress are undone.
        assert!(store.report_training(run, 3, 1.0, &[point(3), point(3)]).await.is_err());
        assert_eq!((steps(&bench).await.len(), store.training_run(run).await.unwrap().step), (0, 0));
    }
}
