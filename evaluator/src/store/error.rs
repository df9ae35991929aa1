//! What can go wrong with a store, and what the reader can do about it.

use std::io;
use std::path::PathBuf;

use super::{ContentHash, DatasetId, Reader, SampleId, Subject, TrialId};

/// The result of a store's method.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    // ── Opening ──
    /// The database does not exist and was not to be created.
    #[error("there is no results store at {path}: `elastictok run <experiment.toml>` creates one")]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// The folder that should hold the database does not exist.
    #[error("cannot create the results store {path}: its folder {folder} does not exist; create it first")]
    NoFolder {
        /// The database file.
        path: PathBuf,
        /// The missing folder.
        folder: PathBuf,
    },
    /// The folder lies on a filesystem where WAL does not work.
    #[error(
        "the results store {path} lies on a network filesystem ({filesystem}), where SQLite's write-ahead log is not \
         safe: keep one store per node on a local disk, then merge them"
    )]
    NetworkFilesystem {
        /// The database file.
        path: PathBuf,
        /// The filesystem's name.
        filesystem: &'static str,
    },
    /// The file is not an SQLite database.
    #[error("{path} is not a results store: the file is not an SQLite database; choose another path")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is an SQLite database, but not one of ours.
    #[error("{path} is an SQLite database of another program (it has a table `{table}`); choose another path")]
    ForeignDatabase {
        /// The file.
        path: PathBuf,
        /// One of its tables.
        table: String,
    },
    /// A newer program has migrated the store.
    #[error(
        "the results store {path} has schema version {database}, but this elastictok knows versions up to {known}: \
         update elastictok"
    )]
    NewerDatabase {
        /// The database file.
        path: PathBuf,
        /// The newest migration applied to the file.
        database: i64,
        /// The newest migration this program has.
        known: i64,
    },
    /// The store needs a migration, but was opened as it is.
    #[error(
        "the results store {path} has schema version {database}, older than this elastictok's {known}, and is not \
         migrated unasked: open it once with this version to migrate it, for example with `elastictok gc --db {path}`"
    )]
    OlderDatabase {
        /// The database file.
        path: PathBuf,
        /// The newest migration applied to the file.
        database: i64,
        /// The newest migration this program has.
        known: i64,
    },
    /// A migration of this program differs from the one that made the store.
    #[error(
        "the results store {path} was made by a build with another migration {version}: read it with that build, or \
         start a new store"
    )]
    AlteredMigration {
        /// The database file.
        path: PathBuf,
        /// The migration that differs.
        version: i64,
    },

    /// A killed process left a log, which only someone who may write can fold into the file.
    #[error(
        "the results store {path} cannot be read as it is: a write-ahead log lies beside it, and this user may not \
         write there; open it once as a user who may, for example with `elastictok run`"
    )]
    LogLeft {
        /// The database file.
        path: PathBuf,
    },
    /// SQLite could not switch the file to WAL mode.
    #[error(
        "the results store {path} cannot use a write-ahead log (SQLite stays in mode «{mode}»): move it to a local disk"
    )]
    NoWal {
        /// The database file.
        path: PathBuf,
        /// The journal mode that SQLite fell back to.
        mode: String,
    },

    // ── Reading and writing ──
    /// The file or its folder may not be written to.
    #[error("the results store {path} cannot be written: the file or its folder is read-only for this user")]
    ReadOnly {
        /// The database file.
        path: PathBuf,
    },
    /// The file that was opened is not at its path any more, but another one is.
    #[error(
        "another file took the place of the results store {path} while it was open: nothing was written into either"
    )]
    Replaced {
        /// The database file.
        path: PathBuf,
    },
    /// No space left.
    #[error("the disk that holds the results store {path} is full: free some space and run again; nothing is lost")]
    DiskFull {
        /// The database file.
        path: PathBuf,
    },
    /// Damaged pages.
    #[error(
        "the results store {path} is damaged ({detail}): keep a copy, then try `sqlite3 {path} .recover`, or start a \
         new store"
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// Another process kept the write lock for too long.
    #[error("the results store {path} stayed locked by another process: see which one still runs, then try again")]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// A row that breaks a constraint of the schema.
    #[error("the results store {path} refuses a row ({detail}): its values or the ids it refers to are wrong")]
    Refused {
        /// The database file.
        path: PathBuf,
        /// The constraint, as SQLite names it.
        detail: String,
    },
    /// Anything else from SQLite.
    #[error("the results store {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's own words.
        source: sqlx::Error,
    },
    /// A file beside the database.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    // ── Whole stores ──
    /// Two stores hold different numbers under one key.
    #[error(
        "cannot merge {source_path}, nothing was merged: {what} is {theirs} there, but {ours} in the destination; \
         keep the two stores apart, or make one of them again on the same machine as the other"
    )]
    MergeConflict {
        /// The store that was to be merged.
        source_path: PathBuf,
        /// The row and its value.
        what: String,
        /// The value there.
        theirs: String,
        /// The value here.
        ours: String,
    },
    /// A store that should be copied onto itself.
    #[error("{path} is the results store itself: choose another file")]
    SameStore {
        /// The file.
        path: PathBuf,
    },
    /// Somebody is working on what should be replaced or cleaned up.
    #[error(
        "process {pid} on {host} has been working on {subject} of the results store {path} since {since}: wait until \
         it has finished, or stop it, then try again"
    )]
    Leased {
        /// The database file.
        path: PathBuf,
        /// The training run or trial.
        subject: Subject,
        /// The holder's number.
        pid: u32,
        /// The holder's host.
        host: String,
        /// Since when: UTC, RFC 3339.
        since: String,
    },
    /// A file that should not be overwritten unasked.
    #[error("{path} exists already: choose another name, or overwrite it with --force")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A database that some process may have open, and that should be overwritten.
    #[error(
        "cannot write {path}: a write-ahead log lies beside it, so a process has that database open or was killed; \
         choose another name"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },

    // ── What the caller asked for ──
    /// No such row.
    #[error("the store has no {what} {id}")]
    NotFound {
        /// The kind of row.
        what: &'static str,
        /// The id, name or hash asked for.
        id: String,
    },
    /// A tag or note that is empty or too long.
    #[error("a {what} has 1 to {most} characters, and this one has {length}")]
    TextLength {
        /// Tag or note.
        what: &'static str,
        /// Its length in characters, without the spaces around it.
        length: usize,
        /// The greatest.
        most: usize,
    },
    /// A tag or note with something that is not text.
    #[error("a {what} is text, and this one holds the control character U+{:04X}: leave it out", u32::from(*character))]
    ControlCharacter {
        /// Tag or note.
        what: &'static str,
        /// The first such character.
        character: char,
    },
    /// A measurement that is no number.
    #[error("metric {metric} of sample {sample} is {value}: only finite numbers are stored; leave the metric out")]
    MeasurementNotFinite {
        /// The metric's name.
        metric: String,
        /// The sample, by source name and ordinal.
        sample: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// Another value that is no number.
    #[error("{what} is {value}: only finite numbers are stored")]
    NotFinite {
        /// The value's name and where it belongs.
        what: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// A training run or trial that is not in a state that allows this.
    #[error("cannot {action} {subject}: it is {status}, need {needed}")]
    WrongStatus {
        /// What was asked.
        action: &'static str,
        /// The training run or trial.
        subject: Subject,
        /// Its status.
        status: String,
        /// The statuses that would do.
        needed: &'static str,
    },
    /// A trial that should be finished before all of its samples are recorded.
    #[error("cannot finish trial {trial}: {recorded} of its {expected} samples are recorded")]
    Incomplete {
        /// The trial.
        trial: TrialId,
        /// Samples recorded.
        recorded: u32,
        /// Samples it needs.
        expected: u32,
    },
    /// A sample that the trial already has.
    #[error("trial {trial} already has a record of sample {sample}: ask `done_samples` before a trial goes on")]
    SampleRecorded {
        /// The trial.
        trial: TrialId,
        /// The sample.
        sample: SampleId,
    },
    /// A metric whose meaning changed under its name and version.
    #[error(
        "metric {name} version {version} is stored with unit «{stored}», not «{asked}»: give a changed metric a new \
         version"
    )]
    MetricChanged {
        /// The metric's name.
        name: String,
        /// Its version.
        version: u32,
        /// Unit, direction and noisiness in the store.
        stored: String,
        /// Unit, direction and noisiness asked for.
        asked: String,
    },
    /// A source whose bytes changed although its dataset's key did not.
    #[error("source {name} of dataset {dataset} is stored with hash {stored}, not {asked}: the dataset's key is wrong")]
    SourceChanged {
        /// The dataset.
        dataset: DatasetId,
        /// The source's name.
        name: String,
        /// The hash in the store.
        stored: ContentHash,
        /// The hash asked for.
        asked: ContentHash,
    },
    /// An artifact whose file no longer has the content that names it.
    #[error("the artifact {path} is damaged: its content does not have the hash in its name; delete it and run again")]
    ArtifactDamaged {
        /// The file.
        path: PathBuf,
    },
    /// This process cannot be told from others.
    #[error("cannot read /proc/self/stat, which leases need to tell processes apart: {source}")]
    NoProcess {
        /// Why not.
        source: io::Error,
    },
}

/// Names the store in an error from SQLite: `query.await.at(self)?`.
pub(super) trait At<T> {
    /// The value, or a [`StoreError`] with the store's path.
    fn at(self, store: &Reader) -> Result<T>;
}

impl<T> At<T> for Result<T, sqlx::Error> {
    fn at(self, store: &Reader) -> Result<T> {
        self.map_err(|source| StoreError::from_sqlite(store.path.clone(), source))
    }
}

impl StoreError {
    /// Sorts SQLite's result codes (<https://www.sqlite.org/rescode.html>) into what a person can act on.
    pub(super) fn from_sqlite(path: PathBuf, source: sqlx::Error) -> Self {
        let Some(database) = source.as_database_error() else {
            return match source {
                // The writer connection is held by another task of this process.
                sqlx::Error::PoolTimedOut => Self::Busy { path },
                source => Self::Sqlite { path, source },
            };
        };
        let detail = database.message().to_owned();
        let code: u32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
        // The log's index (`-shm`) cannot grow, which only a full disk prevents.
        const IOERR_SHMSIZE: u32 = 4874;
        // The low byte of an extended code is the primary one.
        match (code, code & 0xff) {
            (IOERR_SHMSIZE, _) | (_, 13) => Self::DiskFull { path },
            (_, 5 | 6) => Self::Busy { path },
            (_, 8) => Self::ReadOnly { path },
            (_, 11) => Self::Corrupt { path, detail },
            (_, 19) => Self::Refused { path, detail },
            (_, 26) => Self::NotADatabase { path },
            _ => Self::Sqlite { path, source },
        }
    }

    /// An error about a file beside the database, or [`DiskFull`](Self::DiskFull).
    pub(super) fn from_io(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull { path },
            _ => Self::File { action, path, source },
        }
    }

    pub(super) fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }
}

/// Refuses NaN and infinities; `what` is only asked for when there is something to say.
pub(super) fn finite(value: f64, what: impl FnOnce() -> String) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(StoreError::NotFinite { what: what(), value }) }
}
