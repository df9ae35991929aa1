//! Table `provenance`: which program on which machine made a number. It explains a difference; it is never in a key.

use serde::{Deserialize, Serialize};

use super::error::At;
use super::{ContentHash, ProvenanceId, Reader, Result, Store, StoreError, Stored};

/// The program and machine, to store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewProvenance {
    /// Hash of the other fields.
    pub key: ContentHash,
    /// Version of elastictok.
    pub version: String,
    /// The commit it was built from, if known.
    pub git_commit: Option<String>,
    /// Whether the working tree had changes, if known.
    pub git_dirty: Option<bool>,
    /// The compiler.
    pub rustc: String,
    /// The processor's name.
    pub cpu: String,
    /// The instruction sets used.
    pub cpu_features: String,
    /// Worker threads.
    pub threads: u32,
    /// The operating system.
    pub os: String,
    /// A hash of the host's name: results may be shared, host names need not be.
    pub host: String,
}

/// A stored provenance.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ProvenanceRow {
    /// Its id.
    pub id: ProvenanceId,
    /// Hash of the other fields.
    pub key: ContentHash,
    /// Version of elastictok.
    pub version: String,
    /// The commit it was built from, if known.
    pub git_commit: Option<String>,
    /// Whether the working tree had changes, if known.
    pub git_dirty: Option<bool>,
    /// The compiler.
    pub rustc: String,
    /// The processor's name.
    pub cpu: String,
    /// The instruction sets used.
    pub cpu_features: String,
    /// Worker threads.
    pub threads: u32,
    /// The operating system.
    pub os: String,
    /// A hash of the host's name.
    pub host: String,
}

impl Store {
    /// The provenance with this key, stored now if it is new.
    pub async fn put_provenance(&self, new: &NewProvenance) -> Result<Stored<ProvenanceId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into provenance
                 (key, version, git_commit, git_dirty, rustc, cpu, cpu_features, threads, os, host)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             on conflict (key) do nothing returning id",
        )
        .bind(new.key)
        .bind(&new.version)
        .bind(&new.git_commit)
        .bind(new.git_dirty)
        .bind(&new.rustc)
        .bind(&new.cpu)
        .bind(&new.cpu_features)
        .bind(new.threads)
        .bind(&new.os)
        .bind(&new.host)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let stored = Stored::or_found(inserted, "select id from provenance where key = ?", new.key, &mut transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

impl Reader {
    /// One provenance.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn provenance(&self, id: ProvenanceId) -> Result<ProvenanceRow> {
        sqlx::query_as("select * from provenance where id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("provenance", id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn what_is_unknown_stays_unknown() {
        let bench = Workbench::new().await;
        let new = NewProvenance {
            key: key("machine"),
            version: "0.1.0".into(),
            git_commit: None,
            git_dirty: None,
            rustc: "1.95.0".into(),
            cpu: "a processor".into(),
            cpu_features: "avx512f".into(),
            threads: 2,
            os: "linux".into(),
            host: key("host").to_string(),
        };
        let first = bench.store.put_provenance(&new).await.unwrap();
        let dirty =
            NewProvenance { key: key("dirty"), git_commit: Some("5f3a".into()), git_dirty: Some(true), ..new.clone() };
        let second = bench.store.put_provenance(&dirty).await.unwrap();
        assert!(bench.store.put_provenance(&new).await.unwrap().existed);
        let (first, second) =
            (bench.store.provenance(first.id).await.unwrap(), bench.store.provenance(second.id).await.unwrap());
        assert_eq!((first.git_commit, first.git_dirty), (None, None));
        assert_eq!((second.git_commit, second.git_dirty), (Some("5f3a".into()), Some(true)));
    }
}
