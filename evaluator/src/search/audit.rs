//! Does distortion fall with every token kept, and what does bisection lose where it does not?
//!
//! [`Binary`] is exact only on curves that fall. Nothing makes a trained model's curves fall, so how far they do is
//! measured, on stored curves: counts of rises, which may be added up and have intervals, and what they cost.
use engine::TokenRange;

use super::{Binary, Encoding, FlopsPerEvaluation, Found, Full, Probe, Question, Replay, SearchError, SearchStrategy};

/// How often a set of distortion curves rises.
///
/// A step goes from one measured count to the next: one token, where every count was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Audit {
    /// Curves, one a block.
    pub curves: usize,
    /// Curves with at least one rise.
    pub rising_curves: usize,
    /// Steps of all curves.
    pub steps: usize,
    /// Steps at whose end the distortion is larger than at their beginning.
    pub rising_steps: usize,
    /// The largest rise in a step, as a share of the distortion before it; 0 where nothing rises, infinite where a
    /// distortion of 0 does.
    pub largest_relative_rise: f64,
}

impl Audit {
    /// Share of curves with at least one rise; `None` without a curve.
    pub fn rising_curve_share(&self) -> Option<f64> {
        share(self.rising_curves, self.curves)
    }

    /// Share of steps that rise; `None` without a step.
    pub fn rising_step_share(&self) -> Option<f64> {
        share(self.rising_steps, self.steps)
    }
}

/// What bisection loses on a set of curves, at one threshold, against the smallest count that meets it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BisectionLoss {
    /// Curves searched, one a block.
    pub curves: usize,
    /// Curves for which [`Binary`] keeps more tokens than [`Full`] finds sufficient.
    pub differing: usize,
    /// Of these, the curves for which it saw no count meet the threshold, although one does.
    pub missed: usize,
    /// Tokens kept beyond the smallest sufficient count, over all curves.
    pub extra_tokens: usize,
    /// The most of them on one curve.
    pub most_extra_tokens: usize,
}

impl BisectionLoss {
    /// Share of curves for which bisection keeps too many tokens; `None` without a curve.
    pub fn differing_share(&self) -> Option<f64> {
        share(self.differing, self.curves)
    }

    /// Mean tokens kept beyond need where bisection keeps too many; `None` where it never does.
    pub fn mean_extra_tokens(&self) -> Option<f64> {
        share(self.extra_tokens, self.differing)
    }
}

/// Counts the rises of curves `(kept_tokens, distortion)`.
///
/// # Errors
/// [`SearchError::NotFinite`] for a distortion that is NaN or infinite.
///
/// # Panics
/// If the tokens of a curve do not rise.
pub fn audit<C: AsRef<[(usize, f64)]>>(curves: &[C]) -> Result<Audit, SearchError> {
    let mut audit = Audit { curves: curves.len(), ..Audit::default() };
    for curve in curves.iter().map(C::as_ref) {
        check(curve)?;
        let rising_before = audit.rising_steps;
        for step in curve.windows(2) {
            let (before, after) = (step[0].1, step[1].1);
            audit.steps += 1;
            if after > before {
                audit.rising_steps += 1;
                audit.largest_relative_rise = audit.largest_relative_rise.max((after - before) / before);
            }
        }
        audit.rising_curves += usize::from(audit.rising_steps > rising_before);
    }
    Ok(audit)
}

/// Searches curves `(kept_tokens, distortion)` for the threshold (mean squared error in [-1, 1]) by bisection, and says
/// how far its answers are from the best.
///
/// # Errors
/// [`SearchError::NotMeasured`] for a curve that lacks a count between its first and its last: its smallest sufficient
/// count is unknown. [`SearchError::NotFinite`] for a distortion that is NaN or infinite.
///
/// # Panics
/// If a curve is empty, its tokens do not rise, or they begin at 0.
pub fn bisection_loss<C: AsRef<[(usize, f64)]>>(curves: &[C], threshold: f64) -> Result<BisectionLoss, SearchError> {
    let mut loss = BisectionLoss { curves: curves.len(), ..BisectionLoss::default() };
    for curve in curves.iter().map(C::as_ref) {
        check(curve)?;
        let best = replayed(&Full, curve, threshold)?;
        let found = replayed(&Binary, curve, threshold)?;
        // Never fewer: every count that bisection calls sufficient is one that `best` considered.
        let extra = found.kept_tokens - best.kept_tokens;
        loss.differing += usize::from(extra > 0);
        loss.missed += usize::from(found.met != best.met);
        loss.extra_tokens += extra;
        loss.most_extra_tokens = loss.most_extra_tokens.max(extra);
    }
    Ok(loss)
}

/// A strategy's answer on a stored curve.
fn replayed(strategy: &dyn SearchStrategy, curve: &[(usize, f64)], threshold: f64) -> Result<Found, SearchError> {
    let (Some((min, _)), Some((max, _))) = (curve.first(), curve.last()) else {
        panic!("a distortion curve without points cannot be searched");
    };
    let range = TokenRange::new(*min, *max).expect("a distortion curve begins at one token or more");
    let mut replay = Replay::new(curve.iter().copied(), FlopsPerEvaluation::default(), Encoding::PerCount);
    strategy.search(&Question::new(threshold), &mut Probe::new(&mut replay, range))
}

/// A curve's tokens rise and its distortions are finite.
fn check(curve: &[(usize, f64)]) -> Result<(), SearchError> {
    assert!(curve.is_sorted_by(|left, right| left.0 < right.0), "the tokens of a distortion curve must rise");
    match curve.iter().find(|(_, distortion)| !distortion.is_finite()) {
        Some(&(kept_tokens, distortion)) => Err(SearchError::NotFinite { kept_tokens, distortion }),
        None => Ok(()),
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Points = Vec<(usize, f64)>;

    /// A curve over the counts from `min` on.
    fn curve(min: usize, distortions: &[f64]) -> Points {
        (min..).zip(distortions.iter().copied()).collect()
    }

    #[test]
    fn rises_by_hand() {
        // The first falls; the second rises twice, by 0.25 / 0.5 and 0.25 / 0.25; a plateau is no rise.
        let curves = [curve(1, &[1.0, 0.5, 0.5]), curve(4, &[0.5, 0.75, 0.25, 0.5, 0.125]), curve(9, &[0.25])];
        let audit = audit(&curves).unwrap();
        let expected = Audit { curves: 3, rising_curves: 1, steps: 6, rising_steps: 2, largest_relative_rise: 1.0 };
        assert_eq!(audit, expected);
        assert_eq!((audit.rising_curve_share(), audit.rising_step_share()), (Some(1.0 / 3.0), Some(2.0 / 6.0)));
    }

    #[test]
    fn a_rise_from_nothing_is_infinitely_large() {
        assert_eq!(audit(&[curve(1, &[0.0, 0.5])]).unwrap().largest_relative_rise, f64::INFINITY);
    }

    #[test]
    fn without_curves_there_are_no_shares() {
        let (audit, loss) = (audit::<Points>(&[]).unwrap(), bisection_loss::<Points>(&[], 0.5).unwrap());
        assert_eq!((audit.rising_curve_share(), audit.rising_step_share()), (None, None));
        assert_eq!((loss.differing_share(), loss.mean_extra_tokens()), (None, None));
    }

    #[test]
    fn what_bisection_loses_by_hand() {
        // The threshold is 0.5. Counts 1 to 7 are bisected at 4; then 6 and 7, or 2 and 1 or 3.
        let curves = [
            curve(1, &[0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2]), // falls: 4 is right
            curve(1, &[0.9, 0.4, 0.7, 0.6, 0.6, 0.3, 0.2]), // 4 misses, 6 meets, 5 misses: 6 for 2, 4 extra
            curve(1, &[0.4, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]), // 4 meets, 2 misses, 3 meets: 3 for 1, 2 extra
            curve(1, &[0.9, 0.9, 0.4, 0.6, 0.6, 0.7, 0.8]), // 4, 6, 7 miss: all 7 for 3, 4 extra, and missed
            curve(1, &[0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]), // nothing meets: all 7 is all that can be said
        ];
        let loss = bisection_loss(&curves, 0.5).unwrap();
        let expected = BisectionLoss { curves: 5, differing: 3, missed: 1, extra_tokens: 10, most_extra_tokens: 4 };
        assert_eq!(loss, expected);
        assert_eq!((loss.differing_share(), loss.mean_extra_tokens()), (Some(0.6), Some(10.0 / 3.0)));
    }

    #[test]
    fn keeping_all_tokens_because_only_they_meet_loses_nothing() {
        let loss = bisection_loss(&[curve(3, &[0.9, 0.9, 0.9, 0.1])], 0.5).unwrap();
        assert_eq!(loss, BisectionLoss { curves: 1, ..BisectionLoss::default() });
    }

    #[test]
    fn a_gap_hides_the_smallest_sufficient_count() {
        let gap = [vec![(1, 0.9), (2, 0.8), (4, 0.1)]];
        assert!(matches!(bisection_loss(&gap, 0.5), Err(SearchError::NotMeasured { kept_tokens: 3, .. })));
        assert_eq!(audit(&gap).unwrap().steps, 2);
    }

    #[test]
    fn a_distortion_that_is_not_finite_is_an_error_naming_its_count() {
        let broken = [curve(5, &[0.9, f64::NAN, 0.1])];
        assert!(matches!(audit(&broken), Err(SearchError::NotFinite { kept_tokens: 6, .. })));
        assert!(matches!(bisection_loss(&broken, 0.5), Err(SearchError::NotFinite { kept_tokens: 6, .. })));
    }

    proptest! {
        #[test]
        fn curves_that_fall_lose_nothing(
            mut distortions in prop::collection::vec(0.0_f64..1.0, 1..100), min in 1_usize..20, threshold in 0.0_f64..1.0,
        ) {
            distortions.sort_by(|left, right| right.total_cmp(left));
            let curves = [curve(min, &distortions)];
            prop_assert_eq!(audit(&curves).unwrap().rising_steps, 0);
            let nothing = BisectionLoss { curves: 1, ..BisectionLoss::default() };
            prop_assert_eq!(bisection_loss(&curves, threshold).unwrap(), nothing);
        }

        #[test]
        fn bisection_never_keeps_too_few(
            distortions in prop::collection::vec(0.0_f64..1.0, 1..100), min in 1_usize..20, threshold in 0.0_f64..1.0,
        ) {
            let loss = bisection_loss(&[curve(min, &distortions)], threshold).unwrap();
            prop_assert!(loss.missed <= loss.differing && loss.differing <= 1);
            prop_assert!(loss.most_extra_tokens == loss.extra_tokens && loss.extra_tokens < distortions.len());
        }
    }
}
