//! Tables `dataset` and `source`: the files that were looked at.
//!
//! A source is one file, a photograph or a video. Crops of one source resemble each other, so intervals are clustered by
//! source: that is why sources are rows and not just names.

use super::error::At;
use super::{ContentHash, DatasetId, Reader, Result, SourceId, Store, StoreError, Stored};

/// What a dataset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub enum Split {
    /// Weights are fitted to it.
    Train,
    /// Trials are evaluated on it.
    Test,
}

/// A dataset to store.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// Hash of its split and of its sources' hashes, in order.
    pub key: ContentHash,
    /// The folder as the experiment named it.
    pub name: String,
    /// What it is for.
    pub split: Split,
    /// How many sources it has.
    pub sources: u32,
}

/// A stored dataset.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct DatasetRow {
    /// Its id.
    pub id: DatasetId,
    /// Hash of its split and of its sources' hashes, in order.
    pub key: ContentHash,
    /// The folder as the experiment named it.
    pub name: String,
    /// What it is for.
    pub split: Split,
    /// How many sources it has.
    pub sources: u32,
}

/// A source to store.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// Hash of the file's bytes.
    pub hash: ContentHash,
    /// Its path below the dataset's folder.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames; 1 for a photograph.
    pub frames: u32,
}

/// A stored source.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct SourceRow {
    /// Its id.
    pub id: SourceId,
    /// The dataset it belongs to.
    pub dataset_id: DatasetId,
    /// Hash of the file's bytes.
    pub hash: ContentHash,
    /// Its path below the dataset's folder.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames; 1 for a photograph.
    pub frames: u32,
}

impl Store {
    /// The dataset with this key, stored now if it is new.
    pub async fn put_dataset(&self, new: &NewDataset) -> Result<Stored<DatasetId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into dataset (key, name, split, sources) values (?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.name)
        .bind(new.split)
        .bind(new.sources)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let stored = Stored::or_found(inserted, "select id from dataset where key = ?", new.key, &mut transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }

    /// The dataset's sources with these names, in the order given; new ones are stored now, all in one transaction.
    ///
    /// # Errors
    /// [`SourceChanged`](StoreError::SourceChanged): a source is stored with other bytes.
    pub async fn put_sources(&self, dataset: DatasetId, sources: &[NewSource]) -> Result<Vec<Stored<SourceId>>> {
        let mut transaction = self.begin().await?;
        let mut stored = Vec::with_capacity(sources.len());
        for new in sources {
            let inserted = sqlx::query_scalar(
                "insert into source (dataset_id, hash, name, width, height, frames) values (?, ?, ?, ?, ?, ?)
                 on conflict (dataset_id, name) do nothing returning id",
            )
            .bind(dataset)
            .bind(new.hash)
            .bind(&new.name)
            .bind(new.width)
            .bind(new.height)
            .bind(new.frames)
            .fetch_optional(&mut *transaction)
            .await
            .at(self)?;
            if let Some(id) = inserted {
                stored.push(Stored { id, existed: false });
                continue;
            }
            let row: SourceRow = sqlx::query_as("select * from source where dataset_id = ? and name = ?")
                .bind(dataset)
                .bind(&new.name)
                .fetch_one(&mut *transaction)
                .await
                .at(self)?;
            if row.hash != new.hash {
                let (name, stored, asked) = (row.name, row.hash, new.hash);
                return Err(StoreError::SourceChanged { dataset, name, stored, asked });
            }
            stored.push(Stored { id: row.id, existed: true });
        }
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

impl Reader {
    /// One dataset.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn dataset(&self, id: DatasetId) -> Result<DatasetRow> {
        sqlx::query_as("select * from dataset where id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("dataset", id))
    }

    /// The dataset's sources by name.
    pub async fn sources(&self, dataset: DatasetId) -> Result<Vec<SourceRow>> {
        sqlx::query_as("select * from source where dataset_id = ? order by name")
            .bind(dataset)
            .fetch_all(&self.pool)
            .await
            .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn sources_are_stored_once_and_refused_when_their_bytes_changed() {
        let bench = Workbench::new().await;
        let photo = |name: &str, bytes: &str| NewSource {
            hash: key(bytes),
            name: name.into(),
            width: 640,
            height: 480,
            frames: 1,
        };
        let both = [photo("d.png", "d"), photo("c.png", "c")];
        let first = bench.store.put_sources(bench.dataset, &both).await.unwrap();
        let again = bench.store.put_sources(bench.dataset, &both).await.unwrap();
        assert_eq!(again.iter().map(|s| s.id).collect::<Vec<_>>(), first.iter().map(|s| s.id).collect::<Vec<_>>());
        assert!(again.iter().all(|source| source.existed) && first.iter().all(|source| !source.existed));

        let changed = [photo("e.png", "e"), photo("c.png", "other bytes")];
        let error = bench.store.put_sources(bench.dataset, &changed).await.unwrap_err();
        assert!(matches!(&error, StoreError::SourceChanged { name, .. } if name == "c.png"), "{error}");
        let names: Vec<_> = bench.store.sources(bench.dataset).await.unwrap().into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["a.png", "b.png", "c.png", "d.png"], "the failed batch left nothing");
    }

    #[tokio::test]
    async fn a_dataset_keeps_its_id() {
        let bench = Workbench::new().await;
        let row = bench.store.dataset(bench.dataset).await.unwrap();
        let again = NewDataset { key: row.key, name: "elsewhere".into(), split: row.split, sources: row.sources };
        assert_eq!(bench.store.put_dataset(&again).await.unwrap(), Stored { id: row.id, existed: true });
        assert_eq!(bench.store.dataset(bench.dataset).await.unwrap(), row);
    }
}
