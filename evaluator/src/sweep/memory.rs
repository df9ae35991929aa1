//! Whether a model fits this machine, asked before anything is written.

use crate::error::{EvaluatorError, Result};
use crate::experiment::Experiment;

/// Bytes a weight takes while training: itself, its gradient and the optimizer's two moments, in f32.
const BYTES_A_WEIGHT: usize = 16;

/// Bytes a batch's pixel value takes: itself as f32, its reconstruction, the error and the gradient of both.
const BYTES_A_VALUE: usize = 16;

/// Fails if some variant's weights, gradients, moments and pixels of the largest batch alone exceed the memory that is
/// free now.
pub fn check_memory(experiment: &Experiment) -> Result<()> {
    let Some(available) = available_bytes() else { return Ok(()) };
    for variant in experiment.variants.iter().filter(|variant| variant.given.is_none()) {
        let parameters = variant.model.parameter_count();
        let stages = variant.train.all_stages(variant.tokens_per_sequence());
        let tokens = stages.iter().map(|stage| stage.batch.saturating_mul(stage.context)).max().unwrap_or(0);
        let pixels = tokens.saturating_mul(variant.model.block.patch_values());
        let needed = parameters.saturating_mul(BYTES_A_WEIGHT).saturating_add(pixels.saturating_mul(BYTES_A_VALUE));
        if needed > available {
            let (variant, needed, available) = (variant.name.clone(), needed >> 20, available >> 20);
            return Err(EvaluatorError::Memory { variant, parameters, needed, available });
        }
    }
    Ok(())
}

/// What the kernel says can be had without swapping; unknown where there is no /proc.
fn available_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
