//! Table `progressive`: reconstructions of a sample as tokens are added.
//!
//! They belong to weights and sample, not to a trial: every search of the same weights passes them by.

use super::error::At;
use super::{ContentHash, ProtocolId, Reader, Result, SampleId, Store};

/// The reconstructions of one sample to store.
#[derive(Debug, Clone)]
pub struct NewProgressive {
    /// The weights they were made with.
    pub weights: ContentHash,
    /// The sample.
    pub sample: SampleId,
    /// That of the sample's curves.
    pub protocol: ProtocolId,
    /// They; see [`Store::put_artifact`].
    pub pictures: Vec<ProgressivePicture>,
}

/// A sample reconstructed from one and the same count of tokens for every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct ProgressivePicture {
    /// Tokens kept of every block.
    pub kept_tokens: u32,
    /// The picture.
    pub reconstruction: ContentHash,
}

impl Store {
    /// Stores the pictures at the counts that are not stored yet, all in one transaction; how many they were.
    pub async fn put_progressive(&self, new: &NewProgressive) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let mut added = 0;
        for picture in &new.pictures {
            added += sqlx::query(
                "insert into progressive (weights_hash, sample_id, protocol_id, kept_tokens, reconstruction)
                 values (?, ?, ?, ?, ?)
                 on conflict (weights_hash, sample_id, protocol_id, kept_tokens) do nothing",
            )
            .bind(new.weights)
            .bind(new.sample)
            .bind(new.protocol)
            .bind(picture.kept_tokens)
            .bind(picture.reconstruction)
            .execute(&mut *transaction)
            .await
            .at(self)?
            .rows_affected();
        }
        transaction.commit().await.at(self)?;
        Ok(added)
    }
}

impl Reader {
    /// The reconstructions of a sample, fewest tokens first.
    pub async fn progressive(
        &self,
        weights: ContentHash,
        sample: SampleId,
        protocol: ProtocolId,
    ) -> Result<Vec<ProgressivePicture>> {
        sqlx::query_as(
            "select kept_tokens, reconstruction from progressive
             where weights_hash = ? and sample_id = ? and protocol_id = ?
             order by kept_tokens",
        )
        .bind(weights)
        .bind(sample)
        .bind(protocol)
        .fetch_all(&self.pool)
        .await
        .at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MediaType;
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn pictures_come_by_count_and_the_first_of_a_count_stays() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        let mut hashes = Vec::new();
        for bytes in [b"one", b"two"] {
            hashes.push(store.put_artifact(bytes.to_vec(), MediaType::Png).await.unwrap().id);
        }
        let new = |counts: &[u32], reconstruction: ContentHash| NewProgressive {
            weights: key("weights"),
            sample: bench.samples[0],
            protocol: bench.protocol,
            pictures: counts.iter().map(|&kept_tokens| ProgressivePicture { kept_tokens, reconstruction }).collect(),
        };
        assert_eq!(store.put_progressive(&new(&[64, 4], hashes[0])).await.unwrap(), 2);
        assert_eq!(store.put_progressive(&new(&[64, 16], hashes[1])).await.unwrap(), 1);
        let found = store.progressive(key("weights"), bench.samples[0], bench.protocol).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|p| (p.kept_tokens, p.reconstruction)).collect();
        assert_eq!(found, [(4, hashes[0]), (16, hashes[1]), (64, hashes[0])]);
        assert!(store.progressive(key("others"), bench.samples[0], bench.protocol).await.unwrap().is_empty());
        assert!(store.progressive(key("weights"), bench.samples[1], bench.protocol).await.unwrap().is_empty());
        let lost = new(&[32], key("no such picture"));
        assert!(store.put_progressive(&lost).await.is_err(), "a row names a picture that is there");
    }
}
