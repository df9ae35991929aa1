//! What a worker did in each step of its ring, written down for those who ask.

use std::fmt;
use std::time::Duration;

/// One step of the ring, summed over all attention that a worker took part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepTrace {
    /// Time spent on scores.
    pub computing: Duration,
    /// Time spent waiting for the worker before.
    pub waiting: Duration,
    /// Packets sent to the next worker.
    pub packets: u64,
    /// Bytes sent to the next worker.
    pub bytes: u64,
    /// Scores computed, of every head and sequence.
    pub scores: u64,
}

/// A worker's steps: at step s it works on what the worker s places before it owns.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Trace {
    /// Forward passes.
    pub forward: Vec<StepTrace>,
    /// Backward passes; the last step, one more, is the gradients' way home.
    pub backward: Vec<StepTrace>,
}

impl Trace {
    /// All steps of both passes together.
    pub fn total(&self) -> StepTrace {
        let mut total = StepTrace::default();
        self.forward.iter().chain(&self.backward).for_each(|step| total.add(step));
        total
    }

    pub(crate) fn forward(&mut self, step: usize) -> &mut StepTrace {
        entry(&mut self.forward, step)
    }

    pub(crate) fn backward(&mut self, step: usize) -> &mut StepTrace {
        entry(&mut self.backward, step)
    }

    /// Adds another's steps, as those of a later pass.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [(&mut self.forward, &other.forward), (&mut self.backward, &other.backward)] {
            for (step, other) in other.iter().enumerate() {
                entry(own, step).add(other);
            }
        }
    }
}

fn entry(steps: &mut Vec<StepTrace>, step: usize) -> &mut StepTrace {
    if steps.len() <= step {
        steps.resize(step + 1, StepTrace::default());
    }
    &mut steps[step]
}

impl StepTrace {
    pub(crate) fn add(&mut self, other: &Self) {
        self.computing += other.computing;
        self.waiting += other.waiting;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.scores += other.scores;
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<13} {:>12} {:>10} {:>8} {:>10} {:>9}",
            "step", "computing s", "waiting s", "packets", "MB sent", "M scores"
        )?;
        let forward = self.forward.iter().enumerate().map(|(step, trace)| (format!("forward {step}"), *trace));
        let backward = self.backward.iter().enumerate().map(|(step, trace)| (format!("backward {step}"), *trace));
        for (step, trace) in forward.chain(backward).chain([("all".to_owned(), self.total())]) {
            writeln!(
                f,
                "{step:<13} {:>12.3} {:>10.3} {:>8} {:>10.2} {:>9.1}",
                trace.computing.as_secs_f64(),
                trace.waiting.as_secs_f64(),
                trace.packets,
                trace.bytes as f64 / 1e6,
                trace.scores as f64 / 1e6
            )?;
        }
        Ok(())
    }
}
