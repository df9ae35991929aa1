//! Fused operations with hand-written backward passes, registered on dfdx's tape.
//!
//! Each file is one operation: its formula, its forward pass, its gradient. Coarse operations keep few intermediate
//! tensors and run on every core; `tests/composed.rs` holds the same formulas written with dfdx's own operations, and
//! both must agree. Backward passes *add* to the gradients of their inputs.
//!
//! Shapes that do not fit are a panic.

pub mod attention;
mod feed_forward;
mod fsq;
mod gaussian;
mod layer;
mod linear;
mod mse;
mod norm_linear;
mod patch_embed;
mod pool;
mod rms_norm;
mod rope;
mod vae;

pub(crate) use attention::Attention;
pub use attention::{BlockKeys, Past, Scope, attention, ring_attention};
pub use feed_forward::{FeedForward, feed_forward};
pub use fsq::quantize;
pub use gaussian::{LN_DEVIATION_LIMIT, gaussian_nll};
pub(crate) use layer::{LONG, Weights, layer_behind, layers};
pub use linear::linear;
pub use mse::mse;
pub use norm_linear::{norm_linear, norm_linear_tanh};
pub use patch_embed::patch_embed;
pub use pool::pool_last_block;
pub use rms_norm::rms_norm;
pub use rope::RopeTable;
pub use vae::{kl_divergence, sample};

/// A tape that may or may not be there: training records, inference does not.
pub trait MaybeTape: dfdx::tensor::Tape<f32, dfdx::tensor::Cpu> {}
impl<T: dfdx::tensor::Tape<f32, dfdx::tensor::Cpu>> MaybeTape for T {}

/// Rows that go through an operation of several steps together: enough for large products, few enough for what lies between
/// the steps to stay in a cache of some MiB.
pub(crate) const WAVE: usize = 2048;

/// Rows worked on at a time by one thread in row-wise sweeps. A constant, so that sums over rows are added in the same
/// order whatever the number of threads.
const ROWS_PER_TASK: usize = 64;
