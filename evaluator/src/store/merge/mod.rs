//! Merging stores: what other stores hold and this one lacks is copied, found again by content keys.
//!
//! What is there stays: a row of the destination is only replaced if it is work that is finished in a source and not
//! here. Since keys name everything that decides a number, rows of one key must agree: where they do not, the merge is
//! refused. Ids differ from store to store and are translated on the way.
//!
//! Sources are attached read-only. Files come first, then one transaction copies the rows of all sources: nobody sees
//! half a merge, and no row names a file that is not there.

mod conflicts;
mod files;
mod tables;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf, absolute};

use sqlx::sqlite::SqliteSynchronous;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::error::At;
use super::open::{is_immutable, options};
use super::{Reader, Result, Store, StoreError};

/// Stores that can be merged into another: they exist and have the schema of this version.
#[derive(Debug)]
pub struct Sources(Vec<Source>);

/// One source, open for reading; `schema` is its name in SQL while it is attached.
#[derive(Debug)]
struct Source {
    reader: Reader,
    schema: String,
}

/// What a merge brought: rows that were missing or unfinished here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Experiments.
    pub experiments: u64,
    /// Training runs.
    pub training_runs: u64,
    /// Trials.
    pub trials: u64,
    /// Distortion curves.
    pub curves: u64,
    /// Rows of any table, those above included.
    pub rows: u64,
    /// Pictures and checkpoints copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that a source names but does not have, or has damaged.
    pub lost_files: u64,
}

impl Sources {
    /// Opens the stores at these paths for reading.
    ///
    /// # Errors
    /// Those of [`Store::open_existing_read_only`].
    pub async fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut sources = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let reader = Store::open_existing_read_only(path).await?;
            sources.push(Source { reader, schema: format!("source_{number}") });
        }
        Ok(Self(sources))
    }
}

impl Store {
    /// Copies everything that the sources hold and this store lacks; merging again changes nothing. Leases and events
    /// are not copied.
    ///
    /// # Errors
    /// [`MergeConflict`](StoreError::MergeConflict): a key has other numbers here; [`Leased`](StoreError::Leased): a
    /// process works on what should be replaced; [`SameStore`](StoreError::SameStore). No row is copied then.
    pub async fn merge(&self, sources: &Sources) -> Result<Merged> {
        for Source { reader, .. } in &sources.0 {
            if is_same_file(reader.path(), &self.path) {
                return Err(StoreError::SameStore { path: self.path.clone() });
            }
        }
        let options = options(&self.path).synchronous(SqliteSynchronous::Normal);
        let mut connection = options.connect().await.at(self)?;
        let merged = self.merge_by(&mut connection, sources).await;
        connection.close().await.at(self)?;
        merged
    }

    async fn merge_by(&self, connection: &mut SqliteConnection, Sources(sources): &Sources) -> Result<Merged> {
        let mut merged = Merged::default();
        for source in sources {
            source.attach(connection).await.at(&source.reader)?;
        }
        // Before anything is written; a conflict that comes up later still leaves every row as it was.
        for source in sources {
            conflicts::refuse(self, source, connection).await?;
        }
        for source in sources {
            files::copy(self, source, connection, &mut merged).await?;
        }
        merged.lost_files = 0; // counted by the second round, which sees all that the first one saw
        let mut transaction = connection.begin_with("begin immediate").await.at(self)?;
        for source in sources {
            // Again: these are the rows that are copied, and writers may have added some of them, or files, meanwhile.
            conflicts::refuse(self, source, &mut transaction).await?;
            files::copy(self, source, &mut transaction, &mut merged).await?;
            for table in tables::COPIED {
                let rows = table.copy(&source.schema, &mut transaction).await.at(self)?;
                merged.count(table.name, rows);
            }
            merged.rows += tables::newest_trials_take_their_places(&source.schema, &mut transaction).await.at(self)?;
        }
        transaction.commit().await.at(self)?;
        Ok(merged)
    }
}

impl Source {
    async fn attach(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let path = absolute(self.reader.path()).map_err(sqlx::Error::Io)?;
        let attach = format!("attach ? as {}", self.schema);
        sqlx::query(sqlx::AssertSqlSafe(attach)).bind(read_only_uri(&path)).execute(connection).await?;
        Ok(())
    }
}

impl Merged {
    fn count(&mut self, table: &str, rows: u64) {
        self.rows += rows;
        match table {
            "experiment" => self.experiments += rows,
            "training_run" => self.training_runs += rows,
            "trial" => self.trials += rows,
            "curve" => self.curves += rows,
            _ => {}
        }
    }
}

/// The file as a URI that SQLite opens for reading only: <https://www.sqlite.org/uri.html>.
fn read_only_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri + if is_immutable(path) { "?immutable=1" } else { "?mode=ro" }
}

/// Whether two paths lead to one file that exists.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}
