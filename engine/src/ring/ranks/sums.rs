//! Gradients of all ranks added up while they are still at work.
//!
//! Each weight's gradient is cut into one chunk a rank. A rank gets everybody's part of its chunk, adds them in the order
//! of the ranks, and gives the sum to all others: each number is sent and added once, and the sum depends on the mesh,
//! not on who was faster. A thread of its own waits and adds, so that the backward pass goes on with the layer before.

use super::{Channel, Load, Post, Ranks};
use crate::kernel::rows;
use crate::ring::RingError;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

/// One sum for each weight that is brought. All ranks bring the same weights, in the same order.
pub(crate) struct RankSums {
    adder: Adder,
    brought: mpsc::Sender<Part>,
    thread: JoinHandle<Result<Vec<Part>, RingError>>,
}

/// A rank's part of a weight's gradient, or the sum of all parts.
struct Part {
    weight: usize,
    numbers: Vec<f32>,
}

impl RankSums {
    /// Begins to add.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(crate) fn begin(ranks: &Ranks) -> std::io::Result<Self> {
        let adder = Adder { post: ranks.post.clone() };
        let (brought, parts) = mpsc::channel::<Part>();
        let of_thread = adder.clone();
        // It ends when nothing more is brought, or with everything else when a rank was lost.
        let add_all = move || parts.into_iter().map(|part| of_thread.add_own_chunk(part)).collect();
        let thread = std::thread::Builder::new().name("sums".to_owned()).spawn(add_all)?;
        Ok(Self { adder, brought, thread })
    }

    /// Brings this rank's part of a weight's gradient.
    pub(crate) fn add(&self, weight: usize, numbers: Vec<f32>) {
        self.adder.send_chunks(&numbers);
        // The thread is gone if a rank was lost, which finishing tells.
        let _ = self.brought.send(Part { weight, numbers });
    }

    /// The sums of so many weights, weight after weight.
    ///
    /// # Errors
    /// If a rank was lost.
    ///
    /// # Panics
    /// If a weight was not brought.
    pub(crate) fn finish(self, weights: usize) -> Result<Vec<Vec<f32>>, RingError> {
        let Self { adder, brought, thread } = self;
        drop(brought);
        let parts = thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))?;
        let mut sums = vec![None; weights];
        for Part { weight, numbers } in parts {
            sums[weight] = Some(adder.gather(numbers)?);
        }
        Ok(sums.into_iter().map(|sum| sum.expect("every weight is brought")).collect())
    }
}

#[derive(Clone)]
struct Adder {
    post: Arc<dyn Post>,
}

impl Adder {
    /// The chunk of so many numbers that a rank adds.
    fn chunk(&self, rank: usize, numbers: usize) -> Range<usize> {
        let ranks = self.post.size();
        rank * numbers / ranks..(rank + 1) * numbers / ranks
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        (0..self.post.size()).filter(|rank| *rank != self.post.rank())
    }

    fn send_chunks(&self, part: &[f32]) {
        for rank in self.others() {
            let chunk = part[self.chunk(rank, part.len())].to_vec();
            self.post.send(rank, Channel::Parts, Load::Numbers(chunk));
        }
    }

    /// Adds everybody's part of the chunk of this rank, and tells the others the sum.
    fn add_own_chunk(&self, mut part: Part) -> Result<Part, RingError> {
        let range = self.chunk(self.post.rank(), part.numbers.len());
        let own = &mut part.numbers[range];
        let part_of = |rank| match rank == self.post.rank() {
            true => Ok(own.to_vec()),
            false => Ok(self.post.receive(rank, Channel::Parts)?.into_numbers()),
        };
        let mut sum = part_of(0)?;
        for rank in 1..self.post.size() {
            rows::add(&mut sum, &part_of(rank)?);
        }
        own.copy_from_slice(&sum);
        let packet = Arc::new(vec![sum]);
        self.others().for_each(|rank| self.post.send(rank, Channel::Sums, Load::Part(packet.clone(), 0)));
        Ok(part)
    }

    /// Puts the sums that the others found beside its own.
    fn gather(&self, mut sum: Vec<f32>) -> Result<Vec<f32>, RingError> {
        for rank in self.others() {
            let range = self.chunk(rank, sum.len());
            sum[range].copy_from_slice(&self.post.receive(rank, Channel::Sums)?.into_numbers());
        }
        Ok(sum)
    }
}
