//! Asks k counts at once and keeps the gap between them that holds the answer: fewer waits, more evaluations.
//!
//! A GPU reconstructs a batch of candidates in little more time than one; k counts cut what is open to a (k + 1)-th.
use engine::TokenRange;

use super::bracket::{self, Bracket};
use super::parse::one_argument;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy};

pub(super) const FORM: Form = Form {
    syntax: "kary(k)",
    example: "kary(3)",
    build: |arguments| match one_argument(arguments, "a whole number of counts asked at once")? {
        0 => Err("it must ask at least 1 count at once".to_owned()),
        counts => Ok(Box::new(Kary::new(counts))),
    },
};

/// A search of `k` counts a batch, `kary(1)` being bisection.
#[derive(Clone, Copy, Debug)]
pub struct Kary {
    counts: usize,
}

impl Kary {
    /// Asks `counts` counts at once.
    ///
    /// # Panics
    /// If `counts` is zero.
    pub fn new(counts: usize) -> Self {
        assert!(counts > 0, "a search must ask at least one count at once");
        Self { counts }
    }

    /// Counts that cut `low..=high` into parts of equal size, up to one: with m of n open counts asked, the largest part
    /// left is ⌈(n − m) / (m + 1)⌉.
    fn cuts(&self, low: usize, high: usize) -> Vec<usize> {
        let open = high - low + 1;
        let cuts = self.counts.min(open);
        (1..=cuts).map(|cut| low + (cut * (open + 1)) / (cuts + 1) - 1).collect()
    }
}

impl SearchStrategy for Kary {
    fn name(&self) -> String {
        format!("kary({})", self.counts)
    }

    fn guarantee(&self) -> &'static str {
        bracket::GUARANTEE
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        let (mut open, mut evaluations) = (range.len(), 0);
        while open > 0 {
            let cuts = self.counts.min(open);
            evaluations += cuts;
            open = (open - cuts).div_ceil(cuts + 1);
        }
        evaluations
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let mut bracket = Bracket::new(probe.range());
        while let Some((low, high)) = bracket.open() {
            bracket.ask_all(&self.cuts(low, high), question.threshold, probe)?;
        }
        Ok(bracket.found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_leave_parts_of_equal_size() {
        // 4..=10 holds seven counts; three of them leave four parts of one.
        assert_eq!(Kary::new(3).cuts(4, 10), [5, 7, 9]);
        assert_eq!(Kary::new(1).cuts(4, 10), [7]);
        assert_eq!(Kary::new(9).cuts(4, 6), [4, 5, 6]);
    }
}
