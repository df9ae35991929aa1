//! Table `metric`: what a number means. A metric that comes to mean something else gets a new version.

use super::error::At;
use crate::metric::Direction;

use super::{MetricId, Reader, Result, Store, StoreError, Stored};

/// A metric to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMetric {
    /// Its name, such as `psnr`.
    pub name: String,
    /// Raised whenever its arithmetic changes; from 1.
    pub version: u32,
    /// Its unit, such as `dB`; empty if it has none.
    pub unit: String,
    /// Which way it gets better.
    pub direction: Direction,
    /// Whether another run of the same trial may differ (times do).
    pub noisy: bool,
}

/// A stored metric.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct MetricRow {
    /// Its id.
    pub id: MetricId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// Which way it gets better.
    pub direction: Direction,
    /// Whether another run of the same trial may differ.
    pub noisy: bool,
}

impl Store {
    /// The metric with this name and version, stored now if it is new.
    ///
    /// # Errors
    /// [`MetricChanged`](StoreError::MetricChanged): unit, direction or noisiness differ from what is stored.
    pub async fn put_metric(&self, new: &NewMetric) -> Result<Stored<MetricId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into metric (name, version, unit, direction, noisy) values (?, ?, ?, ?, ?)
             on conflict (name, version) do nothing returning id",
        )
        .bind(&new.name)
        .bind(new.version)
        .bind(&new.unit)
        .bind(new.direction)
        .bind(new.noisy)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let stored = match inserted {
            Some(id) => Stored { id, existed: false },
            None => {
                let row: MetricRow = sqlx::query_as("select * from metric where name = ? and version = ?")
                    .bind(&new.name)
                    .bind(new.version)
                    .fetch_one(&mut *transaction)
                    .await
                    .at(self)?;
                same_meaning(&row, new)?;
                Stored { id: row.id, existed: true }
            }
        };
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

fn same_meaning(row: &MetricRow, new: &NewMetric) -> Result<()> {
    let meaning = |unit: &str, direction: Direction, noisy: bool| {
        format!("{unit}, {direction:?} is better, {}", if noisy { "noisy" } else { "exact" })
    };
    let stored = meaning(&row.unit, row.direction, row.noisy);
    let asked = meaning(&new.unit, new.direction, new.noisy);
    if stored == asked {
        return Ok(());
    }
    Err(StoreError::MetricChanged { name: new.name.clone(), version: new.version, stored, asked })
}

impl Reader {
    /// All metrics by name, then version.
    pub async fn metrics(&self) -> Result<Vec<MetricRow>> {
        sqlx::query_as("select * from metric order by name, version").fetch_all(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::Workbench;
    use super::*;

    #[tokio::test]
    async fn a_metric_keeps_its_meaning_or_gets_a_new_version() {
        let bench = Workbench::new().await;
        let lpips = NewMetric {
            name: "lpips".into(),
            version: 1,
            unit: String::new(),
            direction: Direction::Lower,
            noisy: false,
        };
        let first = bench.store.put_metric(&lpips).await.unwrap();
        assert_eq!(bench.store.put_metric(&lpips).await.unwrap(), Stored { id: first.id, existed: true });

        let turned = NewMetric { direction: Direction::Higher, ..lpips.clone() };
        let error = bench.store.put_metric(&turned).await.unwrap_err().to_string();
        assert!(error.contains("lpips version 1") && error.contains("new version"), "{error}");

        let second = bench.store.put_metric(&NewMetric { version: 2, ..turned }).await.unwrap();
        assert!(!second.existed && second.id != first.id);
        let names: Vec<_> =
            bench.store.metrics().await.unwrap().into_iter().map(|row| (row.name, row.version)).collect();
        assert_eq!(
            names,
            [("lpips".into(), 1), ("lpips".into(), 2), ("psnr".into(), 1), ("tokens".into(), 1)] as [(String, u32); 4]
        );
    }
}
