//! What each step of a ring computes and sends in one layer.

use super::{BACKWARD_PRODUCTS, Device, FORWARD_PRODUCTS, Task};
use crate::block::Layout;
use crate::ring::Slices;
use std::ops::Range;

/// One step of the ring in one layer, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RingStep {
    /// Bytes that the worker sends that sends most.
    pub bytes: f64,
    /// Seconds that the worker computes that computes longest.
    pub computing: f64,
    /// Seconds that the longest sending takes.
    pub sending: f64,
}

impl RingStep {
    /// Seconds until all workers are done with it.
    pub fn seconds(&self) -> f64 {
        self.computing.max(self.sending)
    }

    fn join(&mut self, other: Self) {
        self.bytes = self.bytes.max(other.bytes);
        self.computing = self.computing.max(other.computing);
        self.sending = self.sending.max(other.sending);
    }
}

/// Forward and backward steps.
pub(super) fn ring_steps(task: &Task, slices: &Slices, device: &Device) -> (Vec<RingStep>, Vec<RingStep>) {
    let mut forward = vec![RingStep::default(); task.workers];
    let mut backward = vec![RingStep::default(); if task.workers > 1 { task.workers + 1 } else { 1 }];
    for worker in 0..task.workers {
        let ring = Worker { task, slices, layout: task.layout(), worker };
        for (step, all) in forward.iter_mut().enumerate() {
            let flops = 2.0 * FORWARD_PRODUCTS * ring.score_values(step);
            all.join(device.step(ring.keys_sent(step) * device.bytes_a_key as f64, flops / device.attention_flops));
        }
        for (step, all) in backward.iter_mut().enumerate() {
            // At its end a step sends the gradients that it added to; keys and values went ahead. Gradients are f32.
            let bytes = ring.keys_sent(step) * device.bytes_a_key as f64 + ring.gradients_sent(step) * 4.0;
            let flops = 2.0 * BACKWARD_PRODUCTS * ring.score_values(step);
            all.join(device.step(bytes, flops / device.attention_backward_flops));
        }
    }
    (forward, backward)
}

impl Device {
    fn step(&self, bytes: f64, computing: f64) -> RingStep {
        RingStep { bytes, computing, sending: bytes / self.link }
    }
}

/// One worker of the ring.
struct Worker<'a> {
    task: &'a Task,
    slices: &'a Slices,
    layout: Layout,
    worker: usize,
}

impl Worker<'_> {
    /// Whose keys it has at this step: those of the worker so many places before.
    fn owner(&self, step: usize) -> usize {
        let workers = self.slices.workers();
        (self.worker + workers - step % workers) % workers
    }

    /// Scores of this step times the width: a multiply-add each for every product.
    fn score_values(&self, step: usize) -> f64 {
        // What comes home at the last step is of keys that were seen at the first.
        if step == self.slices.workers() {
            return 0.0;
        }
        let spans = self.slices.spans(self.owner(step)).iter();
        let scores: f64 = spans.map(|span| scores(&self.layout, self.slices.spans(self.worker), span)).sum();
        scores * (self.task.sequences * self.task.model.width) as f64
    }

    /// Numbers of keys and values that it sends on during this step.
    fn keys_sent(&self, step: usize) -> f64 {
        self.sent(step, |journey| journey.has_keys_at(step + 1))
    }

    /// Numbers of gradients of them that it sends at its end.
    fn gradients_sent(&self, step: usize) -> f64 {
        if step == 0 { 0.0 } else { self.sent(step, |journey| journey.has_gradients_at(step + 1)) }
    }

    fn sent(&self, step: usize, is_sent: impl Fn(crate::ring::Journey) -> bool) -> f64 {
        if step >= self.slices.workers() {
            return 0.0;
        }
        let owner = self.owner(step);
        let spans = self.slices.spans(owner).iter();
        let sent = spans.filter(|span| self.slices.journey(&self.layout, owner, span).is_some_and(&is_sent));
        let tokens: usize = sent.map(Range::len).sum();
        (2 * tokens * self.task.sequences * self.task.model.width) as f64
    }
}

/// How many keys of `keys` the tokens of `queries` see, all together.
fn scores(layout: &Layout, queries: &[Range<usize>], keys: &Range<usize>) -> f64 {
    let mut scores = 0.0;
    for span in queries {
        let mut first = span.start;
        while first < span.end {
            // All tokens of a block see as far.
            let reach = layout.reach(first);
            let count = reach.min(span.end) - first;
            scores += (count * reach.clamp(keys.start, keys.end).abs_diff(keys.start)) as f64;
            first += count;
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scores_are_those_of_every_pair_that_the_mask_lets_through(
            blocks in 1_usize..5, tokens_per_block in 1_usize..6, workers in 1_usize..5,
        ) {
            let layout = Layout { sequences: 1, blocks, tokens_per_block };
            let tokens = layout.tokens_per_sequence();
            prop_assume!(workers <= tokens / 2);
            let slices = Slices::mirrored(tokens, workers);
            for worker in 0..workers {
                for owner in 0..workers {
                    for keys in slices.spans(owner) {
                        let own = slices.spans(worker);
                        let queries = own.iter().flat_map(Range::clone);
                        let pairs = queries.flat_map(|query| keys.clone().map(move |key| (query, key)));
                        let block = |token| token / tokens_per_block;
                        let seen = pairs.filter(|(query, key)| block(*key) <= block(*query)).count();
                        prop_assert_eq!(scores(&layout, own, keys), seen as f64);
                    }
                }
            }
        }
    }
}
