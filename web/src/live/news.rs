//! The store's events in words.

use axum::response::sse::Event;
use evaluator::store::{EventId, EventRow, ExperimentId, Reader, Result};
use serde::Serialize;
use serde_json::Value;

use super::watch::PAGE;
use crate::format;

/// An event as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// When, in words.
    pub time: String,
    /// What happened, to what, and why.
    pub text: String,
    /// Whether it is bad news.
    pub failed: bool,
}

impl News {
    /// Of any event: a newer program may write others.
    pub fn new(event: &EventRow) -> Self {
        let payload = &event.payload;
        let field = |name: &str| match &payload[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let parts = [
            field("title"),
            field("variant"),
            field("strategy"),
            field("threshold").map(|threshold| format!("τ = {threshold}")),
            field("seed").map(|seed| format!("seed {seed}")),
        ];
        let subject: Vec<String> = parts.into_iter().flatten().collect();
        let mut text = event.kind.clone();
        for part in [Some(subject.join(", ")), field("error")].into_iter().flatten().filter(|part| !part.is_empty()) {
            text = format!("{text}: {part}");
        }
        Self { time: format::time(&event.at), text, failed: event.kind.ends_with(" failed") }
    }

    /// On its way to a browser.
    pub fn to_sse(&self, id: EventId) -> Event {
        let json = serde_json::to_string(self).expect("news are plain data");
        Event::default().id(id.to_string()).event("news").data(json)
    }
}

/// The events that say where an experiment stands.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The newest of all.
    pub newest: Option<EventRow>,
    /// The newest that began or ended a run.
    pub run: Option<EventRow>,
}

impl Told {
    /// Looks for them from the end.
    pub async fn read(reader: &Reader, experiment: ExperimentId) -> Result<Self> {
        Ok(Self {
            newest: reader.newest_events(experiment, "%", 1).await?.pop(),
            run: reader.newest_events(experiment, "run %", 1).await?.pop(),
        })
    }

    /// Takes in what came since.
    pub async fn follow(&mut self, reader: &Reader, experiment: ExperimentId) -> Result<()> {
        loop {
            let events = reader.experiment_events(experiment, self.last_event(), PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            if let Some(run) = events.iter().rfind(|event| event.kind.starts_with("run ")) {
                self.run = Some(run.clone());
            }
            self.newest = Some(last.clone());
        }
    }

    /// The newest event's id; 0 before the first.
    pub fn last_event(&self) -> EventId {
        self.newest.as_ref().map_or(EventId(0), |event| event.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str, payload: Value) -> String {
        let event = EventRow {
            id: EventId(1),
            at: "2026-03-01T09:30:12.123Z".into(),
            experiment_id: None,
            training_run_id: None,
            trial_id: None,
            kind: kind.into(),
            payload,
        };
        News::new(&event).text
    }

    #[test]
    fn news_say_what_happened_to_what_and_why() {
        let trial = serde_json::json!({
            "variant": "elastic", "seed": 7, "strategy": "binary", "threshold": 0.03, "error": "the disk is full",
        });
        assert_eq!(text("trial failed", trial), "trial failed: elastic, binary, τ = 0.03, seed 7: the disk is full");
        let run = serde_json::json!({ "name": "tiny", "error": "no such folder" });
        assert_eq!(text("run failed", run), "run failed: no such folder");
    }

    #[test]
    fn an_event_of_another_program_is_told_as_far_as_it_is_understood() {
        for payload in
            [Value::Null, serde_json::json!([1, 2]), serde_json::json!("text"), serde_json::json!({ "a": 1 })]
        {
            assert_eq!(text("something new", payload), "something new");
        }
        assert_eq!(text("odd", serde_json::json!({ "variant": ["a", { "b": 1 }] })), r#"odd: ["a",{"b":1}]"#);
    }
}
