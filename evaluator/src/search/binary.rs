//! Halves the range: few evaluations, one after another; exact where distortion falls.
//!
//! What makes it right on any curve is its invariant: the answer is always the last count *seen* to meet the
//! threshold, never the last one tried. (The released ElasticTok code returns the last one tried, which misses the
//! threshold about every other time, and never tries the minimum.)
use engine::TokenRange;

use super::bracket::Bracket;
use super::parse::no_arguments;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy};

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

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let mut bracket = Bracket::new(probe.range());
        while let Some((low, high)) = bracket.open() {
            // Rounded up, so that a range of two asks its larger count first: if even that misses, nothing is left.
            bracket.ask(low.midpoint(high + 1), question.threshold, probe)?;
        }
        Ok(bracket.found())
    }
}
