//! Tries every count: exact on any curve, and the reference for every other strategy.
use engine::TokenRange;

use super::{Form, Found, Probe, Question, SearchError, SearchStrategy, meets, parse::no_arguments};

pub(super) const FORM: Form = Form {
    syntax: "full",
    example: "full",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(Full))
    },
};

/// Every count of the range, as one batch.
#[derive(Clone, Copy, Debug)]
pub struct Full;

impl SearchStrategy for Full {
    fn name(&self) -> String {
        "full".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        "The smallest count that meets the threshold, whatever the curve; all tokens only if none does."
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        range.len()
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        let counts: Vec<usize> = (range.min()..=range.max()).collect();
        let distortions = probe.distortions(&counts)?;
        let smallest = counts.iter().zip(distortions).find(|&(_, distortion)| meets(distortion, question.threshold));
        Ok(smallest.map_or(Found::nothing_meets(range), |(&kept_tokens, _)| Found::meeting(kept_tokens)))
    }
}
