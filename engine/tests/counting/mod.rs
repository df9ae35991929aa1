//! An allocator that counts what each thread holds, for tests and examples about memory.

#![allow(unsafe_code, dead_code)] // an allocator is; each program uses its part

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

/// Bytes of each thread: what it allocated and nobody freed yet, and the most that ever was.
static LIVE: [AtomicIsize; THREADS] = [const { AtomicIsize::new(0) }; THREADS];
static PEAK: [AtomicIsize; THREADS] = [const { AtomicIsize::new(0) }; THREADS];
/// The same of all threads together.
static LIVE_OF_ALL: AtomicIsize = AtomicIsize::new(0);
static PEAK_OF_ALL: AtomicIsize = AtomicIsize::new(0);
static STARTED: AtomicUsize = AtomicUsize::new(0);
const THREADS: usize = 4096;

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

/// From now on peaks are counted from what is held now.
pub fn forget_peaks() {
    LIVE.iter().zip(&PEAK).for_each(|(live, peak)| peak.store(live.load(Relaxed), Relaxed));
    PEAK_OF_ALL.store(LIVE_OF_ALL.load(Relaxed), Relaxed);
}

/// The most bytes that any other thread than this one held.
pub fn peak_of_others() -> usize {
    let others = (0..STARTED.load(Relaxed)).filter(|other| *other != thread());
    others.map(|other| PEAK[other].load(Relaxed)).max().unwrap_or(0) as usize
}

/// The most bytes that all threads together held.
pub fn peak_of_all() -> usize {
    PEAK_OF_ALL.load(Relaxed) as usize
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
        let live = LIVE_OF_ALL.fetch_add(bytes, Relaxed) + bytes;
        PEAK_OF_ALL.fetch_max(live, Relaxed);
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
            LIVE_OF_ALL.fetch_sub(layout.size() as isize, Relaxed);
            System.dealloc(start, whole);
        }
    }
}
