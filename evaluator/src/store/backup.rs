//! A copy of the database in one file, taken while others write.
//!
//! `vacuum into` copies what one read transaction sees and leaves out free pages. The copy is checked before it gets its
//! name: a backup that cannot be read is worse than none.

use std::path::{Path, absolute};
use std::time::Duration;

use engine::atomic_file::Temporary;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::error::At;
use super::merge::is_same_file;
use super::open::{has_log, is_immutable, options};
use super::{Reader, Result, StoreError};

impl Reader {
    /// Copies the database to this file, whole or not at all; its length in bytes. Pictures and checkpoints are files of
    /// their own and not in it.
    ///
    /// # Errors
    /// [`Exists`](StoreError::Exists) unless it may `overwrite`; [`SameStore`](StoreError::SameStore);
    /// [`InUse`](StoreError::InUse): a log lies beside the file, which would spoil the copy;
    /// [`Corrupt`](StoreError::Corrupt): the copy is damaged, because this store is.
    pub async fn backup(&self, to: &Path, overwrite: bool) -> Result<u64> {
        if is_same_file(&self.path, to) {
            return Err(StoreError::SameStore { path: to.into() });
        }
        if to.exists() && !overwrite {
            return Err(StoreError::Exists { path: to.into() });
        }
        if has_log(to) {
            return Err(StoreError::InUse { path: to.into() });
        }
        let failed = |source| StoreError::from_io("write", to.into(), source);
        let file = Temporary::beside(to).map_err(failed)?;
        // Absolute, because a name that begins with `file:` is a URI.
        let path = absolute(file.path()).map_err(failed)?;
        // Not one of the pool's connections: they may not write to any file.
        let options = options(&self.path).read_only(true).immutable(is_immutable(&self.path));
        let mut connection = options.connect().await.at(self)?;
        let copied = sqlx::query("vacuum into ?").bind(path.to_string_lossy()).execute(&mut connection).await;
        connection.close().await.at(self)?;
        copied.map_err(|error| written(to, error))?;
        check(&path)
            .await
            .map_err(|error| written(to, error))?
            .map_or(Ok(()), |detail| Err(StoreError::Corrupt { path: self.path.clone(), detail }))?;
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        file.keep().map_err(failed)?;
        Ok(bytes)
    }
}

fn written(to: &Path, error: sqlx::Error) -> StoreError {
    StoreError::from_sqlite(to.into(), error)
}

/// What is wrong with the copy, if anything.
async fn check(path: &Path) -> Result<Option<String>, sqlx::Error> {
    let options = options(path).read_only(true).busy_timeout(Duration::ZERO);
    let mut connection: SqliteConnection = options.connect().await?;
    let verdict: String = sqlx::query_scalar("pragma integrity_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((verdict != "ok").then_some(verdict))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::tests::fixture::Workbench;
    use super::*;

    #[tokio::test]
    async fn a_backup_holds_what_was_committed_and_opens_as_a_store() {
        let bench = Workbench::new().await;
        bench.store.add_tag(bench.experiment, "before").await.unwrap();
        // A writer in the middle of a transaction does not hold it up.
        let mut transaction = bench.store.begin().await.unwrap();
        sqlx::query("delete from tag").execute(&mut *transaction).await.unwrap();
        let to = bench.folder.path().join("backups/it's %41.db");
        let bytes = bench.store.backup(&to, false).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().len(), bytes);
        assert_eq!(std::fs::read_dir(to.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
        let copy = Store::open_existing_read_only(&to).await.unwrap();
        assert_eq!(copy.tags(bench.experiment).await.unwrap(), ["before"]);
    }

    #[tokio::test]
    async fn nothing_is_overwritten_unasked_and_never_the_store_itself() {
        let bench = Workbench::new().await;
        let to = bench.folder.path().join("copy.db");
        bench.store.backup(&to, false).await.unwrap();
        let error = bench.store.backup(&to, false).await.unwrap_err();
        assert!(matches!(&error, StoreError::Exists { .. }) && error.to_string().contains("--force"), "{error}");
        bench.store.backup(&to, true).await.unwrap();
        let link = bench.folder.path().join("link.db");
        std::os::unix::fs::symlink(bench.store.path(), &link).unwrap();
        for itself in [bench.store.path(), &link] {
            let error = bench.store.backup(itself, true).await.unwrap_err();
            assert!(matches!(error, StoreError::SameStore { .. }), "{error}");
        }
        let open = Store::open(&to).await.unwrap();
        let error = bench.store.backup(&to, true).await.unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        assert_eq!(open.experiments().await.unwrap().len(), 1);
    }
}
