//! Why two curves cannot be compared.

/// What is wrong with the points of a curve, or with a pair of curves.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RateDistortionError {
    /// A logarithm needs a positive rate, an integral a finite quality.
    #[error(
        "a point of the curve has rate {rate} and quality {quality}: rates must be positive and both finite; leave out \
         lossless points"
    )]
    BadPoint {
        /// Its rate.
        rate: f64,
        /// Its quality.
        quality: f64,
    },
    /// Too little is left to draw a line through.
    #[error(
        "{kept} of the curve's {points} points buy quality with rate, and a curve needs two: measure at more rates"
    )]
    TooFewPoints {
        /// Points given.
        points: usize,
        /// Points that no other dominates.
        kept: usize,
    },
    /// The curves have nothing in common.
    #[error(
        "the curves share no interval of {axis}: one covers {} to {}, the other {} to {}; measure where they meet",
        .anchor.0, .anchor.1, .compared.0, .compared.1
    )]
    NoOverlap {
        /// What they do not share: `quality` or `rate`.
        axis: &'static str,
        /// First and last value of the anchor.
        anchor: (f64, f64),
        /// First and last value of the curve compared with it.
        compared: (f64, f64),
    },
}
