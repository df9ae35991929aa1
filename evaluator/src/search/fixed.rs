//! Keeps the same share of every block: what a tokenizer that does not adapt would do, the baseline to beat.
use engine::TokenRange;

use super::{Form, Found, Probe, Question, SearchError, SearchStrategy, parse::one_argument};

pub(super) const FORM: Form = Form {
    syntax: "fixed(share)",
    example: "fixed(0.25)",
    build: |arguments| match one_argument(arguments, "a share of all tokens")? {
        share if share > 0.0 && share <= 1.0 => Ok(Box::new(Fixed::new(share))),
        share => Err(format!("the share is {share}, but must be more than 0 and at most 1")),
    },
};

/// A fixed share of all tokens, rounded up, within the range.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    share: f64,
}

impl Fixed {
    /// Keeps `share` of all tokens.
    ///
    /// # Panics
    /// Unless `0 < share <= 1`.
    pub fn new(share: f64) -> Self {
        assert!(share > 0.0 && share <= 1.0, "a share of the tokens is in (0, 1], not {share}");
        Self { share }
    }
}

impl SearchStrategy for Fixed {
    fn name(&self) -> String {
        format!("fixed({})", self.share)
    }

    fn guarantee(&self) -> &'static str {
        "The same count for every block, without looking at it: whether it meets a threshold is unknown until the \
         final reconstruction."
    }

    fn needs_threshold(&self) -> bool {
        false
    }

    fn most_evaluations(&self, _range: TokenRange) -> usize {
        0
    }

    fn search(&self, _question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        Ok(Found { kept_tokens: probe.range().at_share(self.share), met: None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, range};
    use super::*;

    fn kept(share: f64, min: usize, max: usize) -> usize {
        let mut source = Curve(|_| 0.1);
        let mut probe = Probe::new(&mut source, range(min, max));
        let found = Fixed::new(share).search(&Question::new(0.5), &mut probe).unwrap();
        assert_eq!((found.met, probe.cost().evaluations.decoder, probe.cost().sequential_depth), (None, 0, 0));
        found.kept_tokens
    }

    #[test]
    fn a_share_is_rounded_up_and_clamped_to_the_range() {
        assert_eq!(kept(0.25, 256, 4096), 1024);
        assert_eq!(kept(0.5, 1, 7), 4);
        assert_eq!(kept(0.01, 256, 4096), 256);
        assert_eq!(kept(1.0, 1, 7), 7);
        assert_eq!(kept(1e-12, 1, 7), 1);
    }
}
