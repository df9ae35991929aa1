//! What the answer cost. The counting itself is done by [`Probe`](crate::search::Probe).
use super::{Direction, MetricDef, mean_over_blocks};
use crate::search::Cost;

/// [`evaluations`].
pub const EVALUATIONS: MetricDef = MetricDef {
    name: "evaluations",
    version: 1,
    unit: "evaluations/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Candidate counts the search reconstructed (decoder passes), without commit and final reconstruction, \
                  mean over the sample's blocks.",
};

/// [`search_seconds`].
pub const SEARCH_SECONDS: MetricDef = MetricDef {
    name: "search_seconds",
    version: 1,
    unit: "s",
    direction: Direction::Lower,
    noisy: true,
    description: "Seconds a block's search took, mean over the sample's blocks; not available when replayed.",
};

/// [`flops`].
pub const FLOPS: MetricDef = MetricDef {
    name: "flops",
    version: 1,
    unit: "FLOP/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Floating-point operations of all evaluations of a block, commit and final reconstruction included, \
                  mean over the sample's blocks.",
};

/// [`sequential_depth`].
pub const SEQUENTIAL_DEPTH: MetricDef = MetricDef {
    name: "sequential_depth",
    version: 1,
    unit: "waits/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Batches of candidates that a search asked one after another, mean over the sample's blocks: what its \
                  evaluations cost where a batch costs no more than one.",
};

/// Of the predictor that a strategy asks; part of [`FLOPS`].
pub const PREDICTION_FLOPS: MetricDef = MetricDef {
    name: "prediction_flops",
    version: 1,
    unit: "FLOP/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Floating-point operations of the predictor that the search asked; not available where none was.",
};

/// Of the predictor that a strategy asks; not part of [`SEARCH_SECONDS`].
pub const PREDICTION_SECONDS: MetricDef = MetricDef {
    name: "prediction_seconds",
    version: 1,
    unit: "s",
    direction: Direction::Lower,
    noisy: true,
    description: "Seconds of the predictor that the search asked; not available where none was, or when replayed.",
};

/// Waits for the model, mean over blocks.
pub fn sequential_depth(blocks: &[Cost]) -> f64 {
    mean_over_blocks(blocks.iter().map(|cost| cost.sequential_depth as f64))
}

/// Candidate counts reconstructed, mean over blocks.
///
/// # Panics
/// If there is no block; so do all metrics of this file.
pub fn evaluations(blocks: &[Cost]) -> f64 {
    mean_over_blocks(blocks.iter().map(|cost| cost.evaluations.decoder as f64))
}

/// Seconds, mean over blocks; `None` if any block was replayed.
///
/// A [`Cost`] taken before the commit holds the search's seconds alone.
pub fn search_seconds(blocks: &[Cost]) -> Option<f64> {
    let seconds: Vec<f64> = blocks.iter().map(|cost| cost.seconds).collect::<Option<_>>()?;
    Some(mean_over_blocks(seconds.into_iter()))
}

/// FLOPs of all evaluations, mean over blocks.
pub fn flops(blocks: &[Cost]) -> f64 {
    mean_over_blocks(blocks.iter().map(|cost| cost.flops))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Evaluations;

    fn cost(decoder: usize, flops: f64, seconds: Option<f64>) -> Cost {
        let evaluations = Evaluations { encoder: 1, decoder, commit: 1, final_reconstruction: 1 };
        Cost { evaluations, sequential_depth: 1, largest_batch: decoder, flops, seconds }
    }

    #[test]
    fn costs_are_averaged_over_blocks() {
        let blocks = [cost(12, 3e9, Some(0.5)), cost(10, 1e9, Some(1.5))];
        assert_eq!((evaluations(&blocks), flops(&blocks), search_seconds(&blocks)), (11.0, 2e9, Some(1.0)));
    }

    #[test]
    fn one_replayed_block_leaves_no_time_for_the_sample() {
        assert_eq!(search_seconds(&[cost(1, 1.0, Some(0.5)), cost(1, 1.0, None)]), None);
    }
}
