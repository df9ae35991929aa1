//! Table `sample`: one fixed crop of one source, which a trial evaluates.

use super::error::At;
use super::{ContentHash, DatasetId, Reader, Result, SampleId, SourceId, Store, StoreError, Stored};

/// A sample to store.
#[derive(Debug, Clone)]
pub struct NewSample {
    /// Hash of dataset, source, crop and pixels.
    pub key: ContentHash,
    /// The source it was cut from.
    pub source: SourceId,
    /// Which crop of its source, from 0.
    pub ordinal: u32,
    /// Left edge in pixels, after resizing.
    pub x: u32,
    /// Top edge in pixels, after resizing.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames.
    pub frames: u32,
    /// Blocks the tokenizer sees.
    pub blocks: u32,
    /// The crop itself, if it is kept; see [`Store::put_artifact`].
    pub artifact: Option<ContentHash>,
}

/// A stored sample with its source.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct SampleRow {
    /// Its id.
    pub id: SampleId,
    /// Hash of dataset, source, crop and pixels.
    pub key: ContentHash,
    /// The source it was cut from.
    pub source_id: SourceId,
    /// That source's name.
    pub source_name: String,
    /// Which crop of its source, from 0.
    pub ordinal: u32,
    /// Left edge in pixels, after resizing.
    pub x: u32,
    /// Top edge in pixels, after resizing.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames.
    pub frames: u32,
    /// Blocks the tokenizer sees.
    pub blocks: u32,
    /// The crop itself, if it is kept.
    pub artifact: Option<ContentHash>,
}

impl Store {
    /// The samples with these keys, in the order given; new ones are stored now, all in one transaction.
    pub async fn put_samples(&self, samples: &[NewSample]) -> Result<Vec<Stored<SampleId>>> {
        let mut transaction = self.begin().await?;
        let mut stored = Vec::with_capacity(samples.len());
        for new in samples {
            let inserted = sqlx::query_scalar(
                "insert into sample (key, source_id, ordinal, x, y, width, height, frames, blocks, artifact)
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 on conflict (key) do nothing returning id",
            )
            .bind(new.key)
            .bind(new.source)
            .bind(new.ordinal)
            .bind(new.x)
            .bind(new.y)
            .bind(new.width)
            .bind(new.height)
            .bind(new.frames)
            .bind(new.blocks)
            .bind(new.artifact)
            .fetch_optional(&mut *transaction)
            .await
            .at(self)?;
            let find = "select id from sample where key = ?";
            stored.push(Stored::or_found(inserted, find, new.key, &mut transaction).await.at(self)?);
        }
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

impl Reader {
    /// The dataset's samples by source name, then ordinal.
    pub async fn samples(&self, dataset: DatasetId) -> Result<Vec<SampleRow>> {
        sqlx::query_as(
            "select sample.*, source.name as source_name
             from source join sample on sample.source_id = source.id
             where source.dataset_id = ?
             order by source.name, sample.ordinal, sample.id",
        )
        .bind(dataset)
        .fetch_all(&self.pool)
        .await
        .at(self)
    }

    /// One sample.
    ///
    /// # Errors
    /// [`NotFound`](super::StoreError::NotFound).
    pub async fn sample(&self, id: SampleId) -> Result<SampleRow> {
        let row = sqlx::query_as(
            "select sample.*, source.name as source_name
             from sample join source on source.id = sample.source_id
             where sample.id = ?",
        );
        let row = row.bind(id).fetch_optional(&self.pool).await.at(self)?;
        row.ok_or_else(|| StoreError::not_found("sample", id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn samples_come_by_source_name_then_ordinal_and_are_stored_once() {
        let bench = Workbench::new().await;
        let rows = bench.store.samples(bench.dataset).await.unwrap();
        let order: Vec<_> = rows.iter().map(|row| (row.source_name.as_str(), row.ordinal, row.id)).collect();
        let [b0, b1, a0, a1] = bench.samples[..] else { panic!("the fixture has four samples") };
        assert_eq!(order, [("a.png", 0, a0), ("a.png", 1, a1), ("b.png", 0, b0), ("b.png", 1, b1)]);
        assert_eq!(bench.store.sample(b1).await.unwrap(), rows[3], "alone as among the others");
        assert!(matches!(bench.store.sample(SampleId(99)).await, Err(StoreError::NotFound { .. })));

        let again = NewSample {
            key: rows[0].key,
            source: rows[0].source_id,
            ordinal: 7,
            x: 0,
            y: 0,
            width: 1,
            height: 1,
            frames: 1,
            blocks: 1,
            artifact: None,
        };
        let stored = bench.store.put_samples(&[again.clone(), NewSample { key: key("new"), ..again }]).await.unwrap();
        assert_eq!(stored[0], Stored { id: rows[0].id, existed: true });
        assert!(!stored[1].existed);
    }
}
