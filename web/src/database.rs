//! The store as it is now, not as it was when the server began.
//!
//! A file that was deleted or replaced stays readable through the connections that have it open: pages would show what is
//! not there any more. So before each page the server asks whether the file at the path is still the one it opened, and
//! whether it can still be read; if not, it opens the store anew. A page says why that failed, and the next one tries
//! again.
//!
//! Most dashboards are only looked at: the store is opened for writing at the first change, as it is. Another program may
//! be in the middle of a sweep, so a change waits its turn for a short while, and is one row in one transaction.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{FromRef, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use evaluator::store::{FileIdentity, Reader, Store, StoreError};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Problem;
use crate::live::Live;
use crate::pages::trade_offs::Sources;

/// How long a page waits for the store: a person at a browser thinks it broken after a few seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a change waits for another program's. Those of a sweep take milliseconds.
const TURN: Duration = Duration::from_secs(3);

/// The store at a path, reopened when its file is another. Handlers extract its [`Reader`], or what keeps one:
/// [`Sources`] or [`Live`]; those that change it, the whole.
#[derive(Debug, Clone)]
pub struct Database {
    path: Arc<Path>,
    open: Arc<RwLock<Open>>,
    /// Held by the one request that reopens the store.
    turn: Arc<Mutex<()>>,
    /// Cancelled when the server is asked to end.
    stopping: CancellationToken,
}

#[derive(Debug, Clone)]
struct Open {
    reader: Reader,
    /// Empty until the first change.
    writer: Arc<OnceCell<Store>>,
    trade_offs: Sources,
    live: Live,
    /// Streams end when another store takes this one's place: browsers come back, and follow that.
    _streams: Arc<DropGuard>,
    file: Option<FileIdentity>,
    /// Whether a page met damage: what this reader remembers of the file may be wrong.
    doubted: bool,
}

impl Open {
    fn new(reader: Reader, file: Option<FileIdentity>, stopping: &CancellationToken) -> Self {
        let ended = stopping.child_token();
        let live = Live::new(reader.clone(), ended.clone());
        let trade_offs = Sources::new(reader.clone());
        let writer = Arc::default();
        Self { reader, writer, trade_offs, live, _streams: Arc::new(ended.drop_guard()), file, doubted: false }
    }
}

impl FromRef<Database> for Reader {
    fn from_ref(database: &Database) -> Self {
        database.open().reader
    }
}

impl FromRef<Database> for Sources {
    fn from_ref(database: &Database) -> Self {
        database.open().trade_offs
    }
}

impl FromRef<Database> for Live {
    fn from_ref(database: &Database) -> Self {
        database.open().live
    }
}

impl Database {
    /// The database that this reader has opened. Its streams end when `stopping` is cancelled.
    pub fn new(reader: Reader, stopping: CancellationToken) -> Self {
        let path: Arc<Path> = reader.path().into();
        let open = Open::new(reader, FileIdentity::at(&path), &stopping);
        Self { path, open: Arc::new(RwLock::new(open)), turn: Arc::default(), stopping }
    }

    fn open(&self) -> Open {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        if self.is_current().await {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.is_current().await {
            return Ok(()); // another request reopened it
        }
        // The identity first: a file replaced in between is noticed by the next request.
        let file = FileIdentity::at(&self.path);
        let reader = Store::open_existing_read_only(&self.path).await?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Open::new(reader, file, &self.stopping);
        Ok(())
    }

    async fn is_current(&self) -> bool {
        let open = self.open();
        !open.doubted
            && open.file.is_some()
            && open.file == FileIdentity::at(&self.path)
            && open.reader.check().await.is_ok()
    }

    /// Makes a change to the store.
    pub async fn write<T>(&self, change: impl AsyncFnOnce(&Store) -> Result<T, StoreError>) -> Result<T, Problem> {
        let open = self.open();
        let opened = open.writer.get_or_try_init(|| Store::open_existing(&self.path, TURN)).await;
        let store = opened.map_err(Problem::unchanged)?;
        let changed = change(store).await.map_err(Problem::unchanged)?;
        // A dashboard stays open for days, and the file may be replaced meanwhile. Whether it could be folded or not, the
        // change is made.
        store.fold_log().await.ok();
        Ok(changed)
    }

    fn doubt(&self) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).doubted = true;
    }
}

/// Lets a request through when the store can be read, and says why not otherwise.
pub async fn ready(State(database): State<Database>, request: Request, next: Next) -> Result<Response, Problem> {
    match tokio::time::timeout(PATIENCE, database.refresh()).await {
        Ok(refreshed) => refreshed?,
        Err(_) => return Err(busy(&database.path)),
    }
    let response = next.run(request).await;
    if response.extensions().get::<Problem>().is_some_and(Problem::doubts_the_store) {
        database.doubt();
    }
    Ok(response)
}

fn busy(path: &Path) -> Problem {
    let advice = format!(
        "{} did not answer within {} s: another process keeps it locked, or many pages are being made at once. Wait a \
         little, then reload this page; if it stays so, see which other program uses the file.",
        path.display(),
        PATIENCE.as_secs()
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The results store is busy", advice)
}
