//! Bytes that a worker holds when it holds most: at the end of its forward pass, or in a layer's backward pass.

use super::{Device, Task};
use crate::kernel::{matrix::stride_of_left, most_laid_out};
use crate::ops;
use crate::ring::Slices;

/// What a worker's memory is for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Weights, their gradients, of which a batch of several shards has several, and both moments of the optimizer, in f32;
    /// and the weights as they are multiplied, if they are narrower.
    pub weights: f64,
    /// What the backward pass needs of every layer.
    pub activations: f64,
    /// What is needed besides while gradients are made, at the decoder's end or of one layer: the gradients of its
    /// activations, and keys, values and their gradients that are on their way.
    pub passing: f64,
}

impl Memory {
    /// All of it.
    pub fn all(&self) -> f64 {
        self.weights + self.activations + self.passing
    }

    pub(super) fn of(task: &Task, slices: &Slices, device: &Device) -> Self {
        let rows = task.rows(slices) as f64;
        let model = &task.model;
        let (width, heads) = (model.width as f64, model.heads as f64);
        // Rows of left factors have gaps between them where they are laid out.
        let row = |values: usize| if device.lays_out { stride_of_left(values) as f64 } else { values as f64 };
        let (norm, gates, hidden) = (row(model.width), row(2 * model.hidden), row(model.hidden));
        let narrow = if device.bytes_a_value < 4 { device.bytes_a_value as f64 } else { 0.0 };
        let waves = (task.rows_of_tape(slices) as f64 / ops::WAVE as f64).max(1.0);
        // What is not kept is made again: of the gates a wave's at a time.
        let kept_gates = if task.keeps_gates(slices) { gates } else { 0.0 };
        let (kept_middle, made_middle) = if task.keeps_middle() { (width, 0.0) } else { (0.0, width) };
        let values = device.bytes_a_value as f64;
        // What a query or a key takes, of what an activation does.
        let packed = device.bytes_a_key as f64 / values;
        // q, k, v and what attention gives; a number a head.
        let attended = (3.0 * packed + 1.0) * width + heads;
        let (kept_attended, made_attended) = if task.recompute { (0.0, attended) } else { (attended, 0.0) };
        // The layer's input, its attention, the sum with the input, gates.
        let layer = width + kept_attended + kept_middle + kept_gates;
        let patch = model.block.patch_values() as f64;
        // At the decoder's end: the reconstruction, what it is made of, and the gradients of both.
        let end = 2.0 * patch + 2.0 * width;
        // In a layer: the gradient of what it gives, which becomes that of what it was given, the sum with the input or its
        // gradient, and, when attention's result is gone, the gradients of q, k and v, which one worker computes
        // for a quarter of the heads at a time, if that is as many as it has threads, and has by then freed their q, k and v.
        let all_heads = task.sequences * model.heads;
        let together = all_heads.div_ceil(4) as f64 / all_heads as f64;
        let freed = if task.workers > 1 { 0.0 } else { packed * (1.0 - together) };
        let gradients = 3.0 * width * (1.0 - freed);
        let in_layer = width + made_middle + made_attended + (gradients - width).max(0.0);
        // Of others, one worker's rows: keys and values that come, with the gradients that are found of them, in f32; and with
        // more than one other, as much that goes on. At last gradients of its own come home while those it found leave.
        let others = (task.workers - 1).min(2) as f64;
        let home = if task.workers > 1 { 2.0 * 2.0 * width * 4.0 } else { 0.0 };
        let on_the_way = f64::max(others * 2.0 * width * (packed * values + 4.0), home);
        // A wave's room in a branch (its norm, gates and hidden values), at the heads (its norm, and q, k and v side by side)
        // and at the end (its norm and the gradient of patches).
        let of_branch = norm + gates + hidden - kept_gates;
        let (of_heads, of_end) = (norm + row(3 * model.width), norm + row(model.block.patch_values()));
        let passing = if waves > 1.0 {
            // Each is there while it is used, and what weights are laid out in stays.
            let in_branch = width + made_middle + made_attended + of_branch / waves;
            let in_heads = (in_layer + of_heads / waves) * values + on_the_way;
            let most = ((end + of_end / waves) * values).max(in_branch * values).max(in_heads);
            let widest = (2 * model.hidden).max(3 * model.width).max(model.block.patch_values());
            let laid = if device.lays_out { (4 * most_laid_out(widest)) as f64 } else { 0.0 };
            rows * most + laid
        } else {
            // All are kept, where weights are laid out too; the branch's serve the heads and the end.
            let kept = of_branch.max(of_heads);
            rows * ((end * values).max(in_layer * values + on_the_way) + kept * values)
        };
        Self {
            weights: model.parameter_count() as f64 * (12.0 + 4.0 * task.gradients() as f64 + narrow),
            activations: rows * values * (task.layers() as f64 * layer + patch),
            passing,
        }
    }
}
