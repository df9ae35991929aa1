//! «Running now» in a page, as of the time of loading; the script `live.js` keeps it up to date.

use askama::Template;
use evaluator::store::{EventId, ExperimentId, Reader, Result};

use super::news::{News, Told};
use super::work::{TRAINING, Work};

/// So many of the newest events are shown.
const NEWS: u32 = 12;

/// The section.
#[derive(Debug, Template)]
#[template(path = "running.html")]
pub struct Section {
    experiment: ExperimentId,
    /// The script asks for what comes after it.
    last_event: EventId,
    work: Work,
    /// Newest first.
    news: Vec<News>,
    /// With each step of tasks whose key starts so, the page fetches its parts again; without, with news only.
    follow: &'static str,
}

impl Section {
    /// As the store tells it now.
    pub async fn read(reader: &Reader, experiment: ExperimentId) -> Result<Self> {
        let told = Told::read(reader, experiment).await?;
        let news = reader.newest_events(experiment, "%", NEWS).await?;
        Ok(Self {
            experiment,
            last_event: news.first().map_or(EventId(0), |event| event.id),
            work: Work::read(reader, experiment, &told).await?,
            news: news.iter().map(News::new).collect(),
            follow: "",
        })
    }

    /// On a page that shows how training goes on.
    pub fn following_training(self) -> Self {
        Self { follow: TRAINING, ..self }
    }
}
