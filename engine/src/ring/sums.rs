//! Gradients of all workers added up while they are still at work.

use crate::kernel::rows;
use std::sync::{Mutex, PoisonError};

/// One sum for each weight. Whoever brings the last part adds them all, in the order of the workers: the sum depends on
/// the mesh, not on who was faster.
pub struct Sums {
    workers: usize,
    slots: Vec<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    /// By worker.
    parts: Vec<Option<Vec<f32>>>,
    sum: Option<Vec<f32>>,
}

impl Sums {
    /// For so many weights, each with a part of every worker.
    pub fn new(workers: usize, weights: usize) -> Self {
        let slots = std::iter::repeat_with(|| Mutex::new(Slot { parts: vec![None; workers], sum: None }));
        Self { workers, slots: slots.take(weights).collect() }
    }

    /// Brings a worker's part of a weight's gradient.
    ///
    /// # Panics
    /// If there is no such worker or weight.
    pub fn add(&self, weight: usize, worker: usize, part: Vec<f32>) {
        let lock = || self.slots[weight].lock().unwrap_or_else(PoisonError::into_inner);
        let parts = {
            let mut slot = lock();
            slot.parts[worker] = Some(part);
            if slot.parts.iter().flatten().count() < self.workers {
                return;
            }
            std::mem::take(&mut slot.parts)
        };
        let mut parts = parts.into_iter().flatten();
        let mut sum = parts.next().expect("a mesh has at least one worker");
        parts.for_each(|part| rows::add_on_all_threads(&mut sum, &part));
        lock().sum = Some(sum);
    }

    /// All sums, weight after weight.
    ///
    /// # Panics
    /// If a part is missing: a worker that did not finish is an error to its caller.
    pub fn finish(self) -> Vec<Vec<f32>> {
        let sum = |slot: Mutex<Slot>| slot.into_inner().unwrap_or_else(PoisonError::into_inner).sum;
        self.slots.into_iter().map(|slot| sum(slot).expect("every worker brings its part")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_in_the_order_of_the_workers_whoever_comes_first() {
        // In f32 (1e8 − 1e8) + 1 is 1, while (1 + 1e8) − 1e8 is 0.
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let sums = Sums::new(3, 1);
            order.into_iter().for_each(|worker| sums.add(0, worker, vec![[1e8, -1e8, 1.0][worker]]));
            assert_eq!(sums.finish(), [[1.0]]);
        }
    }
}
