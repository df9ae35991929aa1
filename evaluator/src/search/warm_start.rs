//! Starts at the previous block's answer and gallops away from it: cheap where neighbours need alike.
//!
//! Steps double until the answer is between the last two counts asked, then the gap is halved (Bentley & Yao's
//! exponential search). An answer d counts away costs about 2·log2(d) evaluations; bisection would cost log2 of the range.
use engine::TokenRange;

use super::bracket::{self, Bracket};
use super::parse::no_arguments;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy, meets};

pub(super) const FORM: Form = Form {
    syntax: "warm-start",
    example: "warm-start",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(WarmStart))
    },
};

/// A gallop from the previous answer; without one, from the middle of the range.
#[derive(Clone, Copy, Debug)]
pub struct WarmStart;

impl SearchStrategy for WarmStart {
    fn name(&self) -> String {
        "warm-start".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        bracket::GUARANTEE
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        2 * (range.len().ilog2() as usize + 1)
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        let mut bracket = Bracket::new(range);
        let start = question.previous.unwrap_or(range.min().midpoint(range.max())).clamp(range.min(), range.max());
        let down = meets(bracket.ask(start, question.threshold, probe)?, question.threshold);
        let mut step = 1;
        // Gallop: until a count answers otherwise than the start did.
        while let Some((low, high)) = bracket.open() {
            let next = if down { start.saturating_sub(step).max(low) } else { (start + step).min(high) };
            let met = meets(bracket.ask(next, question.threshold, probe)?, question.threshold);
            if met != down {
                break;
            }
            step *= 2;
        }
        while let Some((low, high)) = bracket.open() {
            bracket.ask(low.midpoint(high), question.threshold, probe)?;
        }
        Ok(bracket.found())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, range};
    use super::*;

    fn evaluations(previous: usize, answer: usize) -> usize {
        let mut source = Curve(|count| if count >= answer { 0.0 } else { 1.0 });
        let mut probe = Probe::new(&mut source, range(1, 1024));
        let question = Question { previous: Some(previous), ..Question::new(0.5) };
        assert_eq!(WarmStart.search(&question, &mut probe).unwrap().kept_tokens, answer);
        probe.cost().evaluations.decoder
    }

    #[test]
    fn an_unchanged_answer_costs_two_evaluations_and_a_near_one_few() {
        assert_eq!(evaluations(300, 300), 2);
        // Up: 300, 301, 302, 304, 308 (meets), then 306, 305 of 305..=307.
        assert_eq!(evaluations(300, 305), 7);
        // The far end of the range costs more than the 10 or 11 of bisection.
        assert!(evaluations(1, 1024) <= 2 * 11);
    }
}
