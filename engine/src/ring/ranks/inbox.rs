//! What has arrived at a rank and was not taken yet.

use super::{Channel, Load};
use crate::ring::RingError;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Letters by sender and channel, for those who write a [`Post`](super::Post).
pub struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// By sender, then by channel.
    letters: Vec<[VecDeque<Load>; Channel::ALL.len()]>,
    /// Who waits for a letter that is not here yet.
    waiting: usize,
    /// The first rank that was lost: nobody goes on without it.
    lost: Option<RingError>,
}

impl Inbox {
    /// For letters of so many ranks.
    pub fn new(ranks: usize) -> Self {
        let letters = std::iter::repeat_with(Default::default).take(ranks).collect();
        Self { state: Mutex::new(State { letters, waiting: 0, lost: None }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A letter has arrived.
    pub fn put(&self, from: usize, channel: Channel, load: Load) {
        match channel {
            Channel::Alive => {}
            Channel::Failure => {
                let lost = rmp_serde::from_slice(load.bytes());
                let end = "failed without a readable reason".to_owned();
                let workers = self.ranks();
                self.lose(lost.unwrap_or(RingError { worker: from, workers, end, is_refusal: false }));
            }
            _ => {
                self.lock().letters[from][channel as usize].push_back(load);
                self.changed.notify_all();
            }
        }
    }

    fn ranks(&self) -> usize {
        self.lock().letters.len()
    }

    /// Waits for a letter; once a rank was lost, what is here is still given, and nothing more is waited for. So whoever
    /// fails for a reason that all will find, after it told the others all they need, lets each find it.
    ///
    /// # Errors
    /// If a rank was lost.
    pub fn take(&self, from: usize, channel: Channel) -> Result<Load, RingError> {
        let mut state = self.lock();
        loop {
            if let Some(load) = state.letters[from][channel as usize].pop_front() {
                return Ok(load);
            }
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// As [`take`](Self::take), without waiting.
    ///
    /// # Errors
    /// If the letter is not here, and a rank was lost.
    pub fn take_now(&self, from: usize, channel: Channel) -> Result<Option<Load>, RingError> {
        let mut state = self.lock();
        match (state.letters[from][channel as usize].pop_front(), &state.lost) {
            (None, Some(lost)) => Err(lost.clone()),
            (load, _) => Ok(load),
        }
    }

    /// A rank was lost: everybody who waits learns it. The first one counts.
    pub fn lose(&self, lost: RingError) {
        self.lock().lost.get_or_insert(lost);
        self.changed.notify_all();
    }

    /// Whether somebody waits for a letter.
    pub fn is_awaited(&self) -> bool {
        self.lock().waiting > 0
    }
}
