//! `/experiments/{id}/live`: running work as server-sent events, for pages that stay open.
//!
//! One poller an experiment reads the store while somebody listens (`watch.rs`), never more often than once a second
//! and only through read-only connections: a sweep, which may be another process, does not notice. Listeners get
//! - `work`: everything that is running or has failed, as it is now (`work.rs`); who is slow misses some and gets the newest;
//! - `news`: each event of the store under its id (`news.rs`); these are never missed, and after a broken connection the
//!   browser's `Last-Event-ID` gets those that came meanwhile.

mod news;
mod section;
mod watch;
mod work;

#[cfg(test)]
mod tests;

pub use section::Section;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use evaluator::store::{EventId, ExperimentId, Reader};
use futures_util::stream::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use watch::{Listener, Watched};

use crate::error::Problem;
use crate::extract::{Path, Query};

/// Streams at once: far more than one person opens, and few enough to be nothing for the machine.
const MOST_STREAMS: usize = 64;

/// Everybody who listens.
#[derive(Debug, Clone)]
pub struct Live {
    reader: Reader,
    ended: CancellationToken,
    places: Arc<Semaphore>,
    watched: Arc<Mutex<HashMap<ExperimentId, Weak<Watched>>>>,
}

/// Where a listener goes on; the header `Last-Event-ID` counts more, because a browser sends it when it comes back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    after: Option<EventId>,
}

/// The stream of one experiment.
pub async fn stream(
    State(live): State<Live>,
    Path(experiment): Path<ExperimentId>,
    Query(asked): Query<Asked>,
    request: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let after = match request.get("last-event-id") {
        Some(id) => Some(EventId(number(id.as_bytes())?)),
        None => asked.after,
    };
    let events = live.listen(experiment, after).await?;
    Ok(Sse::new(events.map(Ok)).keep_alive(KeepAlive::default()))
}

fn number(text: &[u8]) -> Result<i64, Problem> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        Problem::bad_request(format!("Last-Event-ID is the number of an event, not «{}»", text.escape_ascii()))
    })
}

impl Live {
    /// Streams from this store, which end when `ended` is cancelled.
    pub fn new(reader: Reader, ended: CancellationToken) -> Self {
        Self { reader, ended, places: Arc::new(Semaphore::new(MOST_STREAMS)), watched: Arc::default() }
    }

    /// The experiment's events after this one (`None`: only those to come) and its work, each time it changes.
    async fn listen(
        &self,
        experiment: ExperimentId,
        after: Option<EventId>,
    ) -> Result<impl Stream<Item = Event> + use<>, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let advice = format!("{MOST_STREAMS} pages follow running work already: close some of them.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many pages are open", advice)
        })?;
        let experiment = self.reader.experiment(experiment).await?.id;
        // A store may have been replaced by another one with fewer events.
        let newest = self.reader.last_event().await?;
        let after = after.map_or(newest, |after| after.min(newest));
        let listener = Listener::new(self.watch(experiment), self.reader.clone(), experiment, after, place);
        Ok(listener.events().take_until(self.ended.clone().cancelled_owned()))
    }

    /// What is polled for all listeners of the experiment, begun now for the first of them.
    fn watch(&self, experiment: ExperimentId) -> Arc<Watched> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watched| watched.strong_count() > 0);
        if let Some(known) = watched.get(&experiment).and_then(Weak::upgrade).filter(|known| known.goes_on()) {
            return known;
        }
        let new = Arc::new(Watched::begin(self.reader.clone(), experiment));
        watched.insert(experiment, Arc::downgrade(&new));
        new
    }
}
