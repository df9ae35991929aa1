//! Training's sequences, made ahead of the model by other threads.
//!
//! Decoding a video, resizing and cropping take longer than a step of a small model; done while the model computes, they
//! cost it nothing. A sequence is a pure function of its number, so that who makes it, and when, changes nothing.

use crate::error::EngineError;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One training sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// 8-bit frames, block after block: (time, row, column, channel), of the size and number that the model's blocks
    /// have.
    pub frames: Vec<u8>,
    /// For each block what it belongs to: blocks see only blocks of their own segment. (The reference packs files
    /// without telling them apart.)
    pub segments: Vec<i32>,
}

impl Sequence {
    /// Whether it holds several things that have nothing to do with one another.
    pub fn is_packed(&self) -> bool {
        self.segments.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Where training sequences come from: a pure function of their number and length.
pub trait TrainingData: Send + Sync + 'static {
    /// Blocks in each sequence, where the run has no stages that say it.
    fn blocks_per_sequence(&self) -> usize;
    /// The `number`-th sequence, of `blocks` blocks.
    ///
    /// # Errors
    /// Of a file that cannot be read.
    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError>;
}

/// Sequences in order, of which the next few are made while the caller is busy.
pub(super) struct RunAhead {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    waited: Duration,
}

struct Shared {
    data: Box<dyn TrainingData>,
    state: Mutex<State>,
    changed: Condvar,
}

/// What sequences are to be made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Blocks of each.
    pub(super) blocks: usize,
    /// At most this many wait to be taken, at least one.
    pub(super) ahead: u64,
}

#[derive(Default)]
struct State {
    wish: Wish,
    ready: BTreeMap<u64, Result<Sequence, EngineError>>,
    /// The first sequence that was not taken yet.
    wanted: u64,
    /// The first sequence that nobody makes yet.
    unclaimed: u64,
    /// The caller is gone.
    is_over: bool,
    /// A worker panicked.
    is_broken: bool,
}

impl RunAhead {
    pub(super) fn new(data: impl TrainingData) -> Self {
        let (state, changed) = Default::default();
        let shared = Arc::new(Shared { data: Box::new(data), state, changed });
        Self { shared, workers: Vec::new(), waited: Duration::ZERO }
    }

    pub(super) fn blocks_per_sequence(&self) -> usize {
        self.shared.data.blocks_per_sequence()
    }

    /// How long callers waited for sequences, in all.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// The `number`-th sequence; to ask for another than the next, or with another wish, throws away what was made ahead.
    pub(super) fn take(&mut self, number: u64, wish: Wish) -> Result<Sequence, EngineError> {
        let began = Instant::now();
        let mut state = self.shared.lock();
        if (state.wanted, state.wish) != (number, wish) {
            state.ready.clear();
            (state.wanted, state.unclaimed, state.wish) = (number, number, wish);
            self.shared.changed.notify_all();
        }
        if self.workers.is_empty() {
            let start = || {
                let shared = self.shared.clone();
                std::thread::spawn(move || shared.work())
            };
            self.workers = std::iter::repeat_with(start).take(worker_count()).collect();
        }
        let sequence = loop {
            if let Some(sequence) = state.ready.remove(&number) {
                break sequence;
            }
            assert!(!state.is_broken, "a thread that reads training data panicked");
            state = self.shared.wait(state);
        };
        state.wanted = number + 1;
        drop(state);
        self.shared.changed.notify_all();
        self.waited += began.elapsed();
        sequence
    }
}

impl Drop for RunAhead {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        self.workers.drain(..).for_each(|worker| drop(worker.join()));
    }
}

/// A quarter of the cores reads, at least one.
fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).max(1))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sequences until the caller is gone.
    fn work(&self) {
        let _alarm = Alarm(self);
        loop {
            let mut state = self.lock();
            while !state.is_over && state.unclaimed >= state.wanted + state.wish.ahead {
                state = self.wait(state);
            }
            if state.is_over {
                return;
            }
            let (number, wish) = (state.unclaimed, state.wish);
            state.unclaimed += 1;
            drop(state);
            let sequence = self.data.sequence(number, wish.blocks);
            let mut state = self.lock();
            // Asked for before the caller jumped elsewhere?
            if wish == state.wish && (state.wanted..state.unclaimed).contains(&number) {
                state.ready.insert(number, sequence);
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

/// Wakes the caller if a worker panics, who would otherwise wait for ever.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_broken = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences that hold their number, slow ones now and then, and one that cannot be read.
    struct Numbers;

    const WISH: Wish = Wish { blocks: 1, ahead: 4 };

    impl TrainingData for Numbers {
        fn blocks_per_sequence(&self) -> usize {
            1
        }

        fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
            if number.is_multiple_of(5) {
                std::thread::sleep(Duration::from_millis(3));
            }
            match number {
                13 => Err(EngineError::config("number", number, "is unlucky")),
                99 => panic!("number 99"),
                _ => Ok(Sequence { frames: number.to_le_bytes().to_vec(), segments: vec![0; blocks] }),
            }
        }
    }

    fn number(sequence: Result<Sequence, EngineError>) -> Option<u64> {
        sequence.ok().map(|sequence| u64::from_le_bytes(sequence.frames.try_into().unwrap()))
    }

    #[test]
    fn sequences_come_in_order_also_after_a_jump_and_an_unreadable_one_is_told() {
        let mut ahead = RunAhead::new(Numbers);
        let taken: Vec<_> = (0..12).map(|n| number(ahead.take(n, WISH))).collect();
        assert_eq!(taken, (0..12).map(Some).collect::<Vec<_>>());
        assert_eq!([50, 51, 3].map(|n| number(ahead.take(n, WISH))), [Some(50), Some(51), Some(3)]);
        assert_eq!([12, 13, 14].map(|n| number(ahead.take(n, WISH))), [Some(12), None, Some(14)]);
        assert!(ahead.waited() > Duration::ZERO);
    }

    #[test]
    fn workers_that_made_all_they_may_are_woken_by_a_jump() {
        let mut ahead = RunAhead::new(Numbers);
        for n in [1, 50, 3] {
            assert_eq!(number(ahead.take(n, WISH)), Some(n));
            while ahead.shared.lock().ready.len() < 4 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_wish_for_other_lengths_reaches_sequences_made_ahead() {
        let mut ahead = RunAhead::new(Numbers);
        let long = Wish { blocks: 3, ahead: 1 };
        let lengths: Vec<usize> = [(1, WISH), (2, WISH), (3, long), (4, long), (6, WISH)]
            .map(|(n, wish)| ahead.take(n, wish).unwrap().segments.len())
            .to_vec();
        assert_eq!(lengths, [1, 1, 3, 3, 1]);
    }

    #[test]
    #[should_panic(expected = "a thread that reads training data panicked")]
    fn a_panic_of_a_worker_reaches_the_caller() {
        let _ = RunAhead::new(Numbers).take(99, WISH);
    }

    #[test]
    fn no_more_is_made_than_was_asked_for_ahead() {
        let mut ahead = RunAhead::new(Numbers);
        let _ = ahead.take(1, WISH);
        std::thread::sleep(Duration::from_millis(50));
        let made: Vec<u64> = ahead.shared.lock().ready.keys().copied().collect();
        assert_eq!(made, [2, 3, 4, 5]);
    }
}
