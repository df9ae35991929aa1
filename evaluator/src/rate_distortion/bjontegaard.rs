//! One number for two curves: how much rate does one save at equal quality, or how much quality does it add?
//!
//! Bjøntegaard, «Calculation of average PSNR differences between RD-curves» (VCEG-M33, 2001): the mean distance of the
//! curves over the interval that both cover, with the logarithm of the rate so that every octave weighs alike. Between
//! the points we interpolate with [`Pchip`], as later practice does, not with his single cubic, which oscillates.
//!
//! Nothing is extrapolated. The number speaks for the common interval only, so that interval and its share of all that
//! the curves cover belong beside it.
use super::{Pchip, Point, RateDistortionError, RateQualityCurve};

/// How much rate a curve needs for the quality of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BdRate {
    /// Mean difference of rate at equal quality, in per cent of the anchor's: −20 saves a fifth.
    pub rate_percent: f64,
    /// The common interval of quality, in its unit.
    pub overlap: Overlap,
}

/// How much quality a curve reaches for the rate of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BdPsnr {
    /// Mean difference of quality at equal rate, in its unit, dB for PSNR; positive is better than the anchor.
    pub quality_difference: f64,
    /// The common interval of rate, in its unit; shares are those of its logarithm.
    pub overlap: Overlap,
}

/// What two curves both cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Its length as a share of the interval that the two curves cover together, 0 to 1. Below about a half, the number
    /// says little of the curves as a whole.
    pub share_of_union: f64,
    /// Points of the anchor that were dropped before (see [`RateQualityCurve::dropped`]).
    pub dropped_of_anchor: usize,
    /// Points of the compared curve that were dropped before.
    pub dropped_of_compared: usize,
}

/// The mean difference of rate between a curve and an anchor, at equal quality.
///
/// # Errors
/// [`RateDistortionError::NoOverlap`] if they share no interval of quality.
pub fn bd_rate(anchor: &RateQualityCurve, compared: &RateQualityCurve) -> Result<BdRate, RateDistortionError> {
    let axis = Axis { name: "quality", unit: |quality| quality, knot: |point| (point.quality, point.rate.ln()) };
    let (difference, overlap) = axis.mean_difference(anchor, compared)?;
    Ok(BdRate { rate_percent: 100.0 * difference.exp_m1(), overlap })
}

/// The mean difference of quality between a curve and an anchor, at equal rate.
///
/// # Errors
/// [`RateDistortionError::NoOverlap`] if they share no interval of rate.
pub fn bd_psnr(anchor: &RateQualityCurve, compared: &RateQualityCurve) -> Result<BdPsnr, RateDistortionError> {
    let axis = Axis { name: "rate", unit: f64::exp, knot: |point| (point.rate.ln(), point.quality) };
    let (quality_difference, overlap) = axis.mean_difference(anchor, compared)?;
    Ok(BdPsnr { quality_difference, overlap })
}

/// What two curves are held equal in.
struct Axis {
    name: &'static str,
    /// From where it is integrated to where people read it.
    unit: fn(f64) -> f64,
    /// A point as (what is held equal, what differs).
    knot: fn(&Point) -> (f64, f64),
}

impl Axis {
    /// Mean of compared − anchor over the interval that both cover.
    fn mean_difference(
        &self,
        anchor: &RateQualityCurve,
        compared: &RateQualityCurve,
    ) -> Result<(f64, Overlap), RateDistortionError> {
        let [left, right] = [anchor, compared].map(|curve| Pchip::new(curve.points().iter().map(self.knot).collect()));
        let (left_covers, right_covers) = (left.domain(), right.domain());
        let (low, high) = (left_covers.0.max(right_covers.0), left_covers.1.min(right_covers.1));
        if low >= high {
            let read = |(low, high): (f64, f64)| ((self.unit)(low), (self.unit)(high));
            return Err(RateDistortionError::NoOverlap {
                axis: self.name,
                anchor: read(left_covers),
                compared: read(right_covers),
            });
        }
        let union = left_covers.1.max(right_covers.1) - left_covers.0.min(right_covers.0);
        let overlap = Overlap {
            low: (self.unit)(low),
            high: (self.unit)(high),
            share_of_union: (high - low) / union,
            dropped_of_anchor: anchor.dropped(),
            dropped_of_compared: compared.dropped(),
        };
        Ok(((right.integral(low, high) - left.integral(low, high)) / (high - low), overlap))
    }
}
