//! Workers that are processes: ranks that share nothing, and know of each other what letters say.
//!
//! A [`Post`] carries letters and knows nothing of what is in them. All else is said once, here, whatever carries it: the
//! ring of keys and values, sums of gradients, what rank 0 tells the others, and that somebody failed. Every rank has
//! all weights, does the same steps, and finds the same sums: added in the order of the ranks, they are those of a mesh
//! of threads to the last bit.

mod inbox;
#[cfg(feature = "mpi")]
pub mod mpi;
mod post;
mod ring;
mod sums;

pub use inbox::Inbox;
pub use post::{Channel, Load, Post};
pub(crate) use sums::RankSums;

use super::mesh::reason;
use super::{Mesh, Place, Ring, RingError};
use crate::error::EngineError;
use crate::parameters::Parameters;
use crate::tensor::{values, values_mut};
use ring::RankRing;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// This process among the ranks of its job; clones are the same rank. All ranks must speak and listen in the same order,
/// from one thread each.
#[derive(Clone)]
pub struct Ranks {
    post: Arc<dyn Post>,
}

impl Ranks {
    /// Ranks whose letters are carried by `post`.
    pub fn new(post: Arc<dyn Post>) -> Self {
        Self { post }
    }

    /// Which rank this is, from 0.
    pub fn rank(&self) -> usize {
        self.post.rank()
    }

    /// How many ranks there are.
    pub fn size(&self) -> usize {
        self.post.size()
    }

    /// All ranks but this one.
    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.rank();
        (0..self.size()).filter(move |rank| *rank != own)
    }

    /// Begins to send words to a rank.
    ///
    /// # Panics
    /// If they cannot be written as MessagePack.
    pub fn tell(&self, to: usize, words: &impl Serialize) {
        let words = rmp_serde::to_vec_named(words).expect("words between ranks are plain data");
        self.post.send(to, Channel::Words, Load::Words(words));
    }

    /// The same to all others.
    ///
    /// # Panics
    /// As [`tell`](Self::tell).
    pub fn tell_all(&self, words: &impl Serialize) {
        self.others().for_each(|rank| self.tell(rank, words));
    }

    /// Waits for the next words of a rank.
    ///
    /// # Errors
    /// If a rank was lost.
    ///
    /// # Panics
    /// If they are something else than was expected.
    pub fn hear<W: DeserializeOwned>(&self, from: usize) -> Result<W, RingError> {
        Ok(understand(&self.post.receive(from, Channel::Words)?))
    }

    /// The next words of a rank, if they are here.
    ///
    /// # Errors
    /// If a rank was lost.
    ///
    /// # Panics
    /// As [`hear`](Self::hear).
    pub fn hear_now<W: DeserializeOwned>(&self, from: usize) -> Result<Option<W>, RingError> {
        Ok(self.post.receive_now(from, Channel::Words)?.as_ref().map(understand))
    }

    /// What every rank says, in their order; all of them must call it.
    ///
    /// # Errors
    /// If a rank was lost.
    pub fn exchange<W: Serialize + DeserializeOwned>(&self, own: W) -> Result<Vec<W>, RingError> {
        self.tell_all(&own);
        let mut own = Some(own);
        let said = |rank| match rank == self.rank() {
            true => Ok(own.take().expect("it is one of the ranks")),
            false => self.hear(rank),
        };
        (0..self.size()).map(said).collect()
    }

    /// Gives all others numbers, which they [`take`](Self::take).
    pub(crate) fn give(&self, numbers: &[f32]) {
        let packet = Arc::new(vec![numbers.to_vec()]);
        self.others().for_each(|rank| self.post.send(rank, Channel::Shared, Load::Part(packet.clone(), 0)));
    }

    /// Waits for as many numbers as rank 0 gives.
    ///
    /// # Errors
    /// If a rank was lost.
    ///
    /// # Panics
    /// If it gives another count of numbers.
    pub(crate) fn take(&self, numbers: &mut [f32]) -> Result<(), RingError> {
        numbers.copy_from_slice(&self.post.receive(0, Channel::Shared)?.into_numbers());
        Ok(())
    }

    /// Gives all others weights, which they [`take`](Self::take_weights).
    pub fn give_weights(&self, of: &impl Parameters) {
        of.visit("", &mut |_, weight| self.give(values(weight)));
    }

    /// Waits for the weights that rank 0 gives.
    ///
    /// # Errors
    /// If a rank was lost.
    ///
    /// # Panics
    /// If it gives others than these.
    pub fn take_weights(&self, of: &mut impl Parameters) -> Result<(), RingError> {
        let mut outcome = Ok(());
        of.visit_mut("", &mut |_, weight| {
            if outcome.is_ok() {
                outcome = self.take(values_mut(weight));
            }
        });
        outcome
    }

    /// Lets this rank do its work as a worker of the mesh; a panic is told to all others, who end with it.
    ///
    /// # Errors
    /// Its own error, [`EngineError::Ring`] if it panicked or another rank was lost.
    ///
    /// # Panics
    /// If the mesh has more or fewer workers than there are ranks.
    pub(crate) fn run<R>(
        &self,
        mesh: Mesh,
        work: impl FnOnce(Place, Rc<dyn Ring>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        assert_eq!(mesh.workers(), self.size(), "one rank for each worker of the mesh");
        let place = mesh.place(self.rank());
        let ring = Rc::new(RankRing::new(self.post.clone(), place));
        catch_unwind(AssertUnwindSafe(|| work(place, ring))).unwrap_or_else(|payload| {
            let lost = reason(self.rank(), self.size(), payload.as_ref());
            if lost.worker == self.rank() {
                self.fail(&lost.end, false);
            }
            Err(lost.into())
        })
    }

    /// Tells all others that this rank cannot go on, and whether because of what it was given: whatever they still wait
    /// for fails. The first failure counts.
    pub fn fail(&self, end: &str, is_refusal: bool) {
        let lost = RingError { worker: self.rank(), workers: self.size(), end: end.to_owned(), is_refusal };
        let words = rmp_serde::to_vec_named(&lost).expect("a failure is plain data");
        self.others().for_each(|rank| self.post.send(rank, Channel::Failure, Load::Words(words.clone())));
    }
}

/// Words as they were meant.
fn understand<W: DeserializeOwned>(load: &Load) -> W {
    rmp_serde::from_slice(load.bytes()).expect("ranks speak and listen in the same order")
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}
