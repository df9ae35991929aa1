//! The operations of a layer, forward and backward, at the sizes of `elastictok bench`'s works S and L.
//!
//!     cargo bench -p engine -- attention
//!
//! Throughput is multiply-adds a second of matrix products, as many as the operation needs (a backward pass of attention
//! five of a tile, forward two): divided by those of `product`, what share of its time an operation multiplies.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dfdx::shapes::HasShape as _;
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use engine::ops::{self, FeedForward, RopeTable, Scope};
use engine::tensor::{Parameter, Tape, Tokens, tokens, values};
use engine::{Layout, Precision};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// As the program's (`src/allocator.rs`): what was given back is not asked of the system again.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As the program's, which sets the decay when it begins to compute.
#[allow(unsafe_code)] // The allocator looks for this name before the program begins.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: &[u8; 141] = b"thp:always,narenas:1,oversize_threshold:0,lg_extent_max_active_fit:20,\
    cache_oblivious:false,retain:false,dirty_decay_ms:-1,muzzy_decay_ms:-1\0";

const WIDTH: usize = 256;
const HIDDEN: usize = 512;
const HEADS: usize = 4;
const EPSILON: f32 = 1e-5;

/// Numbers between −1 and 1 that look like nothing in particular.
fn drawn(rows: usize, width: usize) -> Tokens {
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    tokens((0..rows * width).map(value).collect(), rows, width)
}

fn weight(rows: usize, width: usize) -> Parameter {
    let small = values(&drawn(rows, width)).iter().map(|x| 0.05 * x).collect();
    tokens(small, rows, width)
}

/// Times an operation forward, without a tape, and backward, behind a loss whose gradient differs from place to place.
fn both(
    criterion: &mut Criterion,
    name: &str,
    case: &str,
    [forward, backward]: [u64; 2],
    x: &Tokens,
    of: impl Fn(Tokens<Tape>) -> Tokens<Tape>,
    untaped: impl Fn(Tokens) -> Tokens,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).throughput(Throughput::Elements(forward));
    group.bench_function(BenchmarkId::new("forward", case), |bencher| {
        bencher.iter(|| black_box(untaped(x.clone())));
    });
    group.throughput(Throughput::Elements(backward));
    group.bench_function(BenchmarkId::new("backward", case), |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                let y = of(x.leaky_trace());
                let (rows, width) = *y.shape();
                let loss = ops::mse(y, &tokens(vec![0.5; rows * width], rows, width));
                let began = Instant::now();
                black_box(loss.backward());
                began.elapsed()
            };
            (0..times).map(once).sum::<Duration>()
        });
    });
    group.finish();
}

/// A product of two 2048 × 2048 matrices, into one that is new.
fn product(criterion: &mut Criterion, precision: Precision) {
    const SIDE: usize = 2048;
    let (x, w) = (drawn(SIDE, SIDE), weight(SIDE, SIDE));
    let mut group = criterion.benchmark_group("product");
    group.sample_size(10).throughput(Throughput::Elements((SIDE * SIDE * SIDE) as u64));
    group.bench_function(precision.name(), |bencher| {
        bencher.iter(|| black_box(ops::linear(x.clone(), &w, precision)));
    });
    group.finish();
}

fn operations(criterion: &mut Criterion) {
    for precision in Precision::ALL {
        product(criterion, precision);
        let rows = 4096;
        let x = drawn(rows, WIDTH);
        let (norm, w_qkv) = (tokens(vec![1.0; WIDTH], 1, WIDTH), weight(WIDTH, 3 * WIDTH));
        let products = (rows * WIDTH * 3 * WIDTH) as u64;
        let qkv = |x| ops::norm_linear(x, &norm, &w_qkv, EPSILON, precision);
        let qkv_untaped = |x| ops::norm_linear(x, &norm, &w_qkv, EPSILON, precision);
        both(criterion, "norm_linear", precision.name(), [products, 2 * products], &x, qkv, qkv_untaped);

        let branch = FeedForward {
            norm: norm.clone(),
            gate_up: weight(WIDTH, 2 * HIDDEN),
            down: weight(HIDDEN, WIDTH),
            epsilon: EPSILON,
        };
        let products = (rows * WIDTH * 3 * HIDDEN) as u64;
        let feed_forward = |x| ops::feed_forward(x, &branch, precision);
        let untaped = |x| ops::feed_forward(x, &branch, precision);
        both(criterion, "feed_forward", precision.name(), [products, 2 * products], &x, feed_forward, untaped);

        for (sequences, blocks, tokens_per_block) in [(16, 1, 256), (1, 4, 1024)] {
            let layout = Layout { sequences, blocks, tokens_per_block };
            let (scope, length) = (Scope::block_causal(layout), layout.tokens_per_sequence());
            let rope = RopeTable::new(length, WIDTH / HEADS, 1e4);
            let pairs = sequences * tokens_per_block * tokens_per_block * blocks * (blocks + 1) / 2;
            let product = (pairs * WIDTH) as u64;
            let case = format!("{sequences}x{length} {}", precision.name());
            let attention = |x| ops::attention(x, HEADS, &rope, &scope, precision);
            let untaped = |x| ops::attention(x, HEADS, &rope, &scope, precision);
            let qkv = drawn(layout.tokens(), 3 * WIDTH);
            both(criterion, "attention", &case, [2 * product, 5 * product], &qkv, attention, untaped);
        }
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
