//! What a token may say: finite scalar quantization (FSQ) or a small Gaussian (VAE).

use crate::error::EngineError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The two bottlenecks of the paper. Released were levels 8, 8, 8, 5, 5, 5 (64 000 codes) and a Gaussian of 8
/// dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Bottleneck {
    /// Each dimension is rounded to one of its levels: a token is one of ∏ levels codes (Mentzer et al. 2023).
    Fsq {
        /// Levels of each dimension, 2 to 256; their product is at most 2³¹.
        levels: Vec<usize>,
    },
    /// A token is a Gaussian of `dim` dimensions (Kingma & Welling 2014); its mean at inference.
    Vae {
        /// Dimensions, 1 to 65536.
        dim: usize,
    },
}

impl Bottleneck {
    /// Values the encoder hands to the bottleneck, for one token: FSQ one a level, VAE mean | log-variance.
    pub fn input_width(&self) -> usize {
        match self {
            Self::Fsq { levels } => levels.len(),
            Self::Vae { dim } => 2 * dim,
        }
    }

    /// Values the bottleneck hands to the decoder, for one token: one a level, or one a dimension.
    pub fn output_width(&self) -> usize {
        match self {
            Self::Fsq { levels } => levels.len(),
            Self::Vae { dim } => *dim,
        }
    }

    /// How many different tokens there are, ∏ levels; none for a VAE.
    pub fn codebook_size(&self) -> Option<u64> {
        match self {
            Self::Fsq { levels } => Some(levels.iter().fold(1, |size: u64, level| size.saturating_mul(*level as u64))),
            Self::Vae { .. } => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match self {
            Self::Fsq { levels } if levels.is_empty() || levels.iter().any(|level| !(2..=256).contains(level)) => {
                Err(EngineError::config("model.fsq_levels", format!("{levels:?}"), "need levels of 2 to 256 each"))
            }
            Self::Fsq { .. } if self.codebook_size().is_some_and(|size| size > 1 << 31) => Err(EngineError::config(
                "model.fsq_levels",
                format!("{self:?}"),
                "the codebook must have at most 2³¹ codes",
            )),
            Self::Vae { dim } if !(1..=1 << 16).contains(dim) => {
                Err(EngineError::config("model.vae_dim", dim, "need 1 to 65536 dimensions"))
            }
            _ => Ok(()),
        }
    }
}

/// Finite scalar quantization (Mentzer et al. 2023) with the reference's half-step shift for even levels.
///
/// z is bounded to tanh(z + shift)·half − offset and rounded half to even; a code is the rounded value over ⌊L/2⌋. For
/// L levels half = (L − 1)·(1 − 10⁻³)/2; offset is ½ for even L, else 0; shift = tan(offset / half), where Mentzer et
/// al. have atanh: the reference's slip, which trained weights depend on.
///
/// `dim` counts the dimensions from 0; one that is not there is a panic.
#[derive(Clone, Debug)]
pub struct Fsq {
    levels: Arc<[Level]>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    count: usize,
    half: f32,
    offset: f32,
    shift: f32,
    half_width: f32,
}

impl Fsq {
    /// One dimension for each number of levels, at least 2 each.
    pub fn new(levels: &[usize]) -> Self {
        let level = |count: usize| {
            let half = ((count - 1) as f64 * (1.0 - 1e-3) / 2.0) as f32;
            let offset = if count % 2 == 1 { 0.0 } else { 0.5 };
            // tan, not atanh: the reference's slip, which trained weights depend on.
            Level { count, half, offset, shift: (offset / half).tan(), half_width: (count / 2) as f32 }
        };
        Self { levels: levels.iter().map(|count| level(*count)).collect() }
    }

    /// How many dimensions a code has.
    pub fn dims(&self) -> usize {
        self.levels.len()
    }

    /// The bounded value before rounding, inside ±half − offset.
    pub fn bound(&self, dim: usize, z: f32) -> f32 {
        let level = self.levels[dim];
        (z + level.shift).tanh() * level.half - level.offset
    }

    /// The code's value in this dimension, in [−1, 1].
    pub fn code(&self, dim: usize, z: f32) -> f32 {
        self.bound(dim, z).round_ties_even() / self.levels[dim].half_width
    }

    /// d code / d z, rounding taken as the identity (straight-through; Bengio et al. 2013).
    pub fn slope(&self, dim: usize, z: f32) -> f32 {
        let level = self.levels[dim];
        let tanh = (z + level.shift).tanh();
        (1.0 - tanh * tanh) * level.half / level.half_width
    }

    /// The number, below ∏ levels, of a code of one value a dimension: mixed radix, first dimension fastest.
    pub fn index(&self, code: &[f32]) -> u32 {
        let digits = code.iter().zip(self.levels.iter()).rev();
        digits.fold(0, |index, (value, level)| {
            index * level.count as u32 + (value * level.half_width + level.half_width).round() as u32
        })
    }

    /// The level of each dimension, counted from 0, of the code with this number.
    pub fn digits(&self, index: u32) -> impl Iterator<Item = usize> {
        self.levels.iter().scan(index as usize, |rest, level| {
            let digit = *rest % level.count;
            *rest /= level.count;
            Some(digit)
        })
    }

    /// The code of a number below the codebook's size: one value in [−1, 1] a dimension.
    pub fn code_of(&self, index: u32) -> Vec<f32> {
        let digits = self.digits(index).zip(self.levels.iter());
        digits.map(|(digit, level)| (digit as f32 - level.half_width) / level.half_width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_names_one_code_and_back() {
        for levels in [&[8, 8, 8, 5, 5, 5][..], &[2, 3, 4, 16], &[7, 5, 5]] {
            let fsq = Fsq::new(levels);
            let size = levels.iter().product::<usize>() as u32;
            assert!((0..size).all(|index| fsq.index(&fsq.code_of(index)) == index));
        }
    }

    #[test]
    fn quantizing_reaches_every_level_and_no_other() {
        for count in 2..=16 {
            let fsq = Fsq::new(&[count]);
            let mut seen: Vec<u32> = (-4000..4000).map(|i| fsq.index(&[fsq.code(0, i as f32 / 500.0)])).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, (0..count as u32).collect::<Vec<_>>(), "{count} levels");
        }
    }
}
