//! One poller an experiment, and those who listen to it.
//!
//! Nothing queues up between them: the poller leaves the newest state in a place for one, and a listener reads the
//! events that it lacks from the store, a page at a time, when its connection has taken those before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use evaluator::store::{EventId, EventRow, ExperimentId, Reader, Result};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::news::{News, Told};
use super::work::Work;

/// The least time between two looks into the store.
const EVERY: Duration = Duration::from_secs(1);

/// Events read at once.
pub(super) const PAGE: u32 = 100;

/// An experiment that is polled as long as somebody holds this.
#[derive(Debug)]
pub struct Watched {
    now: watch::Receiver<Option<Now>>,
    _poller: AbortOnDropHandle<()>,
}

/// An experiment as it was at the last look.
#[derive(Debug, Clone, PartialEq)]
struct Now {
    last_event: EventId,
    /// The work as JSON, once for all listeners.
    work: Arc<str>,
}

impl Watched {
    /// Polls from now on.
    pub fn begin(reader: Reader, experiment: ExperimentId) -> Self {
        let (sender, now) = watch::channel(None);
        // An unreadable store ends the poller, and with it the streams: browsers come back and are told why.
        let poller = tokio::spawn(async move { drop(poll(&reader, experiment, &sender).await) });
        Self { now, _poller: AbortOnDropHandle::new(poller) }
    }

    /// Whether the poller goes on.
    pub fn goes_on(&self) -> bool {
        self.now.has_changed().is_ok()
    }
}

async fn poll(reader: &Reader, experiment: ExperimentId, sender: &watch::Sender<Option<Now>>) -> Result<()> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::read(reader, experiment).await?;
    loop {
        ticks.tick().await;
        told.follow(reader, experiment).await?;
        let work = Work::read(reader, experiment, &told).await?.to_json().into();
        let now = Some(Now { last_event: told.last_event(), work });
        sender.send_if_modified(|known| {
            let is_new = *known != now;
            *known = now;
            is_new
        });
    }
}

/// One open page.
pub struct Listener {
    /// The poller lives as long.
    _watched: Arc<Watched>,
    now: watch::Receiver<Option<Now>>,
    reader: Reader,
    experiment: ExperimentId,
    /// The last event that was passed on, or passed over.
    after: EventId,
    /// Read and not yet passed on: one page at most.
    pub(super) unsent: VecDeque<EventRow>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Goes on after this event.
    pub fn new(
        watched: Arc<Watched>,
        reader: Reader,
        experiment: ExperimentId,
        after: EventId,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let now = watched.now.clone();
        Self { _watched: watched, now, reader, experiment, after, unsent: VecDeque::new(), _place: place }
    }

    /// All that it gets, each when it is asked for.
    pub fn events(self) -> impl Stream<Item = Event> {
        stream::unfold(self, async |mut listener| Some((listener.next().await?, listener)))
    }

    /// The next event it lacks, or else the work when it has changed; `None` when the store cannot be read.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.unsent.pop_front() {
                self.after = event.id;
                return Some(News::new(&event).to_sse(event.id));
            }
            self.now.changed().await.ok()?;
            let Some(now) = self.now.borrow_and_update().clone() else { continue };
            if self.after >= now.last_event {
                return Some(Event::default().event("work").data(now.work));
            }
            self.unsent = self.reader.experiment_events(self.experiment, self.after, PAGE).await.ok()?.into();
            if self.unsent.is_empty() {
                self.after = now.last_event; // deleted since
            }
            self.now.mark_changed();
        }
    }
}
