//! What a run tells while it works, and how it is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a run's news goes: a terminal, plain lines, or nowhere.
pub trait Progress {
    /// Something worth keeping: a line.
    fn say(&self, line: &str);
    /// A detail that few want to read.
    fn detail(&self, line: &str);
    /// A piece of work of `total` steps begins, `done` of which were done before.
    fn begin(&self, what: &str, done: u64, total: u64);
    /// So many steps are done; `note` is a short remark, like the loss.
    fn advance(&self, done: u64, note: &str);
    /// The piece of work is over.
    fn end(&self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn say(&self, _: &str) {}
    fn detail(&self, _: &str) {}
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: &str) {}
    fn end(&self) {}
}

/// Asks a run to stop at the next step or sample; clones ask the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
