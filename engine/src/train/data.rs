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

/// Where training sequences come from: a pure function of their number.
pub trait TrainingData: Send + Sync + 'static {
    /// Blocks in each sequence.
    fn blocks_per_sequence(&self) -> usize;
    /// The `number`-th sequence.
    ///
    /// # Errors
    /// Of a file that cannot be read.
    fn sequence(&self, number: u64) -> Result<Sequence, EngineError>;
}

/// Sequences in order, of which the next few are made while the caller is busy.
pub(super) struct RunAhead {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    waited: Duration,
}

struct Shared {
    data: Box<dyn TrainingData>,
    /// At most this many sequences wait to be taken.
    ahead: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
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
    pub(super) fn new(data: impl TrainingData, ahead: usize) -> Self {
        let (state, changed) = Default::default();
        let shared = Arc::new(Shared { data: Box::new(data), ahead: ahead.max(1) as u64, state, changed });
        Self { shared, workers: Vec::new(), waited: Duration::ZERO }
    }

    pub(super) fn blocks_per_sequence(&self) -> usize {
        self.shared.data.blocks_per_sequence()
    }

    /// How long callers waited for sequences, in all.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// The `number`-th sequence; to ask for another than the next throws away what was made ahead.
    pub(super) fn take(&mut self, number: u64) -> Result<Sequence, EngineError> {
        let began = Instant::now();
        let mut state = self.shared.lock();
        if state.wanted != number {
            state.ready.clear();
            (state.wanted, state.unclaimed) = (number, number);
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
            while !state.is_over && state.unclaimed >= state.wanted + self.ahead {
                state = self.wait(state);
            }
            if state.is_over {
                return;
            }
            let number = state.unclaimed;
            state.unclaimed += 1;
            drop(state);
            let sequence = self.data.sequence(number);
            let mut state = self.lock();
            // Asked for before the caller jumped elsewhere?
            if (state.wanted..state.unclaimed).contains(&number) {
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

    impl TrainingData for Numbers {
        fn blocks_per_sequence(&self) -> usize {
            1
        }

        fn sequence(&self, number: u64) -> Result<Sequence, EngineError> {
            if number.is_multiple_of(5) {
                std::thread::sleep(Duration::from_millis(3));
            }
            match number {
                13 => Err(EngineError::config("number", number, "is unlucky")),
                99 => panic!("number 99"),
                _ => Ok(Sequence { frames: number.to_le_bytes().to_vec(), segments: vec![0] }),
            }
        }
    }

    fn number(sequence: Result<Sequence, EngineError>) -> Option<u64> {
        sequence.ok().map(|sequence| u64::from_le_bytes(sequence.frames.try_into().unwrap()))
    }

    #[test]
    fn sequences_come_in_order_also_after_a_jump_and_an_unreadable_one_is_told() {
        let mut ahead = RunAhead::new(Numbers, 4);
        let taken: Vec<_> = (0..12).map(|n| number(ahead.take(n))).collect();
        assert_eq!(taken, (0..12).map(Some).collect::<Vec<_>>());
        assert_eq!([50, 51, 3].map(|n| number(ahead.take(n))), [Some(50), Some(51), Some(3)]);
        assert_eq!([12, 13, 14].map(|n| number(ahead.take(n))), [Some(12), None, Some(14)]);
        assert!(ahead.waited() > Duration::ZERO);
    }

    #[test]
    fn workers_that_made_all_they_may_are_woken_by_a_jump() {
        let mut ahead = RunAhead::new(Numbers, 4);
        for n in [1, 50, 3] {
            assert_eq!(number(ahead.take(n)), Some(n));
            while ahead.shared.lock().ready.len() < 4 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    #[should_panic(expected = "a thread that reads training data panicked")]
    fn a_panic_of_a_worker_reaches_the_caller() {
        let _ = RunAhead::new(Numbers, 4).take(99);
    }

    #[test]
    fn no_more_is_made_than_was_asked_for_ahead() {
        let mut ahead = RunAhead::new(Numbers, 4);
        let _ = ahead.take(1);
        std::thread::sleep(Duration::from_millis(50));
        let made: Vec<u64> = ahead.shared.lock().ready.keys().copied().collect();
        assert_eq!(made, [2, 3, 4, 5]);
    }
}
