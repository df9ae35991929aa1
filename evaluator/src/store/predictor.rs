//! Table `predictor`: neural regressors, each trained on the stored curves of one model.

use serde_json::Value;

use super::error::{At, finite};
use super::{ContentHash, DatasetId, PredictorId, ProvenanceId, Reader, Result, Store, Stored, clock};

/// A trained predictor to store.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct NewPredictor {
    /// Hash of the model's weights, the curves, the configuration and the criterion.
    pub key: ContentHash,
    /// The resolved configuration.
    pub config: Value,
    /// The model whose curves it predicts.
    #[sqlx(rename = "weights_hash")]
    pub weights: ContentHash,
    /// The training pictures.
    #[sqlx(rename = "dataset_id")]
    pub dataset: DatasetId,
    /// Program and machine, if recorded.
    #[sqlx(rename = "provenance_id")]
    pub provenance: Option<ProvenanceId>,
    /// Curves it was trained on, those set aside included.
    pub curves: u32,
    /// Photographs these are of.
    pub sources: u32,
    /// Its weights' count.
    pub parameters: u32,
    /// Seconds its training took, without the curves.
    pub seconds: f64,
    /// Its file, below the database's folder.
    pub file: String,
    /// Hash of its weights.
    pub file_hash: ContentHash,
}

/// A stored predictor.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct PredictorRow {
    /// Its id.
    pub id: PredictorId,
    /// What was stored.
    #[sqlx(flatten)]
    pub predictor: NewPredictor,
    /// When it was finished: UTC, RFC 3339.
    pub finished_at: String,
}

impl Store {
    /// The predictor with this key, stored now if it is new.
    ///
    /// # Errors
    /// [`NotFinite`](super::StoreError::NotFinite) for its seconds.
    pub async fn put_predictor(&self, new: &NewPredictor) -> Result<Stored<PredictorId>> {
        finite(new.seconds, || "the training time of a predictor".to_owned())?;
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into predictor (key, config, weights_hash, dataset_id, provenance_id, curves, sources, parameters,
                                    seconds, file, file_hash, finished_at)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.config)
        .bind(new.weights)
        .bind(new.dataset)
        .bind(new.provenance)
        .bind(new.curves)
        .bind(new.sources)
        .bind(new.parameters)
        .bind(new.seconds)
        .bind(&new.file)
        .bind(new.file_hash)
        .bind(clock::now())
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let find = "select id from predictor where key = ?";
        let stored = Stored::or_found(inserted, find, new.key, &mut transaction).await.at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

impl Reader {
    /// The predictor with this key, if it was trained.
    pub async fn predictor(&self, key: ContentHash) -> Result<Option<PredictorRow>> {
        let query = sqlx::query_as("select * from predictor where key = ?").bind(key);
        query.fetch_optional(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, new_predictor};
    use super::*;

    #[tokio::test]
    async fn a_predictor_is_found_by_its_key_and_stored_once() {
        let bench = Workbench::new().await;
        let new = new_predictor(bench.store.trials(bench.experiment).await.unwrap()[0].dataset_id);
        assert_eq!(bench.store.predictor(new.key).await.unwrap(), None);
        let first = bench.store.put_predictor(&new).await.unwrap();
        let again = bench.store.put_predictor(&NewPredictor { seconds: 99.0, ..new.clone() }).await.unwrap();
        assert_eq!((first.id, first.existed, again.existed), (again.id, false, true));
        let row = bench.store.predictor(new.key).await.unwrap().unwrap();
        assert_eq!((row.id, row.predictor), (first.id, new));
    }
}
