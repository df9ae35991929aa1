//! What goes wrong between workers.

/// A worker is gone, and with it what the others needed of it.
///
/// Operations on a tape have no way to return it: they unwind with it, and [`Workers::run`](super::Workers::run) turns
/// that into an error again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error(
    "worker {worker} (of {workers}, counted from 0) {end}; no worker can go on without it: nothing of this step was kept, \
     the last checkpoint is"
)]
pub struct RingError {
    /// Which one, counted from 0 through all groups of the mesh.
    pub worker: usize,
    /// How many there were.
    pub workers: usize,
    /// What became of it, as «panicked: …».
    pub end: String,
    /// Whether something that it was given cannot be used, rather than its work having failed.
    pub is_refusal: bool,
}

/// A text that is no mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} {flaw}; write sequence=2, data=4, or data=2,sequence=2")]
pub struct MeshSyntaxError {
    /// The part of it that is wrong.
    pub part: String,
    /// What is wrong with it.
    pub flaw: &'static str,
}

impl RingError {
    /// Unwinds to where the worker was started, without the message that a panic prints.
    pub(crate) fn unwind(self) -> ! {
        std::panic::resume_unwind(Box::new(self))
    }
}
