//! Removing what nothing refers to: pictures of added tokens by weights that are gone, rows of artifacts, their files,
//! checkpoints without a run, files of killed writers.
//!
//! A picture's file is written before its row, and its row before the sample that refers to it: while another process
//! has the store open, what looks like garbage may be half of a new result. Such pictures only go when nobody else has
//! the store open, which SQLite's exclusive locking mode tells and keeps true to the end. Everything else is safe behind
//! the write lock, as long as no process holds a lease.
//!
//! Several stores in one folder share its pictures and checkpoints: what any of them names stays.

mod files;
mod neighbours;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use super::lease::LeaseRow;
use super::open::options;
use super::{ContentHash, Result, Store, StoreError};
use files::Named;
use neighbours::Neighbours;

/// What was removed, or would be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// Files and folders, by kind and path.
    pub waste: Vec<Waste>,
    /// Rows of artifacts that nothing refers to.
    pub rows: u64,
    /// Bytes by which the database became smaller.
    pub compacted_bytes: u64,
    /// The store, this one or another in its folder, that another process has open: unreferenced pictures stay, and the
    /// database is not compacted.
    pub open_elsewhere: Option<PathBuf>,
}

/// A file or folder that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waste {
    /// What it is.
    pub kind: WasteKind,
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes; a folder's are those of its files.
    pub bytes: u64,
}

/// Kinds of waste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WasteKind {
    /// A file that no artifact's row names.
    Picture,
    /// The folder of a training run that is not in the store.
    Checkpoint,
    /// What a run went on from before it was finished.
    TrainingState,
    /// The file that a killed process was writing.
    Temporary,
}

impl Garbage {
    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.waste.iter().map(|waste| waste.bytes).sum()
    }
}

/// Removes what nothing refers to from the store at `path` and its folder, or only finds it.
///
/// # Errors
/// [`Leased`](StoreError::Leased): a process is working, or may be on another host. Those of [`Store::open`]; also for
/// another store in the folder, since its pictures could not be told from garbage.
pub async fn collect_garbage(path: &Path, dry_run: bool) -> Result<Garbage> {
    // The file is looked at, and migrated if need be, before anything else is done to it.
    if dry_run || !path.exists() {
        Store::open_existing_read_only(path).await?.close().await;
    } else {
        Store::open(path).await?.close().await;
    }
    let neighbours = Neighbours::of(path).await?;
    let (mut connection, alone) = connect(path).await?;
    let at = |error| StoreError::from_sqlite(path.into(), error);
    let collected = collect(path, &mut connection, alone, &neighbours, dry_run).await;
    let before = length(path);
    let compacted = match &collected {
        Ok(_) if alone && !dry_run => compact(&mut connection).await,
        _ => Ok(()),
    };
    connection.close().await.map_err(at)?;
    neighbours.close().await;
    let mut garbage = collected?;
    compacted.map_err(at)?;
    garbage.compacted_bytes = before.saturating_sub(length(path));
    Ok(garbage)
}

async fn collect(
    path: &Path,
    connection: &mut SqliteConnection,
    alone: bool,
    neighbours: &Neighbours,
    dry_run: bool,
) -> Result<Garbage> {
    let at = |error| StoreError::from_sqlite(path.into(), error);
    let mut transaction = connection.begin_with("begin immediate").await.map_err(at)?;
    let leases: Vec<LeaseRow> =
        sqlx::query_as("select * from lease order by subject").fetch_all(&mut *transaction).await.map_err(at)?;
    leases.into_iter().try_for_each(|lease| lease.refuse(path))?;
    let open_elsewhere = if alone { neighbours.in_use() } else { Some(path) }.map(Path::to_owned);
    let rows = match &open_elsewhere {
        None => delete_unreferenced(&mut transaction).await.map_err(at)?,
        Some(_) => 0,
    };
    let mut named = Named::by(&mut transaction).await.map_err(at)?;
    neighbours.add_to(&mut named).await?;
    let (folder, pictures) = (path.to_owned(), open_elsewhere.is_none());
    // Behind the write lock: nobody can begin what these files would be needed for.
    let waste = tokio::task::spawn_blocking(move || {
        let waste = files::find(&folder, &named, pictures)?;
        if !dry_run {
            files::remove(&waste)?;
        }
        Ok::<_, StoreError>(waste)
    });
    let waste = waste.await.expect("removing files does not panic")?;
    if dry_run {
        transaction.rollback().await.map_err(at)?;
    } else {
        transaction.commit().await.map_err(at)?;
    }
    Ok(Garbage { waste, rows, compacted_bytes: 0, open_elsewhere })
}

/// A connection to the store, and whether nobody else has one: then nobody can open one until it is closed.
async fn connect(path: &Path) -> Result<(SqliteConnection, bool)> {
    // Without foreign keys: that nothing refers to a row is known, and asking again would scan every sample for each.
    let options = options(path).foreign_keys(false).synchronous(SqliteSynchronous::Normal);
    let alone = options.clone().locking_mode(SqliteLockingMode::Exclusive).busy_timeout(Duration::ZERO);
    match first_read(&alone).await.map_err(|error| StoreError::from_sqlite(path.into(), error)) {
        Ok(connection) => Ok((connection, true)),
        Err(StoreError::Busy { .. }) => {
            let connection = options.connect().await;
            Ok((connection.map_err(|error| StoreError::from_sqlite(path.into(), error))?, false))
        }
        Err(error) => Err(error),
    }
}

/// A connection that has read something: in exclusive mode the first read takes the lock.
async fn first_read(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("select count(*) from lease").execute(&mut connection).await?;
    Ok(connection)
}

/// Deletes the artifacts that no column refers to, whatever table it is in; how many they were.
async fn delete_unreferenced(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    // These belong to weights, not to what a person deletes: they go with the last run and trial of them.
    sqlx::query(
        "delete from progressive
         where weights_hash not in (select weights_hash from training_run where weights_hash is not null
                                    union all select weights_hash from trial where weights_hash is not null)",
    )
    .execute(&mut *connection)
    .await?;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select schema.name, reference.\"from\"
         from sqlite_schema as schema, pragma_foreign_key_list(schema.name) as reference
         where schema.type = 'table' and reference.\"table\" = 'artifact'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let referenced =
        columns.iter().map(|(table, column)| format!("select {column} from {table} where {column} is not null"));
    let referenced = referenced.collect::<Vec<_>>().join(" union all ");
    let delete = format!("delete from artifact where hash not in ({referenced})");
    Ok(sqlx::query(AssertSqlSafe(delete)).execute(connection).await?.rows_affected())
}

/// Gives free pages back to the disk.
async fn compact(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("pragma optimize").execute(&mut *connection).await?;
    let free: i64 = sqlx::query_scalar("pragma freelist_count").fetch_one(&mut *connection).await?;
    if free > 0 {
        sqlx::query("vacuum").execute(connection).await?;
    }
    Ok(())
}

impl Named {
    /// What the rows of one store name.
    async fn by(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let pictures: Vec<ContentHash> =
            sqlx::query_scalar("select hash from artifact").fetch_all(&mut *connection).await?;
        let runs: Vec<(ContentHash, bool)> =
            sqlx::query_as("select key, status = 'done' from training_run").fetch_all(connection).await?;
        let unfinished: HashSet<ContentHash> = runs.iter().filter(|(_, done)| !done).map(|(key, _)| *key).collect();
        let runs = runs.into_iter().map(|(key, _)| key).collect();
        Ok(Self { pictures: pictures.into_iter().collect(), runs, unfinished })
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
