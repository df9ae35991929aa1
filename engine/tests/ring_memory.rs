//! What a ring is for: N workers hold an N-th of a sequence's activations each. Counted by an allocator of this program,
//! thread by thread, in a training step of a few thousand tokens.

#![allow(unsafe_code)] // an allocator is

mod noise;

use engine::ring::Mesh;
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, ModelConfig};
use noise::Noise;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

/// Bytes of each thread: what it allocated and nobody freed yet, and the most that ever was.
static LIVE: [AtomicIsize; THREADS] = [const { AtomicIsize::new(0) }; THREADS];
static PEAK: [AtomicIsize; THREADS] = [const { AtomicIsize::new(0) }; THREADS];
static STARTED: AtomicUsize = AtomicUsize::new(0);
const THREADS: usize = 256;

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A number for the thread that asks.
fn thread() -> usize {
    THREAD.with(|number| {
        if number.get() == usize::MAX {
            number.set(STARTED.fetch_add(1, Relaxed));
        }
        number.get()
    })
}

/// The system's, which writes before every allocation which thread made it: packets are freed by other workers than those
/// that made them.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

impl Counting {
    /// The layout with room for the thread's number in front, and how much room that is.
    fn with_room(layout: Layout) -> (Layout, usize) {
        let room = layout.align().max(16);
        let whole = Layout::from_size_align(layout.size() + room, room).expect("sizes stay far below the limit");
        (whole, room)
    }
}

// SAFETY: memory is the system allocator's, `room` bytes longer in front; `room` is a multiple of the alignment, so that
// what is handed out is aligned, and it is the same for the same layout, so that what comes back is found again.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (whole, room) = Self::with_room(layout);
        // SAFETY: the layout is not empty: `room` is at least 16.
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        let (thread, bytes) = (thread(), layout.size() as isize);
        let live = LIVE[thread].fetch_add(bytes, Relaxed) + bytes;
        PEAK[thread].fetch_max(live, Relaxed);
        // SAFETY: the first 16 bytes belong to us and are aligned for a number.
        unsafe {
            start.cast::<usize>().write(thread);
            start.add(room)
        }
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let (whole, room) = Self::with_room(layout);
        // SAFETY: `alloc` gave this pointer for this layout: `room` bytes before it are the number and the start.
        unsafe {
            let start = given.sub(room);
            LIVE[start.cast::<usize>().read()].fetch_sub(layout.size() as isize, Relaxed);
            System.dealloc(start, whole);
        }
    }
}

/// 256 tokens: 3072 a sequence.
fn block() -> BlockShape {
    BlockShape::new(1, 64, 64, [1, 4, 4]).unwrap()
}

/// The most bytes that any worker held in a step on two sequences, each cut among so many workers.
fn peak(sequence: usize) -> f64 {
    let model = ModelConfig {
        width: 48,
        hidden: 96,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.1,
        mask_conditioning: true,
        block: block(),
        bottleneck: Bottleneck::Vae { dim: 4 },
    };
    let train = TrainConfig { batch: 2, ..TrainConfig::default() };
    let trainer =
        Trainer::new(Start { model, train, seed: 1 }, Noise { values: block().values(), blocks: 12 }).unwrap();
    let mut trainer = trainer.with_mesh(Mesh { data: 2, sequence }).unwrap();
    LIVE.iter().zip(&PEAK).for_each(|(live, peak)| peak.store(live.load(Relaxed), Relaxed));
    trainer.advance().unwrap();
    // This thread deals the batch and updates the weights; all others work for it.
    let others = (0..STARTED.load(Relaxed)).filter(|other| *other != thread());
    others.map(|other| PEAK[other].load(Relaxed)).max().unwrap() as f64
}

#[test]
fn activations_of_a_worker_fall_with_the_number_of_workers() {
    // One thread a worker, whatever the machine has.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let [one, two, three, four] = [1, 2, 3, 4].map(|workers| pool.install(|| peak(workers)));
    for (workers, peak) in [(2.0, two), (3.0, three), (4.0, four)] {
        let share = workers * peak / one;
        println!("{workers} workers: {:.2} MB each, one {:.2} MB: {share:.3} of an N-th", peak / 1e6, one / 1e6);
        // What is over: packets on their way, and gradients of weights and tiles of scores, which no worker has less of.
        assert!(share <= 1.15, "{workers} workers hold {peak} bytes each, one {one}");
    }
}
