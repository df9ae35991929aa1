//! Guesses where the curve crosses the threshold, asks there, and corrects the guess: exact, in few evaluations.
//!
//! A curve is expected to be a known shape plus a correction, both of the logarithm of the distortion. What was asked so
//! far gives the correction: constant while only one side of the answer is known, linear in ln n between the two counts
//! around it once both are (a bracketed secant). [`Interpolate`] knows no shape but a power law;
//! [`RegressionVerified`](super::RegressionVerified) starts from a regressor's whole curve.
use engine::TokenRange;

use super::bracket::{self, Bracket};
use super::parse::no_arguments;
use super::prediction::ln_distortion;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy, meets};

pub(super) const FORM: Form = Form {
    syntax: "interpolate",
    example: "interpolate",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(Interpolate))
    },
};

/// A bracketed secant on ln distortion against ln count.
#[derive(Clone, Copy, Debug)]
pub struct Interpolate;

/// Distortion is first taken to fall as n^−½: on photographs exponents of −0.4 to −0.6 cost within 4 % of one another.
const EXPONENT: f64 = -0.5;

impl SearchStrategy for Interpolate {
    fn name(&self) -> String {
        "interpolate".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        bracket::GUARANTEE
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        most_evaluations(range)
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        let middle = (range.min() as f64 * range.max() as f64).sqrt().round() as usize;
        close_in(question.threshold, middle, |count| Ok(EXPONENT * (count as f64).ln()), probe)
    }
}

/// Every two evaluations halve the bracket at least, after those before the first halving.
pub(super) fn most_evaluations(range: TokenRange) -> usize {
    2 * (range.len().ilog2() as usize + 1) + 1
}

/// Asks `first`, then where the corrected expectation crosses the threshold, until the answer is known.
pub(super) fn close_in(
    threshold: f64,
    first: usize,
    expected: impl Fn(usize) -> Result<f64, SearchError>,
    probe: &mut Probe<'_>,
) -> Result<Found, SearchError> {
    let mut bracket = Bracket::new(probe.range());
    // On either side of the answer.
    let (mut below, mut above) = (None::<Residual>, None::<Residual>);
    let mut widths = Vec::new();
    let mut next = bracket.nearest(first);
    while let Some(count) = next {
        let distortion = bracket.ask(count, threshold, probe)?;
        let seen = Some(((count as f64).ln(), ln_distortion(distortion) - expected(count)?));
        *(if meets(distortion, threshold) { &mut above } else { &mut below }) = seen;
        let Some((low, high)) = bracket.open() else { break };
        let stalls = widths.iter().rev().nth(1).is_some_and(|before| *before < 2 * (high - low + 1));
        widths.push(high - low + 1);
        next = Some(match stalls {
            true => low.midpoint(high + 1),
            false => crossing(low, high, ln_distortion(threshold), |count| {
                Ok(expected(count)? + correction(below, above, (count as f64).ln()))
            })?,
        });
    }
    Ok(bracket.found())
}

/// (ln count, what was seen there above the expectation).
type Residual = (f64, f64);

fn correction(below: Option<Residual>, above: Option<Residual>, ln_count: f64) -> f64 {
    match (below, above) {
        (Some((x0, r0)), Some((x1, r1))) => r0 + (r1 - r0) * (ln_count - x0) / (x1 - x0),
        (Some((_, seen)), None) | (None, Some((_, seen))) => seen,
        (None, None) => 0.0,
    }
}

/// The smallest count of `low..=high` that is expected to be within the threshold, or `high`.
fn crossing(
    low: usize,
    high: usize,
    ln_threshold: f64,
    expected: impl Fn(usize) -> Result<f64, SearchError>,
) -> Result<usize, SearchError> {
    for count in low..high {
        if expected(count)? <= ln_threshold {
            return Ok(count);
        }
    }
    Ok(high)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, range};
    use super::*;

    #[test]
    fn a_power_law_is_found_with_the_middle_one_guess_and_one_check() {
        // From 0.5 at the middle, √(4 · 64) = 16: 2 · n^−½ meets 0.4 from n = 25 on; 24 is asked to be sure.
        let mut source = Curve(|count| 2.0 * (count as f64).powf(-0.5));
        let mut probe = Probe::new(&mut source, range(4, 64));
        let found = Interpolate.search(&Question::new(0.4), &mut probe).unwrap();
        assert_eq!(found, Found::meeting(25));
        assert_eq!(probe.trace().iter().map(|(count, _)| *count).collect::<Vec<_>>(), [16, 25, 24]);
    }

    #[test]
    fn a_distortion_of_zero_does_not_confuse_it() {
        let mut source = Curve(|count| if count < 40 { 1.0 } else { 0.0 });
        let mut probe = Probe::new(&mut source, range(4, 64));
        assert_eq!(Interpolate.search(&Question::new(0.5), &mut probe).unwrap(), Found::meeting(40));
    }
}
