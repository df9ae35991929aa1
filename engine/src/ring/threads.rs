//! Workers as threads of this process: packets are handed over, not copied.

use super::{Packet, Ring, RingError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where the workers of a mesh meet, numbered through all its rings.
pub(super) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What was sent to each worker and not taken yet.
    inboxes: Vec<VecDeque<Packet>>,
    /// Which workers have ended, well or not.
    ended: Vec<bool>,
    /// The first that was missed: nobody goes on without it.
    lost: Option<RingError>,
}

impl Meeting {
    pub(super) fn new(workers: usize) -> Self {
        let state = State { inboxes: vec![VecDeque::new(); workers], ended: vec![false; workers], lost: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A worker is missed by others: they all end, and say why.
    fn lose(&mut self, worker: usize, end: &str) -> RingError {
        let workers = self.ended.len();
        let lost = || RingError { worker, workers, end: end.to_owned(), is_refusal: false };
        self.lost.get_or_insert_with(lost).clone()
    }
}

/// One worker's end of a ring of threads. Dropped, it counts as ended: those that still wait for it fail.
pub(super) struct ThreadRing {
    meeting: Arc<Meeting>,
    /// The workers of this ring.
    members: Range<usize>,
    rank: usize,
    /// Parts, and numbers in each, of the packets that are being received.
    expected: RefCell<VecDeque<(usize, usize)>>,
}

impl ThreadRing {
    pub(super) fn new(meeting: Arc<Meeting>, members: Range<usize>, rank: usize) -> Self {
        Self { meeting, members, rank, expected: RefCell::default() }
    }

    /// The number in the meeting of the worker so many places further.
    fn member(&self, further: usize) -> usize {
        self.members.start + (self.rank + further) % self.members.len()
    }
}

impl Ring for ThreadRing {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.members.len()
    }

    fn send(&self, packet: Packet) -> Result<(), RingError> {
        let mut state = self.meeting.lock();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        state.inboxes[self.member(1)].push_back(packet);
        drop(state);
        self.meeting.changed.notify_all();
        Ok(())
    }

    fn receive(&self, parts: usize, numbers: usize) -> Result<(), RingError> {
        self.expected.borrow_mut().push_back((parts, numbers));
        self.meeting.lock().lost.clone().map_or(Ok(()), Err)
    }

    fn wait(&self) -> Result<Packet, RingError> {
        let (parts, numbers) = self.expected.borrow_mut().pop_front().expect("a packet is being received");
        let (own, before) = (self.member(0), self.member(self.size() - 1));
        let mut state = self.meeting.lock();
        let packet = loop {
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            if let Some(packet) = state.inboxes[own].pop_front() {
                break packet;
            }
            if state.ended[before] {
                let lost = state.lose(before, "left while others still waited for it");
                drop(state);
                self.meeting.changed.notify_all();
                return Err(lost);
            }
            state = self.meeting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let is_expected = packet.len() == parts && packet.iter().all(|part| part.len() == numbers);
        assert!(is_expected, "the worker before sent a packet of another size");
        Ok(packet)
    }
}

impl Drop for ThreadRing {
    fn drop(&mut self) {
        let own = self.member(0);
        let mut state = self.meeting.lock();
        state.ended[own] = true;
        if std::thread::panicking() {
            state.lose(own, "panicked");
        }
        drop(state);
        self.meeting.changed.notify_all();
    }
}
