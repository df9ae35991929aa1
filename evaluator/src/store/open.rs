//! Opening a store: look at the file before touching it, then switch to WAL, then migrate.
//!
//! Switching to WAL and migrating both change the file, so a database that is not ours is recognized first. Migrations
//! run inside one `immediate` transaction: of several processes that open a new store at once, one migrates and the
//! others find it done; a process killed meanwhile leaves the old schema.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::At;
use super::{FileIdentity, Reader, Result, Store, StoreError, filesystem};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How long a connection waits for another process's transaction. Ours take milliseconds; a slow disk may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pages are small and reports are few: more readers only fight for the disk.
const READERS: u32 = 4;

impl Store {
    /// Opens the store at `path`, or creates it; its folder must exist.
    ///
    /// # Errors
    /// The folder is missing, read-only or on a network filesystem; the disk is full; the file is not a database, is
    /// another program's, is damaged, or was written by a newer elastictok.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(StoreError::NoFolder { path: path.into(), folder: folder.into() });
        }
        refuse_network_filesystem(path)?;
        // SQLite would open the file for reading and report the first write.
        if is_denied(path) {
            return Err(StoreError::ReadOnly { path: path.into() });
        }
        Self::open_patiently(path, Opening { migrates: true, patience: PATIENCE }).await
    }

    /// Opens the store at `path` as it is: the file must exist and be up to date. Nothing is created, nothing migrated,
    /// and whatever this store writes waits for other processes for about as long as `patience`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Missing`](StoreError::Missing), [`OlderDatabase`](StoreError::OlderDatabase).
    pub async fn open_existing(path: impl AsRef<Path>, patience: Duration) -> Result<Self> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(StoreError::Missing { path: path.into() });
        }
        refuse_network_filesystem(path)?;
        if is_denied(path) {
            return Err(StoreError::ReadOnly { path: path.into() });
        }
        Self::open_patiently(path, Opening { migrates: false, patience }).await
    }

    /// Opens the store at `path` for reading only; the file must exist and be up to date.
    ///
    /// Works on a read-only disk too, as long as no write-ahead log is left beside the file; do not begin to write to
    /// the store (as another user) while it is read there.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Missing`](StoreError::Missing), [`OlderDatabase`](StoreError::OlderDatabase),
    /// [`LogLeft`](StoreError::LogLeft).
    pub async fn open_existing_read_only(path: impl AsRef<Path>) -> Result<Reader> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(StoreError::Missing { path: path.into() });
        }
        refuse_network_filesystem(path)?;
        let denied = is_denied(path);
        let reader = Reader::new(path, is_immutable(path));
        match reader.check().await {
            Ok(()) => Ok(reader),
            Err(error) => {
                reader.close().await;
                Err(match error {
                    StoreError::Sqlite { path, .. } | StoreError::ReadOnly { path } if denied => {
                        StoreError::LogLeft { path }
                    }
                    other => other,
                })
            }
        }
    }

    /// SQLite takes some locks without waiting (switching to WAL, recovering after a crash, the last close).
    async fn open_patiently(path: &Path, opening: Opening) -> Result<Self> {
        let deadline = Instant::now() + opening.patience;
        loop {
            match Self::open_once(path, opening).await {
                Err(StoreError::Busy { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                result => return result,
            }
        }
    }

    async fn open_once(path: &Path, opening: Opening) -> Result<Self> {
        let options = options(path)
            .create_if_missing(opening.migrates)
            .busy_timeout(opening.patience)
            .synchronous(SqliteSynchronous::Normal);
        let writer = pool_options()
            .max_connections(1)
            .acquire_timeout(2 * opening.patience)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|error| StoreError::from_sqlite(path.into(), error))?;
        let store = Self { reader: Reader::new(path, false), writer, file: FileIdentity::at(path) };
        match store.prepare(opening).await {
            Ok(()) => Ok(store),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    /// Checks the schema, switches to WAL, applies the missing migrations if there may be any.
    async fn prepare(&self, opening: Opening) -> Result<()> {
        let mut connection = self.writer.acquire().await.at(self)?;
        let schema = Schema::read(&mut connection).await.at(self)?;
        match opening.migrates {
            true => schema.check(&self.path).map(drop)?,
            false => schema.require_newest(&self.path)?,
        }
        let mode: String =
            sqlx::query_scalar("pragma journal_mode = wal").fetch_one(&mut *connection).await.at(self)?;
        if mode != "wal" {
            return Err(StoreError::NoWal { path: self.path.clone(), mode });
        }
        drop(connection);
        if !opening.migrates {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| self.migration_error(error))?;
        transaction.commit().await.at(self)
    }

    fn migration_error(&self, error: MigrateError) -> StoreError {
        let path = self.path.clone();
        match error {
            // Another process with another program may have migrated since the check.
            MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => {
                StoreError::AlteredMigration { path, version }
            }
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                StoreError::from_sqlite(path, source)
            }
            other => StoreError::Sqlite { path, source: sqlx::Error::Migrate(Box::new(other)) },
        }
    }
}

/// How a store is opened for writing.
#[derive(Debug, Clone, Copy)]
struct Opening {
    /// Whether a missing file is created, and an older one brought up to date.
    migrates: bool,
    /// How long a write waits for other processes.
    patience: Duration,
}

/// What every connection has in common. `trusted_schema` off: a crafted file cannot run functions from its schema.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        .pragma("trusted_schema", "off")
        .disable_statement_logging()
}

/// After some errors, a full disk among them, SQLite ends the transaction by itself. sqlx does not notice and would take
/// every later transaction for a nested one: such a connection is replaced.
fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?; // a dropped transaction's rollback has been tried after this
            Ok(!connection.is_in_transaction())
        })
    })
}

fn reader_pool(path: &Path, immutable: bool) -> SqlitePool {
    pool_options()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options(path).read_only(true).immutable(immutable).pragma("query_only", "on"))
}

impl Reader {
    fn new(path: &Path, immutable: bool) -> Self {
        Self { path: path.into(), pool: reader_pool(path, immutable), immutable }
    }

    /// Whether this program can read the store as it is now: another one may have changed it since it was opened.
    ///
    /// # Errors
    /// As [`open_existing_read_only`](Store::open_existing_read_only), but for a file that is gone: it stays readable
    /// while it is open.
    pub async fn check(&self) -> Result<()> {
        if self.immutable && has_log(&self.path) {
            return Err(StoreError::LogLeft { path: self.path.clone() });
        }
        let mut connection = self.pool.acquire().await.at(self)?;
        Schema::read(&mut connection).await.at(self)?.require_newest(&self.path)
    }
}

/// What a database file says about itself.
#[derive(Debug, Default)]
struct Schema {
    tables: Vec<String>,
    /// Versions and checksums of the migrations applied, oldest first.
    applied: Vec<(i64, Vec<u8>)>,
}

impl Schema {
    async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select name from sqlite_schema where type = 'table' and name not like 'sqlite~_%' escape '~' order by name",
        )
        .fetch_all(&mut *connection)
        .await?;
        let applied = if tables.iter().any(|table| table == "_sqlx_migrations") {
            sqlx::query_as("select version, checksum from _sqlx_migrations order by version")
                .fetch_all(connection)
                .await?
        } else {
            Vec::new()
        };
        Ok(Self { tables, applied })
    }

    /// The newest version applied (0: an empty file), if this program can work with the file.
    fn check(&self, path: &Path) -> Result<i64> {
        let path = || path.to_path_buf();
        let ours = self.tables.iter().any(|table| table == "experiment") && !self.applied.is_empty();
        if let Some(table) = self.tables.first()
            && !ours
        {
            return Err(StoreError::ForeignDatabase { path: path(), table: table.clone() });
        }
        let newest = self.applied.last().map_or(0, |(version, _)| *version);
        if newest > newest_known() {
            return Err(StoreError::NewerDatabase { path: path(), database: newest, known: newest_known() });
        }
        for (version, checksum) in &self.applied {
            let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
            if known.is_none_or(|migration| *migration.checksum != **checksum) {
                return Err(StoreError::AlteredMigration { path: path(), version: *version });
            }
        }
        Ok(newest)
    }

    /// Refuses also what this program would have to migrate.
    fn require_newest(&self, path: &Path) -> Result<()> {
        match (self.check(path)?, newest_known()) {
            (database, known) if database < known => {
                Err(StoreError::OlderDatabase { path: path.into(), database, known })
            }
            _ => Ok(()),
        }
    }
}

/// The newest migration this program has.
fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().expect("the first migration is compiled in")
}

/// The folder that holds `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn refuse_network_filesystem(path: &Path) -> Result<()> {
    // The file itself if it is there (it may be a link to elsewhere), else its folder.
    let place: PathBuf = if path.exists() { path.into() } else { folder_of(path).into() };
    let magic =
        filesystem::magic_of(&place).map_err(|source| StoreError::from_io("find the filesystem of", place, source))?;
    match filesystem::network_filesystem(magic) {
        Some(filesystem) => Err(StoreError::NetworkFilesystem { path: path.into(), filesystem }),
        None => Ok(()),
    }
}

/// Whether this user may not write the file or may not create files beside it.
fn is_denied(path: &Path) -> bool {
    let denied = |place: &Path| rustix::fs::access(place, Access::WRITE_OK).is_err();
    denied(folder_of(path)) || (path.exists() && denied(path))
}

/// Reading in WAL mode needs to write the files `-wal` and `-shm`. Where that is denied and there is no log, nobody is
/// writing now, and the file alone is the whole truth.
pub(super) fn is_immutable(path: &Path) -> bool {
    is_denied(path) && !has_log(path)
}

/// Whether there is a write-ahead log beside the file: some process has the store open, or was killed.
pub(super) fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).exists()
}
