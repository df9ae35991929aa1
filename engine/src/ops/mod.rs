//! Fused operations with hand-written backward passes, registered on dfdx's tape.
//!
//! Each file is one operation: its formula, its forward pass, its gradient. Coarse operations keep few intermediate
//! tensors and run on every core; `tests/composed.rs` holds the same formulas written with dfdx's own operations, and
//! both must agree. Backward passes *add* to the gradients of their inputs.
//!
//! # Where the time goes
//!
//! Shares of a training step's processor time, in percent, by a sampling profile (`perf record -e cpu-clock` of `elastictok
//! bench racer`) on 2 cores. Three columns are of a CPU with AVX2, whose product of two 2048 × 2048 matrices reaches 190
//! GFLOP/s; the others of one with AVX512-BF16 that reaches 218 in f32 and 426 in bf16, by an engine that was some percent
//! slower. Where products are twice as fast, all else weighs nearly twice as much. The works are those of `elastictok bench`:
//! S has sequences of 256 tokens, M of 1024, L one of 16 K.
//!
//! | | S f32 | S bf16 | M f32 | M bf16 | L f32 | L bf16 | S, AVX2 | M, AVX2 | L, AVX2 |
//! |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
//! | tiles of products | 83 | 74 | 89 | 80 | 88 | 77 | 83 | 87 | 84 |
//! | laying out their factors | 4 | 8 | 3 | 7 | 2 | 7 | 5 | 4 | 4 |
//! | softmax and its gradient | 2 | 2 | 3 | 5 | 7 | 12 | 2 | 3 | 8 |
//! | copying, clearing and adding up | 5 | 5 | 3 | 3 | 1 | 1 | 4 | 3 | 1 |
//! | norms | 2 | 3 | 1 | 1 | 0 | 1 | 2 | 1 | 0 |
//! | gates | 1 | 2 | 0 | 1 | 0 | 0 | 2 | 1 | 0 |
//! | the rest (optimizer, threads, data) | 3 | 5 | 2 | 4 | 2 | 2 | 2 | 2 | 2 |
//!
//! Attention makes its scores twice, forward and backward: a seventh of its products, which a step's GFLOP do not count.
//!
//! So what there is to gain lies beside the products, and most of it is memory: why operations are as coarse as they are.
//!
//! - **All layers are one operation** (`layer`): a gradient is changed in its place from layer to layer, where dfdx would clear
//!   a new buffer for each tensor and add to it; and q, k and v go from the product to their heads without a tensor between.
//! - **A branch goes over rows in waves** of 2048 (`norm_linear`, `feed_forward`): its norm, gates and hidden values stay in
//!   a cache. Backward they are made again, but for the gates of a batch of one wave: their product would take longer than
//!   reading them.
//! - **Attention** never has a score matrix ([`attention`](mod@attention)). A tile of queries or of keys is laid out once
//!   for up to 1024 of the other kind that it meets. In f32 scores are made with the gaps between rows that tiles want, and
//!   read where they are, by rows and (with AVX-512) by columns; so are norms, gates, hidden values, O and the gradients of q, k
//!   and v. In bf16 q, k and v are kept as products read them, in half the room.
//! - **Short sequences go through in shards** of some 512 rows, those of a training batch and the candidates of a search: a
//!   thread takes a shard through all operations. Of one sequence threads share each operation, products too if they have 2
//!   million multiply-adds or more.
//! - **tanh is the end of the decoder's last map** (`norm_linear_tanh`): alone it held another tensor of the size of the batch at
//!   the very moment when a step holds most.
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
pub(crate) use feed_forward::keeps_gates;
pub use feed_forward::{FeedForward, feed_forward};
pub use fsq::quantize;
pub use gaussian::{LN_DEVIATION_LIMIT, gaussian_nll};
pub(crate) use layer::{Weights, keeps_middle, layer_behind, layers};
pub use linear::linear;
pub use mse::mse;
pub use norm_linear::{norm_linear, norm_linear_tanh};
pub use patch_embed::patch_embed;
pub use pool::pool_last_block;
pub use rms_norm::rms_norm;
pub use rope::RopeTable;
pub use vae::{kl_divergence, sample};

use crate::kernel::scratch::Scratch;

/// A tape that may or may not be there: training records, inference does not.
pub trait MaybeTape: dfdx::tensor::Tape<f32, dfdx::tensor::Cpu> {}
impl<T: dfdx::tensor::Tape<f32, dfdx::tensor::Cpu>> MaybeTape for T {}

/// Rows that go through an operation of several steps together: enough for large products, few enough for what lies between
/// the steps to stay in a cache of some MiB.
pub(crate) const WAVE: usize = 2048;

/// Rows of a shard, of which a batch of short sequences has several: enough for products to be fast. Each goes through all
/// operations by itself, for one on so few rows is too short to be shared well.
pub(crate) const SHARD: usize = 512;

/// Room for so many numbers a row of a wave, of n rows in all. That of several waves is the allocator's again behind them:
/// long batches are those that memory ends first for, and clearing it once for all their waves costs little.
fn room_of_wave(n: usize, each: usize) -> Scratch {
    if n > WAVE { Scratch::fresh(WAVE * each) } else { Scratch::of(n * each) }
}

/// Rows worked on at a time by one thread in row-wise sweeps. A constant, so that sums over rows are added in the same
/// order whatever the number of threads.
const ROWS_PER_TASK: usize = 64;
