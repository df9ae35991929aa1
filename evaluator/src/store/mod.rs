//! The results store: every experiment, trial and number in one SQLite file.
//!
//! SQLite allows many readers but one writer at a time. A transaction that reads first and writes later can fail with
//! «database is locked» however long it waits, because another writer moved on in between. So this store has ONE writer
//! connection, whose transactions all begin `immediate` (they wait for their turn before they read anything), and a
//! separate pool of read-only connections, which never wait: in WAL mode they see the last committed state.
//!
//! [`Reader`] is what reports and pages use; [`Store`] is a reader that can also write. Each table, or closely tied
//! group of tables, has its module. Values are computed by the caller before a method is called: a transaction only
//! moves rows.
//!
//! A write is durable against `kill -9` as soon as its method returns. Against a power cut the file stays whole, but the
//! last transactions may be missing (`synchronous = normal`); a sweep then repeats them.

mod artifact;
mod artifact_files;
mod backup;
mod catalogue;
mod checkpoint_files;
mod clock;
mod curve;
mod dataset;
mod error;
mod event;
mod experiment;
mod export;
mod filesystem;
mod garbage;
mod hash;
mod ids;
mod lease;
mod merge;
mod metric;
mod note;
mod open;
mod predictor;
mod process;
mod progress;
mod progressive;
mod protocol;
mod provenance;
mod report;
mod sample;
mod subject;
mod summary;
mod training;
mod training_point;
mod trial;
mod trial_sample;

#[cfg(test)]
mod tests;

pub use artifact::ArtifactRow;
pub use artifact_files::{ArtifactFiles, MediaType};
pub use catalogue::{Changes, FinishedTrial, Holdings, Mean};
pub use checkpoint_files::{CheckpointFiles, regressor_file};
pub use clock::{now, seconds_since};
pub use curve::{CurveFilter, CurvePoint, CurveRow, NewCurve};
pub use dataset::{DatasetRow, NewDataset, NewSource, SourceRow, Split};
pub use error::{Result, StoreError};
pub use event::{EventRow, NewEvent};
pub use experiment::{ExperimentRow, NewExperiment};
pub use export::{Export, ExportFormat};
pub use filesystem::{FileIdentity, network_filesystem};
pub use garbage::{Garbage, Waste, WasteKind, collect_garbage};
pub use hash::{ContentHash, HashError};
pub use ids::{
    CurveId, DatasetId, EventId, ExperimentId, MetricId, NoteId, PredictorId, ProtocolId, ProvenanceId, SampleId,
    SourceId, TrainingRunId, TrialId,
};
pub use lease::{Lease, LeaseRow};
pub use merge::{Merged, Sources};
pub use metric::{MetricRow, NewMetric};
pub use note::{MOST_NOTE_CHARACTERS, MOST_TAG_CHARACTERS, NoteRow};
pub use predictor::{NewPredictor, PredictorRow};
pub use process::{Process, host_hash};
pub use progress::{TrialCounts, TrialProgress};
pub use progressive::{NewProgressive, ProgressivePicture};
pub use protocol::ProtocolRow;
pub use provenance::{NewProvenance, ProvenanceRow};
pub use report::{BlockRow, MeasurementRow, OutcomeRow, TrialReport, TrialSampleRow};
pub use sample::{NewSample, SampleRow};
pub use subject::Subject;
pub use summary::{NewSummary, SummaryRow};
pub use training::{ExperimentTrainingRow, NewTrainingRun, TrainingRunRow, TrainingStatus};
pub use training_point::TrainingPoint;
pub use trial::{NewTrial, TrialStatus};
pub use trial_sample::{BlockRecord, SampleRecord};

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use error::At;
use sqlx::sqlite::SqlitePool;
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction};

/// The read side of a store; cheap to clone, safe to share between tasks.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    pool: SqlitePool,
    /// Whether nobody could write when it was opened: what is written since stays unseen.
    immutable: bool,
}

/// A store that may be written to: a [`Reader`] with the one writer connection beside it.
#[derive(Debug, Clone)]
pub struct Store {
    reader: Reader,
    writer: SqlitePool,
    file: Option<FileIdentity>,
}

/// The id of a row asked for by its key, and whether it was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<Id> {
    /// The row's id; the same at every later call with the same key.
    pub id: Id,
    /// Whether an earlier call had stored the row; nothing was changed then.
    pub existed: bool,
}

impl<Id> Stored<Id>
where
    Id: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + Send + Unpin,
{
    /// The second half of «insert … on conflict do nothing returning id»: `find` the row that was in the way.
    async fn or_found(
        inserted: Option<Id>,
        find: &'static str,
        key: ContentHash,
        connection: &mut SqliteConnection,
    ) -> Result<Self, sqlx::Error> {
        match inserted {
            Some(id) => Ok(Self { id, existed: false }),
            None => {
                let id = sqlx::query_scalar(find).bind(key).fetch_one(connection).await?;
                Ok(Self { id, existed: true })
            }
        }
    }
}

impl Reader {
    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the artifacts' files lie: the folder `artifacts` beside the database.
    pub fn artifact_files(&self) -> ArtifactFiles {
        ArtifactFiles::beside(&self.path)
    }

    /// Several reads that must agree with each other: all see the state at the first of them.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>> {
        self.pool.begin().await.at(self)
    }

    /// Closes the connections of this reader and of all its clones.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Store {
    /// A write transaction: waits for its turn at once, so it cannot fail later because another process wrote.
    /// Dropping it without [`commit`](Transaction::commit) undoes it.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        let transaction = self.writer.begin_with("begin immediate").await.at(self)?;
        // The log is found by its name: SQLite would later fold what this transaction writes into the other file.
        match FileIdentity::at(&self.path) {
            file if file == self.file => Ok(transaction),
            None => Err(StoreError::Missing { path: self.path.clone() }),
            Some(_) => Err(StoreError::Replaced { path: self.path.clone() }),
        }
    }

    /// Folds the log into the file and empties it, unless somebody reads or writes right now: nobody is waited for. With
    /// an empty log another file can take this one's place while programs have it open.
    pub async fn fold_log(&self) -> Result<()> {
        // With the patience of the writer it would hold up who writes next.
        let options = open::options(&self.path).busy_timeout(Duration::ZERO);
        let mut connection = options.connect().await.at(self)?;
        let folded = sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await;
        connection.close().await.at(self)?;
        folded.map(drop).at(self)
    }

    /// Closes all connections of this store and of its clones; the last process to do so folds the WAL into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

impl Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
