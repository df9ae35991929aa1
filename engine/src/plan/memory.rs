//! Bytes that a worker holds at the end of its forward pass, when it holds most.

use super::{Device, Task};
use crate::ops;
use crate::ring::Slices;
use std::ops::Range;

/// What a worker's memory is for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Weights, their gradients, and both moments of the optimizer, in f32; and the weights as they are multiplied, if
    /// they are narrower.
    pub weights: f64,
    /// What the backward pass needs of every layer.
    pub activations: f64,
    /// What one layer's gradient needs while it is made: the gradients of its activations, and keys, values and their
    /// gradients that are on their way.
    pub passing: f64,
}

impl Memory {
    /// All of it.
    pub fn all(&self) -> f64 {
        self.weights + self.activations + self.passing
    }

    pub(super) fn of(task: &Task, slices: &Slices, device: &Device) -> Self {
        let rows = |worker| slices.spans(worker).iter().map(Range::len).sum::<usize>() * task.sequences;
        let rows = (0..task.workers).map(rows).max().unwrap_or_default() as f64;
        let model = &task.model;
        let (width, hidden, heads) = (model.width as f64, model.hidden as f64, model.heads as f64);
        let narrow = if device.bytes_a_value < 4 { device.bytes_a_value as f64 } else { 0.0 };
        // Gates of a batch that is one wave are kept; of a longer one a wave's are made again.
        let wave = rows.min(ops::WAVE as f64) / rows;
        let kept_gates = if wave < 1.0 { 0.0 } else { 2.0 * hidden };
        // The layer's input, q, k, v, what attention gives, the sum with the input; a number a head.
        let layer = 6.0 * width + kept_gates + heads;
        // Patches as they come and as the loss compares them, the reconstruction, its gradient, what the final norms read.
        let ends = 4.0 * model.block.patch_values() as f64 + 2.0 * width;
        let values = device.bytes_a_value as f64;
        // Keys and values here and coming, with the gradients here and coming in f32, of one worker's rows.
        let on_the_way = if task.workers > 1 { 2.0 * width * 2.0 * (values + 4.0) } else { 0.0 };
        // The gradients of the layer under way: of what the feed-forward reads and gives, and a wave's norm, gates and hidden
        // values; then, when what these needed and what attention gave are gone, of that, of the residual, and of q, k and v,
        // by heads and, when q, k and v themselves are gone, side by side.
        let room = wave * (width + 3.0 * hidden - kept_gates);
        let feed_forward = (2.0 * width + room) * values;
        let attention = (5.0 * width + room - kept_gates - 2.0 * width) * values + on_the_way;
        Self {
            weights: model.parameter_count() as f64 * (16.0 + narrow),
            activations: rows * values * (task.layers() as f64 * layer + ends),
            passing: rows * feed_forward.max(attention),
        }
    }
}
