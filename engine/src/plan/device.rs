//! What a worker can do.

use crate::block::Layout;
use crate::error::EngineError;
use crate::kernel;
use crate::kernel::matrix::{How, Matrix, MatrixMut};
use crate::kernel::packed::Packing;
use crate::model::ModelConfig;
use crate::ops::{self, RopeTable, Scope};
use crate::precision::Precision;
use crate::random;
use crate::tensor::{Tokens, tokens};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use rand::Rng as _;
use std::sync::OnceLock;
use std::time::Instant;

/// A worker's rates. One worker may be several cores or one accelerator.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// What it is called.
    pub name: &'static str,
    /// Where its rates come from.
    pub source: &'static str,
    /// Operations a second in linear maps.
    pub linear_flops: f64,
    /// The same in attention, forward.
    pub attention_flops: f64,
    /// And in its gradient.
    pub attention_backward_flops: f64,
    /// Bytes a second that it reads and writes in row-wise work.
    pub memory_bandwidth: f64,
    /// Bytes a second that it sends to the next worker while it receives as many.
    pub link: f64,
    /// Bytes of its memory; unknown if `None`.
    pub memory: Option<f64>,
    /// Bytes of an activation's value.
    pub bytes_a_value: usize,
    /// Bytes of that of a query, a key or what a key stands for: see [`bytes_a_key`].
    pub bytes_a_key: usize,
    /// Whether its products lay their factors out, in room that its memory has beside: see [`lays_out`].
    pub lays_out: bool,
}

/// Whether products of this program do so on this CPU: with AVX512-BF16, or with AVX2 and no AVX-512.
pub fn lays_out() -> bool {
    kernel::has_tiles(Precision::F32)
}

/// Bytes in which workers of this program keep and send the values of queries and keys: two in bf16, on a CPU that multiplies it.
pub fn bytes_a_key(precision: Precision) -> usize {
    const DIM: usize = 2;
    Packing::new(DIM, precision).lanes() * size_of::<f32>() / DIM
}

impl Device {
    /// NVIDIA's H100 SXM with bf16 activations and one 400 Gb/s network adapter: the data sheet (989 TFLOP/s dense bf16,
    /// 3.35 TB/s, 80 GB), of which linear maps reach 60 %, attention 50 % and its gradient 45 %, and memory and network
    /// 80 %. Those shares are assumptions, in the range of published kernels (FlashAttention-3, Shah et al. 2024).
    pub const H100: Self = Self {
        name: "h100",
        source: "data sheet; linear maps 60 %, attention 50 and 45 %, memory and network 80 % of it",
        linear_flops: 0.6 * 989e12,
        attention_flops: 0.5 * 989e12,
        attention_backward_flops: 0.45 * 989e12,
        memory_bandwidth: 0.8 * 3.35e12,
        link: 0.8 * 50e9,
        memory: Some(80e9),
        bytes_a_value: 2,
        bytes_a_key: 2,
        lays_out: false,
    };

    /// The threads of the pool that calls it, measured now, in about a second, on operations of the model's width and
    /// heads. `link` and `memory` are not measured: a link cannot be without a second machine.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a model that cannot be.
    pub fn measured(model: &ModelConfig, link: f64, memory: Option<f64>) -> Result<Self, EngineError> {
        model.check()?;
        let probe = Probe::new(model);
        Ok(Self {
            name: "cpu",
            source: "measured now on this machine",
            linear_flops: probe.linear(),
            attention_flops: probe.attention(),
            attention_backward_flops: probe.attention_backward(),
            memory_bandwidth: probe.memory_bandwidth(),
            link,
            memory,
            bytes_a_value: size_of::<f32>(),
            bytes_a_key: bytes_a_key(model.precision),
            lays_out: lays_out(),
        })
    }
}

/// Rows that rates are measured with: enough to fill cores, too many for their caches.
const ROWS: usize = 2048;
/// Of each rate; the median counts.
const ROUNDS: usize = 5;

/// Work of one layer of the model, timed.
struct Probe<'a> {
    model: &'a ModelConfig,
    layout: Layout,
}

impl<'a> Probe<'a> {
    fn new(model: &'a ModelConfig) -> Self {
        Self { model, layout: Layout { sequences: 1, blocks: 1, tokens_per_block: ROWS } }
    }

    fn rows(&self, width: usize) -> Tokens {
        let mut random = random::stream(0, "plan", width as u64);
        tokens((0..ROWS * width).map(|_| random.random_range(-1.0..1.0)).collect(), ROWS, width)
    }

    fn linear(&self) -> f64 {
        let (width, hidden) = (self.model.width, self.model.hidden);
        let mut random = random::stream(0, "plan weights", 0);
        let weight: Vec<f32> = (0..width * 2 * hidden).map(|_| random.random_range(-0.1..0.1)).collect();
        let (x, weight) = (self.rows(width), tokens(weight, width, 2 * hidden));
        let flops = 2.0 * (ROWS * width * 2 * hidden) as f64;
        flops / median(|| ops::linear(x.clone(), &weight, self.model.precision))
    }

    fn attention(&self) -> f64 {
        let (x, rope, scope) = self.attended();
        self.score_flops(super::FORWARD_PRODUCTS)
            / median(|| ops::attention(x.clone(), self.model.heads, &rope, &scope, self.model.precision))
    }

    fn attention_backward(&self) -> f64 {
        let (x, rope, scope) = self.attended();
        let target = self.rows(self.model.width);
        let seconds = (0..ROUNDS).map(|_| {
            let y = ops::attention(x.leaky_trace(), self.model.heads, &rope, &scope, self.model.precision);
            let loss = ops::mse(y, &target);
            let began = Instant::now();
            std::hint::black_box(loss.backward());
            began.elapsed().as_secs_f64()
        });
        self.score_flops(super::BACKWARD_PRODUCTS) / middle(seconds.collect())
    }

    fn attended(&self) -> (Tokens, RopeTable, Scope) {
        let dim = self.model.width / self.model.heads;
        let rope = RopeTable::new(ROWS, dim, self.model.rope_theta);
        (self.rows(3 * self.model.width), rope, Scope::block_causal(self.layout))
    }

    fn score_flops(&self, products: f64) -> f64 {
        2.0 * products * (ROWS * ROWS * self.model.width) as f64
    }

    /// Of norms, which read a number for each that they write.
    fn memory_bandwidth(&self) -> f64 {
        let width = 2 * self.model.hidden;
        let (x, weight) = (self.rows(width), tokens(vec![1.0; width], 1, width));
        let bytes = (2 * ROWS * width * size_of::<f32>()) as f64;
        bytes / median(|| ops::rms_norm(x.clone(), &weight, self.model.norm_epsilon))
    }
}

/// Operations a second of this crate's own product of two matrices of 2048 × 2048, on the threads of the pool that calls it:
/// what layers could reach if they did nothing else. The best of a few, measured now.
pub fn product_flops(precision: Precision) -> f64 {
    const SIDE: usize = 2048;
    2.0 * (SIDE * SIDE * SIDE) as f64 / shortest_product(SIDE, precision.together())
}

/// What `precision = "auto"` stands for: bf16 where its products are clearly faster than those of f32, as timed on one thread
/// when this is asked for first. To have instructions for bf16 is not enough: with them an AMD EPYC of family 25, model 17,
/// takes half the time, an Intel Xeon of family 6, model 207, 1.7 times as long.
pub fn faster_precision() -> Precision {
    const SIDE: usize = 256;
    static FASTER: OnceLock<Precision> = OnceLock::new();
    *FASTER.get_or_init(|| {
        if !kernel::multiplies_bf16() {
            return Precision::F32;
        }
        let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| shortest_product(SIDE, precision.alone()));
        faster(f32, bf16)
    })
}

/// Of products that take so many seconds. Less than a quarter's gain is none: every process of a run must come to the same.
fn faster(f32_seconds: f64, bf16_seconds: f64) -> Precision {
    if bf16_seconds < 0.75 * f32_seconds { Precision::Bf16 } else { Precision::F32 }
}

/// Seconds that a product of two square matrices takes, the shortest of a few: what else the machine does makes them longer.
fn shortest_product(side: usize, how: How) -> f64 {
    let mut random = random::stream(0, "product", 0);
    let [a, b] = [0, 1].map(|_| (0..side * side).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f32>>());
    let [a, b] = [&a, &b].map(|values| Matrix::new(values, side, side));
    let mut c = vec![0.0; side * side];
    let seconds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        MatrixMut::new(&mut c, side, side).set_product(1.0, a, b, how);
        began.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// Seconds that the work takes, after it was done once.
fn median<R>(work: impl Fn() -> R) -> f64 {
    std::hint::black_box(work());
    let seconds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        std::hint::black_box(work());
        began.elapsed().as_secs_f64()
    });
    middle(seconds.collect())
}

fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_chosen_where_it_is_clearly_faster() {
        assert_eq!(faster(1.0, 0.5), Precision::Bf16);
        assert_eq!([0.8, 1.0, 1.7].map(|bf16| faster(1.0, bf16)), [Precision::F32; 3]);
        // Nothing is timed without instructions for it: products are rounded first, and take longer.
        assert!(kernel::multiplies_bf16() || faster_precision() == Precision::F32);
        assert_eq!(faster_precision(), faster_precision());
    }
}
