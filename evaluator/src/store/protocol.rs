//! Table `protocol`: crop, range, rounding, window, averaging. Numbers of different protocols never share a table.

use serde_json::Value;

use super::error::At;
use super::{ContentHash, ProtocolId, Reader, Result, Store, StoreError, Stored};

/// A stored protocol.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ProtocolRow {
    /// Its id.
    pub id: ProtocolId,
    /// Hash of the description.
    pub key: ContentHash,
    /// Everything that was fixed while measuring.
    pub description: Value,
}

impl Store {
    /// The protocol with this key, stored now if it is new.
    pub async fn put_protocol(&self, key: ContentHash, description: &Value) -> Result<Stored<ProtocolId>> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query_scalar(
            "insert into protocol (key, description) values (?, ?) on conflict (key) do nothing returning id",
        )
        .bind(key)
        .bind(description)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let stored = Stored::or_found(inserted, "select id from protocol where key = ?", key, &mut transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(stored)
    }
}

impl Reader {
    /// One protocol.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub async fn protocol(&self, id: ProtocolId) -> Result<ProtocolRow> {
        sqlx::query_as("select * from protocol where id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .at(self)?
            .ok_or_else(|| StoreError::not_found("protocol", id))
    }

    /// The protocol with this key, if anything was measured by it.
    pub async fn protocol_of_key(&self, key: ContentHash) -> Result<Option<ProtocolRow>> {
        sqlx::query_as("select * from protocol where key = ?").bind(key).fetch_optional(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    #[tokio::test]
    async fn a_protocol_is_stored_once() {
        let bench = Workbench::new().await;
        let description = serde_json::json!({ "crop": 256, "range": [-1, 1], "ssim_window": 11 });
        let first = bench.store.put_protocol(key("protocol b"), &description).await.unwrap();
        let again = bench.store.put_protocol(key("protocol b"), &description).await.unwrap();
        assert_eq!((first.existed, again), (false, Stored { id: first.id, existed: true }));
        let row = bench.store.protocol(first.id).await.unwrap();
        assert_eq!(row.description, description);
        assert_eq!(bench.store.protocol_of_key(key("protocol b")).await.unwrap(), Some(row));
        assert_eq!(bench.store.protocol_of_key(key("protocol c")).await.unwrap(), None);
        assert!(bench.store.protocol(ProtocolId(99)).await.is_err());
    }
}
