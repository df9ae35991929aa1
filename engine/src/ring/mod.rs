//! Sequences longer than one worker holds: how they are cut, and how workers pass around what attention needs of the
//! others' parts (ring attention: Liu et al. 2023, arXiv 2310.01889).
//!
//! A [`Mesh`] of data × sequence workers trains one model. Whole sequences are dealt to the data groups; inside a group
//! each sequence is cut by [`Slices`], and every worker has some of its rows. All that works on rows alone (norms, linear
//! maps, losses) needs no other worker. Attention does: [`ring_attention`](crate::ops::ring_attention) passes keys and
//! values to the next worker while it computes with those it has. It needs a [`Ring`]: three calls, none of which knows
//! attention. [`Workers`] are threads of this process; [`Trainer::with_mesh`](crate::train::Trainer::with_mesh) makes them
//! for training, [`SharedSequences`](crate::SharedSequences) for encoding and decoding. Or workers are [`ranks`], processes
//! that may be on several machines.
//!
//! Results do not depend on timing: what arrives is used in an order that the mesh alone decides.

mod error;
mod mesh;
pub mod ranks;
mod slices;
mod sums;
mod threads;
mod trace;

pub use error::{MeshSyntaxError, RingError};
pub use mesh::{Mesh, Place, Workers};
pub use slices::{Journey, Rows, Slices};
pub use sums::Sums;
pub use trace::{StepTrace, Trace};

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Numbers on their way, in parts of one length: one a head. Whoever passes them on unchanged shares them.
pub type Packet = Arc<Vec<Vec<f32>>>;

/// A worker's place in a ring, and how it reaches its neighbours: packets go to the next worker and come from the one
/// before, in the order in which they were sent.
///
/// Sending and receiving begin at once and go on behind the computation; only [`wait`](Self::wait) waits. A worker that
/// is lost (it panicked, its process died) lets every call of the others fail, so that nobody waits for ever.
pub trait Ring {
    /// Which worker this is, from 0.
    fn rank(&self) -> usize;

    /// How many workers there are.
    fn size(&self) -> usize;

    /// Begins to send to the next worker, `(rank + 1) % size`.
    ///
    /// # Errors
    /// If a worker was lost.
    fn send(&self, packet: Packet) -> Result<(), RingError>;

    /// Begins to receive the next packet of the worker before, which has so many parts of so many numbers each.
    ///
    /// # Errors
    /// If a worker was lost.
    fn receive(&self, parts: usize, numbers: usize) -> Result<(), RingError>;

    /// Waits for the packet whose [`receive`](Self::receive) began first.
    ///
    /// # Errors
    /// If a worker was lost.
    ///
    /// # Panics
    /// If nothing is being received, or the packet is of another size than was said.
    fn wait(&self) -> Result<Packet, RingError>;
}

/// A ring of one worker: it has nobody to send to.
struct Alone;

impl Ring for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn send(&self, _: Packet) -> Result<(), RingError> {
        unreachable!("a worker alone has every key")
    }

    fn receive(&self, _: usize, _: usize) -> Result<(), RingError> {
        unreachable!("a worker alone has every key")
    }

    fn wait(&self) -> Result<Packet, RingError> {
        unreachable!("a worker alone has every key")
    }
}

/// What a worker needs to attend together with those that have the other parts of its sequences.
#[derive(Clone)]
pub struct SequenceRing {
    /// Its neighbours.
    pub ring: Rc<dyn Ring>,
    /// Who has which tokens of every sequence.
    pub slices: Slices,
    /// What is written down of every step, if anything is.
    pub trace: Option<Rc<RefCell<Trace>>>,
}

impl SequenceRing {
    /// One worker that has all `tokens` tokens of every sequence.
    pub fn alone(tokens: usize) -> Self {
        Self { ring: Rc::new(Alone), slices: Slices::whole(tokens), trace: None }
    }
}
