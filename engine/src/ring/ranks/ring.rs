//! A ring of ranks: packets travel part by part, so that none is copied to be sent.

use super::{Channel, Load, Post};
use crate::ring::{Packet, Place, Ring, RingError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// One rank's end of the ring of its group.
pub(super) struct RankRing {
    post: Arc<dyn Post>,
    place: Place,
    /// Parts, and numbers in each, of the packets that are being received.
    expected: RefCell<VecDeque<(usize, usize)>>,
}

impl RankRing {
    pub(super) fn new(post: Arc<dyn Post>, place: Place) -> Self {
        Self { post, place, expected: RefCell::default() }
    }

    /// The rank so many places further in its group.
    fn neighbour(&self, further: usize) -> usize {
        let Place { group, rank, .. } = self.place;
        group * self.size() + (rank + further) % self.size()
    }
}

impl Ring for RankRing {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn size(&self) -> usize {
        self.place.mesh.sequence
    }

    fn send(&self, packet: Packet) -> Result<(), RingError> {
        let next = self.neighbour(1);
        (0..packet.len()).for_each(|part| self.post.send(next, Channel::Ring, Load::Part(packet.clone(), part)));
        Ok(())
    }

    fn receive(&self, parts: usize, numbers: usize) -> Result<(), RingError> {
        self.expected.borrow_mut().push_back((parts, numbers));
        Ok(())
    }

    fn wait(&self) -> Result<Packet, RingError> {
        let (parts, numbers) = self.expected.borrow_mut().pop_front().expect("a packet is being received");
        let before = self.neighbour(self.size() - 1);
        let part = |_| Ok(self.post.receive(before, Channel::Ring)?.into_numbers());
        let packet = (0..parts).map(part).collect::<Result<Vec<_>, _>>()?;
        let is_expected = packet.iter().all(|part| part.len() == numbers);
        assert!(is_expected, "the worker before sent a packet of another size");
        Ok(Arc::new(packet))
    }
}
