//! Keeps the catalogue as the store is.
//!
//! A page asks SQLite whether anything was committed. If so, experiments whose finished trials are others than before
//! are read again, and only they. In a large store that takes longer than a page may: a page waits a little, then shows
//! what is known, and the next one has the news. Where nothing is known yet, the first view reads what it shows itself.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use evaluator::store::{Changes, Holdings, Reader, Result};
use tokio::sync::Mutex;

use super::catalogue::{Catalogue, Shelf};

/// How long a page waits for news. People see 100 ms as at once.
const PATIENCE: Duration = Duration::from_millis(100);

/// The catalogue of a store that others write to.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    known: RwLock<Option<Arc<Catalogue>>>,
    /// Held by the one task that reads.
    changes: Mutex<Option<Changes>>,
}

impl Keeper {
    /// Begins to read at once, so that the first page need not wait for all of it; in a Tokio runtime.
    pub fn new(reader: Reader) -> Self {
        let inner = Arc::new(Inner { reader, known: RwLock::default(), changes: Mutex::default() });
        let reading = inner.clone();
        // An error is for the page that asks next, which tries again.
        tokio::spawn(async move { reading.refresh().await.map(drop) });
        Self(inner)
    }

    /// The catalogue, as new as can be had without a wait that people notice; the first takes as long as it takes.
    pub async fn catalogue(&self) -> Result<Arc<Catalogue>> {
        let inner = self.0.clone();
        // A task of its own: a reader who goes away does not undo the work.
        let reading = tokio::spawn(async move { inner.refresh().await });
        let joined = match self.0.known() {
            None => reading.await,
            Some(known) => match tokio::time::timeout(PATIENCE, reading).await {
                Ok(joined) => joined,
                Err(_) => return Ok(known),
            },
        };
        joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// A catalogue with the trials of the newest experiment that has finished ones: the whole one, once it was read, and
    /// before that one in which other experiments have no entries.
    pub async fn newest(&self) -> Result<Arc<Catalogue>> {
        if self.0.known().is_some() {
            return self.catalogue().await;
        }
        let mut is_found = false;
        let newest = |holdings: &Holdings| holdings.done > 0 && !std::mem::replace(&mut is_found, true);
        Ok(Arc::new(self.0.read(None, newest).await?))
    }
}

impl Inner {
    fn known(&self) -> Option<Arc<Catalogue>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh(&self) -> Result<Arc<Catalogue>> {
        let mut changes = self.changes.lock().await;
        let watch = match changes.take() {
            Some(watch) => watch,
            None => self.reader.changes().await?,
        };
        let changed = watch.any().await?;
        let known = self.known();
        let fresh = match known {
            Some(known) if !changed => known,
            // Fails before the watch is put back: the next page asks as if for the first time.
            known => Arc::new(self.read(known.as_deref(), |_| true).await?),
        };
        *changes = Some(watch);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }

    /// Reads the trials of the experiments that are wanted and not known.
    async fn read(&self, known: Option<&Catalogue>, mut is_wanted: impl FnMut(&Holdings) -> bool) -> Result<Catalogue> {
        let mut texts = known.map(|known| known.texts.clone()).unwrap_or_default();
        let mut experiments = Vec::new();
        for holdings in self.reader.holdings().await? {
            let same = known.and_then(|known| known.experiments.iter().find(|shelf| shelf.holdings == holdings));
            experiments.push(match same {
                Some(shelf) => shelf.clone(),
                None => {
                    let is_wanted = is_wanted(&holdings);
                    let trials = if is_wanted { self.reader.finished_trials(holdings.id).await? } else { Vec::new() };
                    Arc::new(Shelf::new(holdings, &trials, &mut texts))
                }
            });
        }
        Ok(Catalogue { texts, experiments, metrics: Catalogue::metrics(self.reader.metrics().await?) })
    }
}
