//! Keeps a given number of tokens: the paper's other way to ask, by length instead of by quality.
use engine::TokenRange;

use super::parse::one_argument;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy};

pub(super) const FORM: Form = Form {
    syntax: "target-length(n)",
    example: "target-length(16)",
    build: |arguments| match one_argument(arguments, "a whole number of tokens")? {
        0 => Err("it must keep at least 1 token".to_owned()),
        tokens => Ok(Box::new(TargetLength { tokens })),
    },
};

/// The same count for every block, as near to the target as the range allows.
#[derive(Clone, Copy, Debug)]
pub struct TargetLength {
    tokens: usize,
}

impl SearchStrategy for TargetLength {
    fn name(&self) -> String {
        format!("target-length({})", self.tokens)
    }

    fn guarantee(&self) -> &'static str {
        "The target length for every block, without looking at it: whether it meets a threshold is unknown until the \
         final reconstruction."
    }

    fn needs_threshold(&self) -> bool {
        false
    }

    fn most_evaluations(&self, _range: TokenRange) -> usize {
        0
    }

    fn search(&self, _question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        Ok(Found { kept_tokens: self.tokens.clamp(range.min(), range.max()), met: None })
    }
}
