//! Whether a mesh of workers can train every variant, asked before anything is written.

use crate::error::{EvaluatorError, Result};
use crate::experiment::Experiment;
use engine::ring::Mesh;

/// Fails for the first variant whose batches or sequences this mesh cannot share.
///
/// # Errors
/// [`EvaluatorError::Mesh`].
pub fn check_mesh(experiment: &Experiment, mesh: Mesh) -> Result<()> {
    for variant in &experiment.variants {
        let checked = variant.train.check_mesh(mesh, variant.tokens_per_sequence());
        checked.map_err(|source| EvaluatorError::Mesh { variant: variant.name.clone(), source })?;
    }
    Ok(())
}
