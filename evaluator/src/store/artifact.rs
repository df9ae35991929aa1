//! Table `artifact`: which content hashes have a file, and of what kind. The files are `artifact_files.rs`'s.
//!
//! The file is written before its row, so a row never names a file that is not there; a process killed in between
//! leaves a file without a row, which the next run of the same work finds and uses.

use super::artifact_files::MediaType;
use super::error::At;
use super::{ContentHash, Reader, Result, Store, StoreError, Stored};

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ArtifactRow {
    /// Hash of the content.
    pub hash: ContentHash,
    /// What kind of file it is.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub bytes: i64,
}

impl Store {
    /// Keeps this content, unless it is kept already.
    ///
    /// # Errors
    /// [`DiskFull`](StoreError::DiskFull) or [`File`](StoreError::File) if the file cannot be written.
    pub async fn put_artifact(&self, bytes: Vec<u8>, media_type: MediaType) -> Result<Stored<ContentHash>> {
        let files = self.artifact_files();
        let length = bytes.len() as i64;
        let hash = tokio::task::spawn_blocking(move || files.put(&bytes, media_type))
            .await
            .expect("writing an artifact does not panic")?;
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query(
            "insert into artifact (hash, media_type, bytes) values (?, ?, ?) on conflict (hash) do nothing",
        )
        .bind(hash)
        .bind(media_type)
        .bind(length)
        .execute(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(Stored { id: hash, existed: inserted.rows_affected() == 0 })
    }
}

impl Reader {
    /// One artifact.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn artifact(&self, hash: ContentHash) -> Result<ArtifactRow> {
        sqlx::query_as("select * from artifact where hash = ?")
            .bind(hash)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("artifact", hash))
    }

    /// One artifact with its content.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound), [`File`](StoreError::File),
    /// [`ArtifactDamaged`](StoreError::ArtifactDamaged).
    pub async fn read_artifact(&self, hash: ContentHash) -> Result<(ArtifactRow, Vec<u8>)> {
        let row = self.artifact(hash).await?;
        let files = self.artifact_files();
        let bytes = tokio::task::spawn_blocking(move || files.read(hash, row.media_type))
            .await
            .expect("reading an artifact does not panic")?;
        Ok((row, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn an_artifact_is_kept_once_and_read_back() {
        let bench = Workbench::new().await;
        let first = bench.store.put_artifact(b"pixels".to_vec(), MediaType::Webp).await.unwrap();
        assert_eq!(first, Stored { id: ContentHash::of(b"pixels"), existed: false });
        assert!(bench.store.put_artifact(b"pixels".to_vec(), MediaType::Webp).await.unwrap().existed);
        let (row, bytes) = bench.store.read_artifact(first.id).await.unwrap();
        assert_eq!((row.media_type, row.bytes, bytes.as_slice()), (MediaType::Webp, 6, b"pixels".as_slice()));
    }

    #[tokio::test]
    async fn the_first_media_type_of_a_content_stays_the_one_it_is_read_with() {
        let bench = Workbench::new().await;
        let hash = bench.store.put_artifact(b"{}".to_vec(), MediaType::Json).await.unwrap().id;
        bench.store.put_artifact(b"{}".to_vec(), MediaType::Binary).await.unwrap();
        assert_eq!(bench.store.read_artifact(hash).await.unwrap().0.media_type, MediaType::Json);
    }

    #[tokio::test]
    async fn an_unknown_hash_is_not_found() {
        let bench = Workbench::new().await;
        let error = bench.store.read_artifact(key("nothing")).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { what: "artifact", .. }), "{error}");
    }
}
