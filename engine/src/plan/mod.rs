//! What training on long sequences will cost, before a machine is rented for it: arithmetic, bytes on the way, memory and
//! time of a ring of workers.
//!
//! What can be counted is counted, and is what a run's [`Trace`](crate::ring::Trace) says: the scores of every step and the
//! bytes sent in it come from the same [`Slices`] that workers cut sequences by. What has to be assumed is in one place,
//! the [`Device`]: how fast a worker multiplies, moves memory and sends.
//!
//! A step of the ring takes as long as its slowest worker, and that as long as the longer of computing and sending: what
//! the next step needs is on its way while this one computes. Linear maps and what is done row by row need no other
//! worker, and are shared evenly.

mod device;
mod memory;
mod ring_steps;

pub use device::{Device, bytes_a_key, faster_precision, lays_out, product_flops};
pub use memory::Memory;
pub use ring_steps::RingStep;

use crate::block::Layout;
use crate::error::EngineError;
use crate::model::ModelConfig;
use crate::ops;
use crate::ring::Slices;
use crate::train::{sequences_of_shard, sums_of_batch};
use ring_steps::ring_steps;
use std::ops::Range;

/// Arithmetic of a score: its dot product and its value's share, two operations a multiply-add, of d numbers each.
const FORWARD_PRODUCTS: f64 = 2.0;
/// The score is made again; the gradients of weights, values, queries and keys are a product each.
const BACKWARD_PRODUCTS: f64 = 5.0;

// Widths of a token and layer that go from or to memory besides the products' sums.
/// Of an attention branch: x for its norm, and q, k and v to their heads.
const ATTEND_ROWS: f64 = 4.0;
/// Of its end: heads put together, x copied and added to.
const MIDDLE_ROWS: f64 = 5.0;
/// Of the sum, if it is kept.
const KEEP_ROWS: f64 = 2.0;
/// Of the feed-forward branch: its input for the norm, and what is added to it.
const BRANCH_ROWS: f64 = 3.0;
/// Of the backward pass, where nothing is made again: the branch's input and its gradient in place (4), the result's gradient
/// by rows and by heads (4), the gradients of q, k and v made and taken apart (6), x and its gradient in place (3).
const BACKWARD_ROWS: f64 = 17.0;

/// What is to be trained, and by how many workers.
#[derive(Clone, Debug)]
pub struct Task {
    /// The model.
    pub model: ModelConfig,
    /// Sequences of a batch.
    pub sequences: usize,
    /// Blocks of each sequence.
    pub blocks: usize,
    /// Workers that share each sequence.
    pub workers: usize,
    /// Whether layers keep their inputs alone for the backward pass: [`TrainConfig::recompute`](crate::train::TrainConfig).
    pub recompute: bool,
}

/// One direction of a pass through the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// Floating-point operations of all workers: linear maps and the scores that the mask lets through.
    pub flops: f64,
    /// Seconds in linear maps.
    pub linear: f64,
    /// Seconds in what moves memory: norms, residuals, heads side by side and apart.
    pub rows: f64,
    /// Seconds of attention, waiting included.
    pub attention: f64,
    /// Seconds of it in which the slowest worker waits for what others send.
    pub waiting: f64,
}

/// What a task costs on workers of one kind.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The task.
    pub task: Task,
    /// What a worker is.
    pub device: Device,
    /// The model forward: encoder and decoder.
    pub forward: Pass,
    /// Its gradient.
    pub backward: Pass,
    /// Seconds of the optimizer's step.
    pub update: f64,
    /// Steps of the ring in one layer, forward: the worker that sends or computes most.
    pub forward_steps: Vec<RingStep>,
    /// The same backward; the last, one more, is the gradients' way home. Those that recomputing makes again are in
    /// `forward_steps`.
    pub backward_steps: Vec<RingStep>,
    /// Bytes a worker holds when it holds most.
    pub memory: Memory,
    /// Bytes of gradients that a worker sends to agree with the others about the weights, as a reduce-scatter and an
    /// all-gather do. They are on their way while the backward pass goes on with the layer before.
    pub gradient_bytes: f64,
}

impl Task {
    /// A task of `tokens` tokens a sequence, without recomputing.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a model that cannot be, tokens that are no whole number of blocks, or workers that
    /// would have less than two of them.
    pub fn new(model: ModelConfig, sequences: usize, tokens: usize, workers: usize) -> Result<Self, EngineError> {
        model.check()?;
        let each = model.block.tokens();
        if tokens == 0 || !tokens.is_multiple_of(each) {
            let rule = format!(
                "must be a whole number of blocks of {each} tokens: {} or {}",
                tokens / each * each,
                (tokens / each + 1) * each
            );
            return Err(EngineError::config("tokens", tokens, rule));
        }
        if workers == 0 || workers > tokens / 2 {
            return Err(EngineError::config("workers", workers, format!("share {tokens} tokens: 1 to {}", tokens / 2)));
        }
        if sequences == 0 {
            return Err(EngineError::config("batch", sequences, "needs at least one sequence"));
        }
        Ok(Self { model, sequences, blocks: tokens / each, workers, recompute: false })
    }

    fn layout(&self) -> Layout {
        Layout { sequences: self.sequences, blocks: self.blocks, tokens_per_block: self.model.block.tokens() }
    }

    /// Tokens of a batch.
    pub fn tokens(&self) -> usize {
        self.layout().tokens()
    }

    fn layers(&self) -> usize {
        self.model.encoder_layers + self.model.decoder_layers
    }

    /// Rows of the worker that has most.
    fn rows(&self, slices: &Slices) -> usize {
        let of_sequence = |worker| slices.spans(worker).iter().map(Range::len).sum::<usize>();
        (0..self.workers).map(of_sequence).max().unwrap_or_default() * self.sequences
    }

    /// Rows that go through the model on one tape: a single worker cuts its batch into shards.
    fn rows_of_tape(&self, slices: &Slices) -> usize {
        let each = self.layout().tokens_per_sequence();
        match self.workers {
            1 => sequences_of_shard(self.sequences, each) * each,
            _ => self.rows(slices),
        }
    }

    /// Gradients of all weights that exist at once.
    fn gradients(&self) -> usize {
        match self.workers {
            1 => sums_of_batch(self.sequences, self.layout().tokens_per_sequence()),
            _ => 1,
        }
    }

    /// Whether gates are kept.
    fn keeps_gates(&self, slices: &Slices) -> bool {
        !self.recompute && ops::keeps_gates(self.rows_of_tape(slices))
    }

    fn keeps_middle(&self) -> bool {
        !self.recompute && ops::keeps_middle(self.layout().tokens_per_sequence(), self.model.width)
    }

    /// Operations a token of all linear maps that the backward pass makes again, because what they gave was not kept.
    fn flops_again(&self, slices: &Slices) -> f64 {
        let (width, hidden) = (self.model.width as f64, self.model.hidden as f64);
        let gates = if self.keeps_gates(slices) { 0.0 } else { 2.0 * width * hidden };
        let middle = if self.keeps_middle() { 0.0 } else { width * width };
        let heads = if self.recompute { 3.0 * width * width } else { 0.0 };
        2.0 * self.layers() as f64 * (gates + middle + heads)
    }

    fn forward_rows(&self) -> f64 {
        ATTEND_ROWS + MIDDLE_ROWS + BRANCH_ROWS + if self.keeps_middle() { KEEP_ROWS } else { 0.0 }
    }

    fn backward_rows(&self) -> f64 {
        let attend = if self.recompute { ATTEND_ROWS } else { 0.0 };
        let middle = if self.keeps_middle() { 0.0 } else { MIDDLE_ROWS };
        BACKWARD_ROWS + attend + middle
    }
}

impl Plan {
    /// Of a task on workers that are this device each.
    pub fn new(task: Task, device: Device) -> Self {
        let layout = task.layout();
        let slices = Slices::mirrored(layout.tokens_per_sequence(), task.workers);
        let (forward_steps, backward_steps) = ring_steps(&task, &slices, &device);
        let memory = Memory::of(&task, &slices, &device);
        let (tokens, workers, layers) = (task.tokens() as f64, task.workers as f64, task.layers() as f64);

        let scores: f64 = slices.scores(&layout).iter().map(|scores| *scores as f64).sum();
        let scores = scores * layers * (task.sequences * task.model.width) as f64;
        let linear = task.model.linear_flops();
        let width_bytes = layers * (task.model.width * device.bytes_a_value) as f64;
        let pass = |widths: f64, linear: f64, attended: &[(&[RingStep], f64)]| {
            let over_steps = |of: fn(&RingStep) -> f64| -> f64 {
                layers * attended.iter().flat_map(|(steps, _)| steps.iter()).map(of).sum::<f64>()
            };
            let products: f64 = attended.iter().map(|(_, products)| products).sum();
            Pass {
                flops: linear * tokens + 2.0 * products * scores,
                linear: linear * tokens / workers / device.linear_flops,
                rows: widths * width_bytes * tokens / workers / device.memory_bandwidth,
                attention: over_steps(RingStep::seconds),
                waiting: over_steps(|step| step.seconds() - step.computing),
            }
        };
        let (there, back) = ((&forward_steps[..], FORWARD_PRODUCTS), (&backward_steps[..], BACKWARD_PRODUCTS));
        let backward_linear = 2.0 * linear + task.flops_again(&slices);
        let forward = pass(task.forward_rows(), linear, &[there]);
        let steps_back: &[_] = if task.recompute { &[there, back] } else { &[back] };
        let backward = pass(task.backward_rows(), backward_linear, steps_back);
        let weights = task.model.parameter_count() as f64;
        Self {
            forward,
            backward,
            // Weight, gradient and both moments are read, and all but the gradient written.
            update: 7.0 * weights * 4.0 / device.memory_bandwidth,
            gradient_bytes: 2.0 * (workers - 1.0) / workers * weights * 4.0,
            forward_steps,
            backward_steps,
            memory,
            task,
            device,
        }
    }

    /// Seconds of a training step.
    pub fn seconds(&self) -> f64 {
        self.forward.seconds() + self.backward.seconds() + self.update + self.waiting_for_gradients()
    }

    /// Seconds that gradients are still on their way when the backward pass is done: what does not fit behind it.
    pub fn waiting_for_gradients(&self) -> f64 {
        (self.gradient_bytes / self.device.link - self.backward.seconds()).max(0.0)
    }
}

impl Pass {
    /// Seconds of the pass.
    pub fn seconds(&self) -> f64 {
        self.linear + self.rows + self.attention
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn task(tokens: usize, workers: usize) -> Result<Task, EngineError> {
        Task::new(Preset::Fsq200m.config(), 1, tokens, workers)
    }

    #[test]
    fn arithmetic_is_the_models_own() {
        // One block and many: what `ModelConfig` counts for the encoder and the decoder.
        for blocks in [1, 7] {
            let task = task(blocks * 4096, 1).unwrap();
            let of_model = task.model.encoder_flops(blocks) + task.model.decoder_flops(blocks);
            let plan = Plan::new(task, Device::H100);
            assert!((plan.forward.flops / of_model - 1.0).abs() < 1e-12, "{} {of_model}", plan.forward.flops);
        }
    }

    #[test]
    fn what_is_made_again_is_counted() {
        let small = Task::new(ModelConfig { width: 64, hidden: 96, ..Preset::Fsq200m.config() }, 8, 4096, 1).unwrap();
        let backward = |task: &Task| Plan::new(task.clone(), Device::H100).backward;
        let (layers, tokens, width, hidden) = (20.0, 8.0 * 4096.0, 64.0, 96.0);
        // Blocks of 4096 tokens are too long for the sum with the input to be kept, and for gates.
        let of_maps = 2.0 * tokens * small.model.linear_flops();
        let of_scores = 2.0 * BACKWARD_PRODUCTS * layers * 8.0 * 4096.0_f64.powi(2) * width;
        let again = 2.0 * layers * tokens * (width * width + 2.0 * width * hidden);
        assert_eq!(backward(&small).flops, of_maps + of_scores + again);
        // Recomputing makes q, k, v and attention again, too.
        let recomputed = backward(&Task { recompute: true, ..small.clone() }).flops - backward(&small).flops;
        let attention = 2.0 * FORWARD_PRODUCTS * layers * 8.0 * 4096.0_f64.powi(2) * width;
        assert_eq!(recomputed, 2.0 * layers * tokens * 3.0 * width * width + attention);
        // Each of eight sequences of 1024 tokens is a shard, few enough rows to keep all.
        let block = crate::BlockShape::new(1, 256, 256, [1, 8, 8]).unwrap();
        let model = ModelConfig { width: 128, block, ..small.model };
        let kept = Task::new(model, 8, 1024, 1).unwrap();
        let of_maps = 2.0 * 8.0 * 1024.0 * kept.model.linear_flops();
        let of_scores = 2.0 * BACKWARD_PRODUCTS * layers * 8.0 * 1024.0_f64.powi(2) * 128.0;
        assert_eq!(backward(&kept).flops, of_maps + of_scores);
    }

    #[test]
    fn many_workers_do_the_same_work_in_a_share_of_the_time() {
        let [one, many] = [1, 64].map(|workers| Plan::new(task(1 << 20, workers).unwrap(), Device::H100));
        assert_eq!(one.forward.flops, many.forward.flops);
        let ideal = one.backward.linear / 64.0;
        assert!((many.backward.linear / ideal - 1.0).abs() < 1e-12);
        assert!(many.seconds() < one.seconds() / 32.0, "{} {}", many.seconds(), one.seconds());
        assert!(many.memory.activations < one.memory.activations / 60.0);
        assert_eq!(many.memory.weights, one.memory.weights);
    }

    #[test]
    fn a_slow_link_is_waited_for_and_a_fast_one_is_not() {
        let with = |link| Plan::new(task(1 << 20, 64).unwrap(), Device { link, ..Device::H100 });
        assert_eq!(with(1e15).forward.waiting, 0.0);
        let slow = with(1e6);
        assert!(slow.forward.waiting > 0.9 * slow.forward.attention);
        assert!(slow.waiting_for_gradients() == 0.0, "attention waits longer");
        assert_eq!(Plan::new(task(1 << 20, 1).unwrap(), Device { link: 1.0, ..Device::H100 }).forward.waiting, 0.0);
    }

    #[test]
    fn what_cannot_be_shared_is_refused_with_what_can() {
        let said = |tokens, workers| task(tokens, workers).unwrap_err().to_string();
        let text = said(1_000_000, 64);
        assert!(text.contains("1000000") && text.contains("999424 or 1003520"), "{text}");
        assert!(said(4096, 4096).contains("1 to 2048"));
        assert!(said(0, 1).contains("whole number"));
        assert!(said(4096, 0).contains('0'));
    }
}
