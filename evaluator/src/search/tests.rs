//! The strategies against brute force, on curves that fall and on curves that do not.
use super::*;
use proptest::prelude::*;

/// A live block whose distortion is a function.
pub(super) struct Curve<F>(pub(super) F);

impl<F> Curve<F> {
    pub(super) const FLOPS: FlopsPerEvaluation =
        FlopsPerEvaluation { encoder: 1.0, decoder: 10.0, commit: 100.0, final_reconstruction: 1000.0 };
}

impl<F: Fn(usize) -> f64> DistortionSource for Curve<F> {
    fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError> {
        Ok(kept_tokens.iter().map(|&kept_tokens| (self.0)(kept_tokens)).collect())
    }

    fn flops(&self, evaluations: &Evaluations) -> f64 {
        Self::FLOPS.total(evaluations)
    }

    fn seconds(&self) -> Option<f64> {
        Some(0.0)
    }
}

pub(super) fn range(min: usize, max: usize) -> TokenRange {
    TokenRange::new(min, max).unwrap()
}

/// One strategy of every form.
pub(super) fn strategies() -> Vec<Box<dyn SearchStrategy>> {
    FORMS.iter().map(|form| parse(form.example).unwrap()).collect()
}

/// A search's answer with its cost and its trace.
struct Outcome {
    found: Found,
    cost: Cost,
    trace: Vec<(usize, f64)>,
}

/// What a predictor that knows little might say: a power law at the wrong level, and the middle count.
pub(super) fn prediction(range: TokenRange) -> Prediction {
    let expects = |count: usize| (count, -0.7 * (count as f64).ln() - 1.0);
    Prediction {
        kept_tokens: range.min().midpoint(range.max()),
        log_distortions: range.counts().map(expects).collect(),
        flops: 7.0,
        seconds: None,
    }
}

/// Those whose promise is [`Bracket`](super::bracket::Bracket)'s.
fn exact() -> Vec<Box<dyn SearchStrategy>> {
    ["binary", "kary(1)", "kary(3)", "kary(8)", "interpolate", "warm-start", "regression-verified"]
        .map(|name| parse(name).unwrap())
        .into()
}

/// Those that choose by asking the model and keep to what they saw: all but the release's.
fn searches() -> impl Iterator<Item = Box<dyn SearchStrategy>> {
    let looks = |strategy: &dyn SearchStrategy| {
        strategy.most_evaluations(range(4, 64)) > 0 && strategy.name() != "binary-release"
    };
    strategies().into_iter().filter(move |strategy| looks(strategy.as_ref()))
}

/// Searches a block whose count `range.min() + i` has distortion `curve[i]`.
fn search(strategy: &dyn SearchStrategy, min: usize, curve: &[f64], threshold: f64) -> Outcome {
    let mut source = Curve(|kept_tokens: usize| curve[kept_tokens - min]);
    let range = range(min, min + curve.len() - 1);
    let prediction = prediction(range);
    let mut probe = Probe::new(&mut source, range);
    let question = Question { prediction: Some(&prediction), ..Question::new(threshold) };
    let found = strategy.search(&question, &mut probe).unwrap();
    Outcome { found, cost: probe.cost(), trace: probe.trace().to_vec() }
}

fn brute_force(min: usize, curve: &[f64], threshold: f64) -> Found {
    match curve.iter().position(|&distortion| distortion <= threshold) {
        Some(index) => Found { kept_tokens: min + index, met: Some(true) },
        None => Found { kept_tokens: min + curve.len() - 1, met: Some(false) },
    }
}

/// Any curve at all. Few distinct values, so that plateaus and distortions equal to the threshold are common.
fn any_curve() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0_u8..=20).prop_map(|step| f64::from(step) / 20.0), 1..200)
}

fn falling_curve() -> impl Strategy<Value = Vec<f64>> {
    any_curve().prop_map(|mut curve| {
        curve.sort_by(|left, right| right.total_cmp(left));
        curve
    })
}

/// Thresholds on, between, above and below the distortions of [`any_curve`].
fn any_threshold() -> impl Strategy<Value = f64> {
    (-2_i8..=44).prop_map(|step| f64::from(step) / 40.0)
}

proptest! {
    #[test]
    fn full_is_brute_force_on_any_curve_in_one_batch(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        let Outcome { found, cost, trace } = search(&Full, min, &curve, threshold);
        prop_assert_eq!(found, brute_force(min, &curve, threshold));
        let all = curve.len();
        prop_assert_eq!((cost.evaluations.decoder, cost.sequential_depth, cost.largest_batch), (all, 1, all));
        prop_assert!(trace.is_sorted_by_key(|&(kept_tokens, _)| kept_tokens));
    }

    #[test]
    fn exact_strategies_agree_with_full_when_distortion_falls(
        min in 1_usize..50, curve in falling_curve(), threshold in any_threshold(),
    ) {
        let full = search(&Full, min, &curve, threshold).found;
        for strategy in exact() {
            prop_assert_eq!(search(strategy.as_ref(), min, &curve, threshold).found, full, "{}", strategy.name());
        }
    }

    #[test]
    fn no_strategy_needs_more_evaluations_than_it_says_on_any_curve(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        for strategy in strategies().into_iter().chain(exact()) {
            let cost = search(strategy.as_ref(), min, &curve, threshold).cost;
            let most = strategy.most_evaluations(range(min, min + curve.len() - 1));
            prop_assert!(cost.evaluations.decoder <= most, "{} needed {}", strategy.name(), cost.evaluations.decoder);
        }
    }

    #[test]
    fn binary_needs_at_most_log2_evaluations_on_any_curve(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        let cost = search(&Binary, min, &curve, threshold).cost;
        prop_assert!(cost.evaluations.decoder <= curve.len().ilog2() as usize + 1);
        prop_assert_eq!(cost.evaluations.decoder, cost.sequential_depth);
    }

    #[test]
    fn exact_strategies_answer_a_count_they_saw_meet_beside_one_they_saw_miss_on_any_curve(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        for strategy in exact() {
            let Outcome { found, trace, .. } = search(strategy.as_ref(), min, &curve, threshold);
            let saw = |count: usize| trace.iter().find(|(asked, _)| *asked == count).map(|(_, seen)| *seen <= threshold);
            let max = min + curve.len() - 1;
            if found.met == Some(true) {
                prop_assert_eq!(saw(found.kept_tokens), Some(true), "{}", strategy.name());
                if found.kept_tokens > min {
                    prop_assert_eq!(saw(found.kept_tokens - 1), Some(false), "{}", strategy.name());
                }
            } else {
                prop_assert_eq!((found.kept_tokens, saw(max)), (max, Some(false)), "{}", strategy.name());
            }
        }
    }

    #[test]
    fn binary_answers_the_smallest_count_it_saw_meet_on_any_curve(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        let Outcome { found, trace, .. } = search(&Binary, min, &curve, threshold);
        let smallest = trace.iter().filter(|(_, distortion)| *distortion <= threshold).map(|(count, _)| *count).min();
        prop_assert_eq!(found.met, Some(smallest.is_some()));
        prop_assert_eq!(found.kept_tokens, smallest.unwrap_or(min + curve.len() - 1));
    }

    #[test]
    fn the_release_answers_what_it_tried_last_and_claims_nothing(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        let Outcome { found, trace, .. } = search(&BinaryRelease, min, &curve, threshold);
        let max = min + curve.len() - 1;
        let any_met = trace.iter().any(|(_, distortion)| *distortion < threshold);
        prop_assert_eq!(found.met, None);
        prop_assert!(trace.iter().all(|(count, _)| *count > min || *count == max), "it never tries the fewest tokens");
        let last = trace.last().map_or(max, |(count, _)| *count);
        // Its last question may be of all tokens a second time, which the probe answers from memory.
        let answer = if any_met { last } else { max };
        prop_assert!([answer, max].contains(&found.kept_tokens));
    }

    #[test]
    fn binned_answers_its_smallest_count_that_meets_on_any_curve(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(), counts in 2_usize..40,
    ) {
        let strategy = Binned::new(counts);
        let Outcome { found, cost, trace } = search(&strategy, min, &curve, threshold);
        let grid = strategy.grid(range(min, min + curve.len() - 1));
        prop_assert_eq!(trace.iter().map(|&(count, _)| count).collect::<Vec<_>>(), grid.clone());
        prop_assert_eq!((cost.evaluations.decoder, cost.sequential_depth), (grid.len(), 1));
        let on_the_grid: Vec<f64> = grid.iter().map(|count| curve[count - min]).collect();
        let Found { kept_tokens, met } = brute_force(0, &on_the_grid, threshold);
        prop_assert_eq!(found, Found { kept_tokens: grid[kept_tokens], met });
    }

    #[test]
    fn binned_overshoots_by_less_than_one_step_of_its_grid_when_distortion_falls(
        min in 1_usize..50, curve in falling_curve(), threshold in any_threshold(), counts in 2_usize..40,
    ) {
        let strategy = Binned::new(counts);
        let best = brute_force(min, &curve, threshold);
        let next_on_the_grid = strategy.grid(range(min, min + curve.len() - 1))
            .into_iter()
            .find(|&count| count >= best.kept_tokens);
        let found = search(&strategy, min, &curve, threshold).found;
        prop_assert_eq!((Some(found.kept_tokens), found.met), (next_on_the_grid, best.met));
    }

    #[test]
    fn no_strategy_claims_to_meet_what_it_misses_or_gives_up_when_all_tokens_meet(
        min in 1_usize..50, curve in any_curve(), threshold in any_threshold(),
    ) {
        let max = min + curve.len() - 1;
        for strategy in strategies() {
            let found = search(strategy.as_ref(), min, &curve, threshold).found;
            prop_assert!((min..=max).contains(&found.kept_tokens));
            match found.met {
                Some(true) => prop_assert!(curve[found.kept_tokens - min] <= threshold),
                Some(false) => prop_assert!(found.kept_tokens == max && curve[max - min] > threshold),
                None => prop_assert!(strategy.most_evaluations(range(4, 64)) == 0 || strategy.name() == "binary-release"),
            }
        }
    }
}

#[test]
fn every_strategy_says_what_it_promises_and_its_name_is_read_back() {
    for (form, strategy) in FORMS.iter().zip(strategies()) {
        assert!(strategy.guarantee().ends_with('.'), "{}", form.example);
        assert_eq!(strategy.name(), form.example);
    }
}

#[test]
fn a_range_of_one_count_has_one_answer() {
    for strategy in searches() {
        for (threshold, met) in [(0.1, false), (0.2, true), (0.3, true)] {
            let Outcome { found, cost, .. } = search(strategy.as_ref(), 9, &[0.2], threshold);
            let expected = (9, Some(met), 1);
            assert_eq!((found.kept_tokens, found.met, cost.evaluations.decoder), expected, "{}", strategy.name());
        }
    }
}

#[test]
fn a_threshold_above_every_distortion_keeps_the_minimum_and_one_below_keeps_everything() {
    let curve: Vec<f64> = (0..100).map(|index| 1.0 - 0.005 * f64::from(index)).collect();
    for strategy in searches() {
        assert_eq!(search(strategy.as_ref(), 4, &curve, 2.0).found, Found { kept_tokens: 4, met: Some(true) });
        assert_eq!(search(strategy.as_ref(), 4, &curve, 0.1).found, Found { kept_tokens: 103, met: Some(false) });
    }
}

#[test]
fn a_distortion_equal_to_the_threshold_meets_it() {
    for strategy in searches() {
        assert_eq!(search(strategy.as_ref(), 1, &[0.5, 0.25], 0.25).found, Found { kept_tokens: 2, met: Some(true) });
    }
}

#[test]
fn a_distortion_that_is_not_a_number_stops_every_search_that_sees_it() {
    for strategy in searches() {
        let mut source = Curve(|_| f64::NAN);
        let prediction = prediction(range(4, 40));
        let question = Question { prediction: Some(&prediction), ..Question::new(0.1) };
        let error = strategy.search(&question, &mut Probe::new(&mut source, range(4, 40))).unwrap_err();
        assert!(matches!(error, SearchError::NotFinite { .. }), "{error}");
    }
}
