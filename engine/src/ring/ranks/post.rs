//! Letters between processes.

use crate::ring::{Packet, RingError};

/// What carries letters between ranks. Between two ranks letters of one channel arrive in the order in which they were
/// sent; sending begins at once, what arrives is taken in whether or not somebody waits for it, and both go on behind
/// the computation.
pub trait Post: Send + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Begins to send to another rank. Whether it arrives is told by what is waited for next.
    fn send(&self, to: usize, channel: Channel, load: Load);

    /// Waits for the next letter of another rank.
    ///
    /// # Errors
    /// If a rank was lost.
    fn receive(&self, from: usize, channel: Channel) -> Result<Load, RingError>;

    /// The next letter of another rank, if it is here.
    ///
    /// # Errors
    /// If it is not, and a rank was lost.
    fn receive_now(&self, from: usize, channel: Channel) -> Result<Option<Load>, RingError>;
}

/// What letters are about; each channel has an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Keys and values, and their gradients, on their way around a ring.
    Ring,
    /// Parts of gradients, to whoever adds them.
    Parts,
    /// Sums of gradients, from whoever added them.
    Sums,
    /// Numbers that rank 0 gives to all.
    Shared,
    /// What ranks tell each other, as MessagePack.
    Words,
    /// That a rank cannot go on: a [`RingError`] as MessagePack.
    Failure,
    /// That a rank is there, without a load.
    Alive,
}

impl Channel {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Ring, Self::Parts, Self::Sums, Self::Shared, Self::Words, Self::Failure, Self::Alive];

    /// Whether its loads are numbers.
    pub fn has_numbers(self) -> bool {
        matches!(self, Self::Ring | Self::Parts | Self::Sums | Self::Shared)
    }
}

/// What is in a letter.
#[derive(Debug)]
pub enum Load {
    /// Numbers.
    Numbers(Vec<f32>),
    /// A part of a packet that others may use meanwhile.
    Part(Packet, usize),
    /// Bytes of MessagePack.
    Words(Vec<u8>),
}

impl Load {
    /// As bytes of this machine.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Numbers(numbers) => bytemuck::cast_slice(numbers),
            Self::Part(packet, part) => bytemuck::cast_slice(&packet[*part]),
            Self::Words(words) => words,
        }
    }

    /// The numbers in it.
    ///
    /// # Panics
    /// If it is words.
    pub fn into_numbers(self) -> Vec<f32> {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Part(packet, part) => packet[part].clone(),
            Self::Words(_) => panic!("words where numbers were expected"),
        }
    }
}
