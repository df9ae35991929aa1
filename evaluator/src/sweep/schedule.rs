//! Who runs which trial: this process, the other ranks, or processes that share the store.
//!
//! This process evaluates one sample at a time, and between two of them stores what the others found and lends them their
//! next trials. It alone writes.

use super::Run;
use super::evaluate::Bench;
use super::trials::{Done, Planned, Walk};
use crate::error::{EvaluatorError, Result};
use crate::store::{Lease, TrialStatus};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Between two looks at what other ranks found, when nothing else is left to do.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Between two looks at trials that other processes have.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Runs trials, to the last; how many have ended.
    pub(super) async fn run_trials(&self, open: VecDeque<Planned>, bench: &Bench<'_>) -> Result<usize> {
        self.call_trials(bench);
        let held = Vec::new();
        let mut schedule =
            Schedule { run: self, bench, open, held, own: None, lent: BTreeMap::new(), ended: 0, samples: 0 };
        let result = schedule.all().await;
        if result.is_err() {
            let own = schedule.own.take().map(|(trial, _)| trial);
            for trial in own.into_iter().chain(std::mem::take(&mut schedule.lent).into_values()) {
                self.end_trial(&trial, bench, &result).await?;
            }
        }
        self.call_tried();
        result.map(|()| schedule.ended)
    }
}

struct Schedule<'a> {
    run: &'a Run<'a>,
    bench: &'a Bench<'a>,
    open: VecDeque<Planned>,
    /// Those that other processes had when they were asked for.
    held: Vec<Planned>,
    own: Option<(Planned, Walk)>,
    /// By rank.
    lent: BTreeMap<usize, Planned>,
    /// Trials.
    ended: usize,
    /// Samples of this model that were evaluated, now or before.
    samples: u64,
}

impl Schedule<'_> {
    async fn all(&mut self) -> Result<()> {
        loop {
            self.lend().await?;
            if self.own.is_none() {
                self.own = self.begin().await?.map(|(trial, done)| (trial, Walk::new(done)));
            }
            let is_idle = self.own.is_none() && self.lent.is_empty();
            if is_idle && self.held.is_empty() {
                return Ok(());
            }
            if self.run.options.stop.is_asked() {
                return Err(EvaluatorError::Stopped);
            }
            if is_idle {
                // Those that another process has are looked at again once all others are done.
                tokio::time::sleep(ASK_AGAIN).await;
                self.open.extend(self.held.drain(..));
            } else if !(self.work().await? | self.hear().await?) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Gives every other rank a trial that has none.
    async fn lend(&mut self) -> Result<()> {
        for rank in 1..self.run.ranks() {
            if !self.lent.contains_key(&rank) {
                let Some((trial, done)) = self.begin().await? else { return Ok(()) };
                self.run.lend(rank, &trial, done);
                self.lent.insert(rank, trial);
            }
        }
        Ok(())
    }

    /// Begins the next trial that nobody has, if there is one: what of it was done before.
    async fn begin(&mut self) -> Result<Option<(Planned, Done)>> {
        while let Some(trial) = self.open.pop_front() {
            match self.run.store.acquire(trial.id).await? {
                Lease::HeldBy { .. } => self.held.push(trial),
                Lease::Acquired { .. } if self.run.store.trial_status(trial.id).await? == TrialStatus::Done => {
                    self.run.store.release(trial.id).await?;
                    self.ended += 1;
                }
                Lease::Acquired { .. } => {
                    let done = self.run.begin_trial(&trial, self.bench).await?;
                    self.samples += done.len() as u64;
                    return Ok(Some((trial, done)));
                }
            }
        }
        Ok(None)
    }

    /// Evaluates the next sample of its own trial, or ends it; whether it has one.
    async fn work(&mut self) -> Result<bool> {
        let Some((trial, walk)) = &mut self.own else { return Ok(false) };
        match walk.step(trial, self.bench)? {
            Some(evaluated) => {
                self.run.record(trial.id, evaluated).await?;
                self.samples += 1;
                self.run.progress.advance(self.samples, &trial.title);
            }
            None => {
                self.run.end_trial(trial, self.bench, &Ok(())).await?;
                self.own = None;
                self.ended += 1;
            }
        }
        Ok(true)
    }

    /// Stores what the other ranks found; whether they found anything.
    async fn hear(&mut self) -> Result<bool> {
        let mut has_heard = false;
        for rank in self.lent.keys().copied().collect::<Vec<_>>() {
            while let Some(found) = self.run.found(rank)? {
                has_heard = true;
                let trial = &self.lent[&rank];
                let Some(evaluated) = found else {
                    self.run.end_trial(trial, self.bench, &Ok(())).await?;
                    self.lent.remove(&rank);
                    self.ended += 1;
                    break;
                };
                self.run.record(trial.id, evaluated).await?;
                self.samples += 1;
                self.run.progress.advance(self.samples, &trial.title);
            }
        }
        Ok(has_heard)
    }
}
