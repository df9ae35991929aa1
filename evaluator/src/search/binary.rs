//! Halves the range: few evaluations, one after another; exact where distortion falls.
//!
//! What makes it right on any curve is its invariant: the answer is always the last count *seen* to meet the
//! threshold, never the last one tried. (The released ElasticTok code returns the last one tried, which misses the
//! threshold about every other time, and never tries the minimum.)
use engine::TokenRange;

use super::{Form, Found, Probe, SearchError, SearchStrategy, meets, parse::no_arguments};

pub(super) const FORM: Form = Form {
    syntax: "binary",
    example: "binary",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(Binary))
    },
};

/// Bisection, at most `floor(log2(len)) + 1` evaluations for a range of `len` counts.
#[derive(Clone, Copy, Debug)]
pub struct Binary;

impl SearchStrategy for Binary {
    fn name(&self) -> String {
        "binary".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        "The smallest count that meets the threshold where distortion falls; on any curve a count seen to meet it, \
         the smallest of those tried, and all tokens only if even they miss it."
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        range.len().ilog2() as usize + 1
    }

    fn search(&self, threshold: f64, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        // Open are `low..high`. `low - 1` is below the range or was seen to miss; `high` is above it or seen to meet.
        let (mut low, mut high) = (range.min(), range.max() + 1);
        while low < high {
            let middle = low.midpoint(high);
            if meets(probe.distortion(middle)?, threshold) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(if range.contains(high) { Found::meeting(high) } else { Found::nothing_meets(range) })
    }
}
