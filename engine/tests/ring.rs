//! Ring attention: whatever the workers, the same as one of them alone; nothing more computed or sent than the mask lets
//! through; and a worker that is lost ends all others.

use dfdx::tensor::{Trace as _, WithEmptyTape as _};
use dfdx::tensor_ops::{Backward as _, SumTo as _};
use engine::Precision;
use engine::ops::{self, RopeTable, Scope};
use engine::ring::{Mesh, Packet, Ring, RingError, SequenceRing, Slices, Trace, Workers};
use engine::tensor::{Tape, Tokens, tokens, values};
use engine::{EngineError, Layout};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

const DIM: usize = 8;

/// A batch of q | k | v, and the gradient that arrives at the output.
struct Batch {
    layout: Layout,
    heads: usize,
    qkv: Vec<f32>,
    dy: Vec<f32>,
}

impl Batch {
    fn new(layout: Layout, heads: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(layout.tokens() as u64);
        let mut draw = |n: usize| (0..n).map(|_| random.random_range(-2.0..2.0)).collect();
        Self { layout, heads, qkv: draw(layout.tokens() * 3 * heads * DIM), dy: draw(layout.tokens() * heads * DIM) }
    }

    fn width(&self) -> usize {
        self.heads * DIM
    }

    fn taped(&self, qkv: Vec<f32>) -> (Tokens, Tokens<Tape>) {
        let rows = qkv.len() / (3 * self.width());
        let x = tokens(qkv, rows, 3 * self.width());
        (x.clone(), x.leaky_trace())
    }

    /// The output and dqkv of one worker.
    fn dense(&self, scope: &Scope) -> [Vec<f32>; 2] {
        let rope = RopeTable::new(self.layout.tokens_per_sequence(), DIM, 1e4);
        let (x, taped) = self.taped(self.qkv.clone());
        let y = ops::attention(taped, self.heads, &rope, scope, Precision::F32);
        self.with_gradient(y, &x, self.dy.clone())
    }

    fn with_gradient(&self, y: Tokens<Tape>, x: &Tokens, dy: Vec<f32>) -> [Vec<f32>; 2] {
        let rows = dy.len() / self.width();
        let out = y.as_vec();
        let gradient = (y * tokens(dy, rows, self.width())).sum::<(), _>().backward().get(x).as_vec();
        [out, gradient]
    }

    /// The same of a ring of workers, put together, and what each wrote down.
    fn ring(&self, scope: &Scope, slices: &Slices) -> ([Vec<f32>; 2], Vec<Trace>) {
        let (sequences, width) = (self.layout.sequences, self.width());
        let workers = Workers::new(Mesh { data: 1, sequence: slices.workers() }, 2).unwrap();
        let parts = workers.run(|place, ring| {
            let rows = slices.rows(place.rank, sequences);
            let rope = RopeTable::at_positions(rows.positions(), DIM, 1e4);
            let trace = Rc::new(RefCell::new(Trace::default()));
            let party = SequenceRing { ring, slices: slices.clone(), trace: Some(trace.clone()) };
            let (x, taped) = self.taped(rows.gather(&self.qkv, 3 * width));
            let y = ops::ring_attention(taped, self.heads, &rope, scope, &party, Precision::F32);
            let result = self.with_gradient(y, &x, rows.gather(&self.dy, width));
            Ok((result, trace.take()))
        });
        let mut whole = [vec![0.0; self.dy.len()], vec![0.0; self.qkv.len()]];
        let mut traces = Vec::new();
        for (rank, (part, trace)) in parts.unwrap().into_iter().enumerate() {
            let rows = slices.rows(rank, sequences);
            rows.scatter(&part[0], &mut whole[0], width);
            rows.scatter(&part[1], &mut whole[1], 3 * width);
            traces.push(trace);
        }
        (whole, traces)
    }
}

fn layout(sequences: usize, blocks: usize, tokens_per_block: usize) -> Layout {
    Layout { sequences, blocks, tokens_per_block }
}

/// ‖a − b‖ / ‖b‖.
fn relative_norm(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

fn assert_ring_is_dense(batch: &Batch, scope: &Scope, workers: usize, what: &str) {
    let dense = batch.dense(scope);
    let tokens = batch.layout.tokens_per_sequence();
    for slices in [Slices::mirrored(tokens, workers), Slices::contiguous(tokens, workers)] {
        let (ring, _) = batch.ring(scope, &slices);
        for (part, (ring, dense)) in ["output", "gradient"].iter().zip(ring.iter().zip(&dense)) {
            let error = relative_norm(ring, dense);
            assert!(error < 1e-5, "{what}, {workers} workers, {slices:?}: {part} off by {error:e}");
        }
    }
}

/// Lets the test fail where it would hang.
fn within_a_minute<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let worker = std::thread::spawn(move || done.send(work()));
    match result.recv_timeout(Duration::from_secs(60)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(worker.join().unwrap_err()),
    }
}

#[test]
fn a_ring_of_any_size_is_one_worker() {
    // Blocks that lie across slices, slices that lie across blocks, more than one tile of queries and of keys, and
    // sequences that no number of workers divides.
    let layouts =
        [layout(1, 4, 8), layout(2, 3, 7), layout(3, 1, 23), layout(1, 13, 1), layout(1, 5, 61), layout(1, 2, 307)];
    for layout in layouts {
        for (workers, heads) in [(1, 2), (2, 1), (3, 3), (4, 2), (5, 1)] {
            let scope = Scope::block_causal(layout);
            assert_ring_is_dense(&Batch::new(layout, heads), &scope, workers, &format!("{layout:?}"));
        }
    }
}

#[test]
fn segments_and_hidden_keys_hide_the_same_whoever_has_the_keys() {
    let layout = layout(2, 6, 5);
    let batch = Batch::new(layout, 2);
    // Blocks 0, 0, 1, 1, 1, 2 of each sequence; every third key hidden, but the first of a block visible.
    let segments = (0..layout.tokens()).map(|token| [0, 0, 1, 1, 1, 2][token / 5 % 6]).collect();
    let visible = (0..layout.tokens()).map(|token| token % 5 == 0 || token % 3 != 0).collect();
    let packed = Scope { segments: Some(segments), ..Scope::block_causal(layout) };
    let hidden = Scope { visible_keys: Some(visible), ..packed.clone() };
    assert!(relative_norm(&batch.dense(&packed)[0], &batch.dense(&hidden)[0]) > 0.01, "the masks hide something");
    for workers in 1..=5 {
        assert_ring_is_dense(&batch, &packed, workers, "segments");
        assert_ring_is_dense(&batch, &hidden, workers, "hidden keys");
    }
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let layout = layout(1, 3, 6);
    let batch = Batch::new(layout, 2);
    let (scope, slices) = (Scope::block_causal(layout), Slices::mirrored(18, 2));
    let workers = Workers::new(Mesh { data: 1, sequence: 2 }, 2).unwrap();
    let gradients = workers.run(|place, ring| {
        let rows = slices.rows(place.rank, 1);
        let rope = RopeTable::at_positions(rows.positions(), DIM, 1e4);
        let party = SequenceRing { ring, slices: slices.clone(), trace: None };
        let attend =
            |taped| ops::ring_attention(taped, 2, &rope, &scope, &party, Precision::F32).square().sum::<(), _>();
        let (x, taped) = batch.taped(rows.gather(&batch.qkv, 48));
        let once = attend(taped).backward().get(&x).as_vec();
        let (x, taped) = batch.taped(rows.gather(&batch.qkv, 48));
        let first = attend(taped.with_empty_tape());
        let twice = (first + attend(taped)).backward().get(&x).as_vec();
        Ok((once, twice))
    });
    for (once, twice) in gradients.unwrap() {
        let doubled: Vec<f32> = once.iter().map(|g| 2.0 * g).collect();
        assert!(once.iter().any(|g| *g != 0.0) && relative_norm(&twice, &doubled) < 1e-6);
    }
}

#[test]
fn the_same_workers_give_the_same_bytes() {
    let batch = Batch::new(layout(2, 5, 61), 2);
    let (scope, slices) = (Scope::block_causal(batch.layout), Slices::mirrored(305, 3));
    let (first, _) = batch.ring(&scope, &slices);
    for _ in 0..5 {
        assert!(batch.ring(&scope, &slices).0 == first, "the order of sums depends on timing");
    }
}

/// Queries of one tile of scores.
const TILE: usize = 128;

#[test]
fn what_the_mask_hides_is_neither_computed_nor_sent() {
    for (layout, workers) in
        [(layout(1, 8, 4), 4), (layout(2, 3, 50), 3), (layout(1, 7, 100), 2), (layout(1, 1, 20), 5)]
    {
        let (batch, scope) = (Batch::new(layout, 2), Scope::block_causal(layout));
        let tokens = layout.tokens_per_sequence();
        for slices in [Slices::mirrored(tokens, workers), Slices::contiguous(tokens, workers)] {
            let (_, traces) = batch.ring(&scope, &slices);
            let expected = BruteForce { layout, slices: &slices };
            for (rank, trace) in traces.iter().enumerate() {
                for step in 0..workers {
                    let owner = (rank + workers - step) % workers;
                    let scores = expected.scores(rank, owner) * (2 * layout.sequences) as u64;
                    let keys = expected.spans_sent(owner, step);
                    let gradients = if step == 0 { 0 } else { expected.gradients_sent(owner, step) };
                    let (forward, backward) = (&trace.forward[step], &trace.backward[step]);
                    let at = format!("{layout:?}, worker {rank} at step {step} of {slices:?}");
                    assert_eq!((forward.scores, backward.scores), (scores, scores), "{at}");
                    assert_eq!((forward.packets, backward.packets), (keys, keys + gradients), "{at}");
                }
            }
        }
    }
}

/// Counts from the mask, token by token.
struct BruteForce<'a> {
    layout: Layout,
    slices: &'a Slices,
}

impl BruteForce<'_> {
    fn sees(&self, query: usize, key: usize) -> bool {
        key / self.layout.tokens_per_block <= query / self.layout.tokens_per_block
    }

    fn reads(&self, worker: usize, span: &Range<usize>) -> bool {
        let queries = || self.slices.spans(worker).iter().flat_map(Range::clone);
        span.clone().any(|key| queries().any(|query| self.sees(query, key)))
    }

    /// Every tile of queries with every key of the owner's that one of them sees.
    fn scores(&self, worker: usize, owner: usize) -> u64 {
        let keys: Vec<usize> = self.slices.spans(owner).iter().flat_map(Range::clone).collect();
        let spans = self.slices.spans(worker).iter().map(|span| span.clone().collect::<Vec<_>>());
        let tiles = spans.flat_map(|span| span.chunks(TILE).map(<[usize]>::to_vec).collect::<Vec<_>>());
        let seen = |tile: &[usize]| keys.iter().filter(|key| tile.iter().any(|query| self.sees(*query, **key))).count();
        tiles.map(|tile| (tile.len() * seen(&tile)) as u64).sum()
    }

    /// Spans that a worker further on than `step` reads.
    fn spans_sent(&self, owner: usize, step: usize) -> u64 {
        let workers = self.slices.workers();
        let further = |span: &&Range<usize>| (step + 1..workers).any(|step| self.reads((owner + step) % workers, span));
        self.slices.spans(owner).iter().filter(further).count() as u64
    }

    /// Spans that a worker up to `step` behind their owner has read: their gradients must go home.
    fn gradients_sent(&self, owner: usize, step: usize) -> u64 {
        let workers = self.slices.workers();
        let begun = |span: &&Range<usize>| (1..=step).any(|step| self.reads((owner + step) % workers, span));
        self.slices.spans(owner).iter().filter(begun).count() as u64
    }
}

/// Attends twice; at the second time, `lose` happens to worker 2 instead.
fn ring_that_loses_a_worker(sequence: usize, data: usize, lose: fn() -> EngineError) -> EngineError {
    within_a_minute(move || {
        let layout = layout(1, 6, 5);
        let (batch, slices) = (Batch::new(layout, 1), Slices::mirrored(30, sequence));
        let workers = Workers::new(Mesh { data, sequence }, 2).unwrap();
        let failed = workers.run(|place, ring| {
            let rows = slices.rows(place.rank, 1);
            let rope = RopeTable::at_positions(rows.positions(), DIM, 1e4);
            let party = SequenceRing { ring, slices: slices.clone(), trace: None };
            let (_, taped) = batch.taped(rows.gather(&batch.qkv, 3 * DIM));
            let y = ops::ring_attention(taped, 1, &rope, &Scope::block_causal(layout), &party, Precision::F32);
            if place.worker() == 2 {
                drop(y);
                return Err(lose());
            }
            drop(y.square().sum::<(), _>().backward());
            Ok(())
        });
        failed.unwrap_err()
    })
}

#[test]
fn a_worker_that_panics_ends_all_others_with_its_message() {
    for (data, sequence) in [(1, 3), (1, 4), (2, 2)] {
        let error = ring_that_loses_a_worker(sequence, data, || panic!("out of luck")).to_string();
        let workers = data * sequence;
        assert!(
            error.starts_with(&format!("worker 2 (of {workers}, counted from 0) panicked: out of luck")),
            "{error}"
        );
    }
}

#[test]
fn a_worker_that_fails_ends_all_others_with_its_error() {
    let error = ring_that_loses_a_worker(4, 1, || EngineError::Threads("no more".to_owned()));
    assert!(matches!(error, EngineError::Threads(_)), "{error}");
}

#[test]
fn a_worker_that_leaves_too_early_is_named_by_the_others() {
    let error = within_a_minute(|| {
        let workers = Workers::new(Mesh { data: 1, sequence: 3 }, 2).unwrap();
        let failed = workers.run(|place, ring: Rc<dyn Ring>| {
            if place.rank != 1 {
                ring.receive(1, 1)?;
                ring.wait()?;
            }
            Ok(())
        });
        failed.unwrap_err()
    });
    let text = error.to_string();
    assert!(text.contains("worker 1 (of 3, counted from 0) left while others still waited for it"), "{text}");
}

#[test]
fn packets_that_were_sent_arrive_although_the_sender_is_gone() {
    let sums = within_a_minute(|| {
        let workers = Workers::new(Mesh { data: 1, sequence: 2 }, 2).unwrap();
        workers.run(|place, ring| {
            if place.rank == 0 {
                ring.send(Packet::new(vec![vec![1.0, 2.0]]))?;
                ring.send(Packet::new(vec![vec![3.0], vec![4.0]]))?;
                return Ok(0.0);
            }
            ring.receive(1, 2)?;
            ring.receive(2, 1)?;
            let packets = [ring.wait()?, ring.wait()?];
            Ok::<f32, EngineError>(packets.iter().flat_map(|packet| packet.iter().flatten()).sum())
        })
    });
    assert_eq!(sums.unwrap(), [0.0, 10.0]);
}

#[test]
fn a_lost_worker_is_told_to_whoever_asks_next() {
    let error = within_a_minute(|| {
        let workers = Workers::new(Mesh { data: 2, sequence: 1 }, 2).unwrap();
        let failed = workers.run(|place, ring| {
            if place.group == 0 {
                panic!("first");
            }
            // It waits for nobody, but learns that its work is in vain.
            let lost = loop {
                if let Err(lost) = ring.send(Packet::default()) {
                    break lost;
                }
                std::thread::yield_now();
            };
            Err::<(), _>(EngineError::from(lost))
        });
        failed.unwrap_err()
    });
    let EngineError::Ring(RingError { worker: 0, end, .. }) = error else { panic!("{error}") };
    assert_eq!(end, "panicked: first");
}

#[test]
fn values_of_a_ring_are_those_of_its_rows() {
    // The simplest case by hand: two tokens, two blocks, values 1 and 3, keys zero. Token 0 sees itself: 1; token 1 sees
    // both alike: 2.
    let layout = layout(1, 2, 1);
    let qkv = [vec![0.0; 4], vec![1.0; 2], vec![0.0; 4], vec![3.0; 2]].concat();
    let slices = Slices::contiguous(2, 2);
    let workers = Workers::new(Mesh { data: 1, sequence: 2 }, 2).unwrap();
    let outputs = workers.run(|place, ring| {
        let rows = slices.rows(place.rank, 1);
        let rope = RopeTable::at_positions(rows.positions(), 2, 1e4);
        let party = SequenceRing { ring, slices: slices.clone(), trace: None };
        let x = tokens(rows.gather(&qkv, 6), 1, 6);
        Ok(values(&ops::ring_attention(x, 1, &rope, &Scope::block_causal(layout), &party, Precision::F32)).to_vec())
    });
    assert_eq!(outputs.unwrap(), [[1.0, 1.0], [2.0, 2.0]]);
}
