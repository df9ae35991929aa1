//! What fails, and what does not.

use super::super::*;
use super::fixture::*;
use crate::store::{ContentHash, NewProvenance};
use jiff::civil::date;

#[test]
fn the_same_numbers_pass_and_every_comparison_is_told() {
    let baseline = approved(observed());
    let findings = findings(&baseline, &observed());
    let told: Vec<(Verdict, &str)> = findings.iter().map(|finding| (finding.verdict, &*finding.metric)).collect();
    assert_eq!(
        told,
        [
            (Verdict::Advice, "peak_memory"),
            (Verdict::Advice, "run_seconds"),
            (Verdict::Advice, "search_seconds"),
            (Verdict::Unchanged, "configuration"),
            (Verdict::Unchanged, "weights"),
            (Verdict::Unchanged, "kept_tokens"),
            (Verdict::Unchanged, "psnr"),
        ]
    );
    assert_eq!(Outcome::of(&findings, false).exit_code(), 0);
}

#[test]
fn floats_fail_beyond_their_tolerance_and_not_at_it() {
    let baseline = approved(observed());
    for (share, expected) in
        [(0.5, Verdict::Unchanged), (1.0, Verdict::Unchanged), (1.1, Verdict::Regression), (2.0, Verdict::Regression)]
    {
        let found = findings(&baseline, &changed("psnr", |_, psnr| psnr - share * 0.01));
        assert_eq!(verdict(&found, "psnr"), expected, "{share} of the tolerance");
    }
    // Half the samples lose twice of what a sample may: the mean is at the edge of the minimum effect, and not beyond.
    let half = |sample: usize, psnr: f64| if sample.is_multiple_of(2) { psnr - 0.02 } else { psnr };
    assert_eq!(verdict(&findings(&baseline, &changed("psnr", half)), "psnr"), Verdict::WithinTolerance);
}

#[test]
fn a_relative_tolerance_is_of_the_value() {
    let rule = Rule::Paired { absolute: 0.0, relative: 0.01, minimum_effect: 0.0 };
    let baseline = with_rule(approved(observed()), "psnr", rule);
    assert_eq!(verdict(&findings(&baseline, &changed("psnr", |_, psnr| 0.991 * psnr)), "psnr"), Verdict::Unchanged);
    assert_eq!(verdict(&findings(&baseline, &changed("psnr", |_, psnr| 0.989 * psnr)), "psnr"), Verdict::Regression);
}

#[test]
fn counts_may_differ_in_as_many_samples_as_tolerated() {
    let rule = Rule::Exact { equal_percent: 90.0 }; // 4 of 40
    let baseline = with_rule(approved(observed()), "kept_tokens", rule);
    for (unequal, expected) in [
        (0, Verdict::Unchanged),
        (2, Verdict::WithinTolerance),
        (4, Verdict::WithinTolerance),
        (5, Verdict::Regression),
        (8, Verdict::Regression),
    ] {
        let run = changed("kept_tokens", |sample, kept| kept + f64::from(u8::from(sample < unequal)));
        assert_eq!(verdict(&findings(&baseline, &run), "kept_tokens"), expected, "{unequal} samples");
    }
}

#[test]
fn what_gets_better_never_fails() {
    let baseline = approved(observed());
    let better = findings(&baseline, &changed("psnr", |_, psnr| psnr + 1.0));
    assert_eq!((verdict(&better, "psnr"), Outcome::of(&better, false)), (Verdict::Improved, Outcome::Pass));
    let fewer = findings(&baseline, &changed("kept_tokens", |_, kept| kept - 1.0));
    assert_eq!((verdict(&fewer, "kept_tokens"), Outcome::of(&fewer, false)), (Verdict::Improved, Outcome::Pass));
    let more = findings(&baseline, &changed("kept_tokens", |_, kept| kept + 1.0));
    assert_eq!((verdict(&more, "kept_tokens"), Outcome::of(&more, false)), (Verdict::Regression, Outcome::Regression));
    // As many more as fewer: no longer the counts that were approved, and not better.
    let moved = |sample: usize, kept: f64| if sample.is_multiple_of(2) { kept + 1.0 } else { kept - 1.0 };
    assert_eq!(verdict(&findings(&baseline, &changed("kept_tokens", moved)), "kept_tokens"), Verdict::Regression);
}

#[test]
fn a_mean_that_one_photograph_alone_moved_is_no_regression() {
    // Of ten photographs one lost 1 dB: 0.1 dB in the mean, ten tolerances, but the other nine say that nothing happened.
    let found =
        findings(&approved(observed()), &changed("psnr", |sample, psnr| psnr - f64::from(u8::from(sample < 4))));
    assert_eq!(verdict(&found, "psnr"), Verdict::NotSignificant);
    assert_eq!(Outcome::of(&found, false), Outcome::Pass);
}

#[test]
fn many_comparisons_ask_for_more_evidence() {
    // One trial of ten photographs in which all lose has p = 2/1024; among 40 such comparisons that is no evidence.
    let many = |loses: usize| {
        let mut run = observed();
        run.trials = (0..40)
            .map(|number| {
                let mut trial = run.trials[0].clone();
                trial.name = format!("{TRIAL} {number}");
                let shift = if number < loses { 0.05 } else { 0.0 };
                trial.values.get_mut("psnr").unwrap().iter_mut().for_each(|psnr| *psnr -= shift);
                trial
            })
            .collect();
        run
    };
    let baseline = approved(many(0));
    let of_psnr = |loses| {
        let found = findings(&baseline, &many(loses));
        found.into_iter().filter(|finding| finding.metric == "psnr" && finding.effect > Some(0.0)).collect::<Vec<_>>()
    };
    let one = of_psnr(1);
    assert_eq!((one[0].verdict, one[0].adjusted_p_value), (Verdict::NotSignificant, Some(40.0 * 2.0 / 1024.0)));
    let p_values: Vec<f64> = one.iter().map(|finding| finding.p_value.unwrap()).collect();
    assert_eq!(p_values, [2.0 / 1024.0]);
}

#[test]
fn zero_variance_is_certain() {
    let constant = |value: f64| changed("psnr", |_, _| value);
    let baseline = approved(constant(20.0));
    assert_eq!(verdict(&findings(&baseline, &constant(20.0)), "psnr"), Verdict::Unchanged);
    let found = findings(&baseline, &constant(19.0));
    let psnr = found.iter().find(|finding| finding.metric == "psnr").unwrap();
    assert_eq!((psnr.verdict, psnr.effect, psnr.interval), (Verdict::Regression, Some(1.0), Some((1.0, 1.0))));
}

#[test]
fn what_is_no_number_has_become_worse() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let run = changed("psnr", |sample, psnr| if sample == 7 { value } else { psnr });
        let found = findings(&approved(observed()), &run);
        assert_eq!(verdict(&found, "psnr"), Verdict::Regression, "{value}");
        assert!(found[0].detail.contains(&value.to_string()), "{:?}", found[0]);
    }
}

#[test]
fn what_is_no_number_is_worse_than_any_number() {
    let mut run = changed("kept_tokens", |_, kept| kept + 1.0); // a hundred tolerances
    run.trials[0].values.get_mut("psnr").unwrap()[7] = f64::NAN;
    let found = findings(&approved(observed()), &run);
    let failed: Vec<&str> = found.iter().filter(|f| f.verdict.fails()).map(|f| &*f.metric).collect();
    assert_eq!(failed, ["psnr", "kept_tokens"]);
}

#[test]
fn what_is_missing_fails_and_what_is_new_is_told() {
    let (baseline, mut run) = (approved(observed()), observed());
    run.trials[0].values.remove("psnr");
    assert_eq!(verdict(&findings(&baseline, &run), "psnr"), Verdict::Missing);
    run = changed("psnr", |_, psnr| psnr);
    run.trials[0].values.get_mut("psnr").unwrap().pop();
    assert_eq!(verdict(&findings(&baseline, &run), "psnr"), Verdict::Missing, "a sample is missing");
    run = observed();
    run.trials[0].name = "another".into();
    let found = findings(&baseline, &run);
    let of_trials: Vec<_> = found.iter().filter(|finding| finding.metric == "trial").collect();
    assert_eq!(of_trials.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Missing, Verdict::New]);
    run = observed();
    run.trials[0].values.insert("ssim".into(), vec![0.5; SAMPLES]);
    let found = findings(&baseline, &run);
    assert_eq!((verdict(&found, "ssim"), Outcome::of(&found, false)), (Verdict::New, Outcome::Pass));
}

#[test]
fn a_run_of_nothing_fails() {
    let told = |baseline: &Baseline, run: &Observed, metric: &str| {
        let found = findings(baseline, run);
        assert_eq!(Outcome::of(&found, true), Outcome::Regression, "{found:?}");
        let of = found.into_iter().find(|finding| finding.metric == metric).unwrap();
        (of.verdict, of.detail)
    };
    for baseline in [approved(observed()), approved(trained(12, 0.0))] {
        let without_trials = Observed { trials: Vec::new(), ..observed() };
        assert_eq!(told(&baseline, &without_trials, "trial"), (Verdict::Missing, "the run has no trial".into()));
    }
    let without_samples = |mut run: Observed| {
        run.trials.iter_mut().for_each(|trial| trial.values.values_mut().for_each(Vec::clear));
        run
    };
    let of_samples = told(&approved(observed()), &without_samples(observed()), "psnr");
    assert_eq!(of_samples, (Verdict::Missing, "the run does not have it of every sample".into()));
    let of_seeds = told(&approved(trained(12, 0.0)), &without_samples(trained(3, 0.0)), "psnr");
    assert_eq!(of_seeds, (Verdict::Missing, "the run does not have it of every sample and seed".into()));
}

#[test]
fn a_run_of_no_held_out_file_is_not_comparable() {
    let found = findings(&approved(observed()), &Observed { sources: Default::default(), ..observed() });
    assert_eq!(Outcome::of(&found, false), Outcome::NotComparable);
    assert!(found.iter().all(|finding| finding.detail == "the held-out files are others"), "{found:?}");
}

#[test]
fn other_weights_or_settings_are_no_longer_what_was_approved() {
    let (baseline, mut run) = (approved(observed()), observed());
    run.trials[0].weights = Some(ContentHash::of(b"others"));
    assert_eq!(verdict(&findings(&baseline, &run), "weights"), Verdict::Regression);
    run.trials[0].configuration = ContentHash::of(b"others");
    assert_eq!(verdict(&findings(&baseline, &run), "configuration"), Verdict::Regression);
}

#[test]
fn numbers_of_other_data_protocols_or_versions_are_not_compared() {
    let baseline = approved(observed());
    let mut runs = [observed(), observed(), observed(), observed()];
    runs[0].data = ContentHash::of(b"others");
    runs[1].protocol["crop"]["spread"]["side"] = 32.into();
    runs[2].evaluator = 3;
    runs[3].sources.insert("another.jpg".into(), 1);
    for run in &runs {
        let found = findings(&baseline, run);
        assert!(found.iter().all(|finding| finding.verdict == Verdict::NotComparable), "{found:?}");
        assert_eq!([false, true].map(|allows| Outcome::of(&found, allows).exit_code()), [3, 0]);
    }
    let protocol = &findings(&baseline, &runs[1])[0].detail;
    assert!(protocol.contains("crop") && protocol.contains("32"), "{protocol}");
    let mut older = baseline.clone();
    older.metrics.get_mut("psnr").unwrap().version = 7;
    assert_eq!(verdict(&findings(&older, &observed()), "psnr"), Verdict::NotComparable);
    let mut without_numbers = baseline.clone();
    let of_ssim = Gated { unit: String::new(), ..baseline.metrics["psnr"].clone() };
    without_numbers.metrics.insert("ssim".into(), of_ssim);
    assert_eq!(verdict(&findings(&without_numbers, &observed()), "ssim"), Verdict::NotComparable, "a rule alone");
    let mut turned = baseline;
    turned.metrics.get_mut("psnr").unwrap().better = crate::metric::Direction::Lower;
    assert_eq!(verdict(&findings(&turned, &observed()), "psnr"), Verdict::NotComparable, "the wrong direction");
    turned.metrics.get_mut("psnr").unwrap().better = crate::metric::Direction::Higher;
    turned.metrics.get_mut("psnr").unwrap().unit = "B".into();
    assert_eq!(verdict(&findings(&turned, &observed()), "psnr"), Verdict::NotComparable, "another unit");
}

#[test]
fn seeds_are_held_against_their_spread() {
    let baseline = approved(trained(12, 0.0));
    assert_eq!(baseline.checked_seeds, 3);
    assert_eq!(baseline.seeds(), [vec![0, 1, 2], vec![3, 4, 5]]);
    // A deviation of 0.1 dB is 0.1 · √(2/3) = 0.082 dB of the mean of three differences; times t₀.₉₇₅ = 2.2, 0.18 dB.
    for (shift, expected) in [
        (0.0, Verdict::Unchanged),
        (0.05, Verdict::WithinTolerance),
        (0.15, Verdict::NotSignificant),
        (0.3, Verdict::Regression),
        (-0.3, Verdict::Improved),
    ] {
        assert_eq!(verdict(&findings(&baseline, &trained(3, shift)), "psnr"), expected, "{shift} dB less");
    }
    let mut one_less = trained(3, 0.0);
    one_less.trials[1].values.clear();
    assert_eq!(verdict(&findings(&baseline, &one_less), "psnr"), Verdict::Missing);
    let mut sample_less = trained(3, 0.0);
    sample_less.trials[1].values.get_mut("psnr").unwrap().pop();
    assert_eq!(verdict(&findings(&baseline, &sample_less), "psnr"), Verdict::Missing);
}

#[test]
fn costs_are_compared_in_pairs() {
    let baseline = approved(observed());
    let paired = |ratios: &[f64]| compare(&baseline, &observed(), Some(&pairs(ratios)), &machine("here"), TODAY).0;
    let around =
        |centre: f64| [-2.0, -1.0, 0.0, 0.0, 1.0, 2.0, -1.5, 1.5, -0.5, 0.5].map(|percent| centre + 0.01 * percent);
    for (centre, expected) in [
        (1.001, Verdict::WithinTolerance),
        (1.05, Verdict::WithinTolerance),
        (1.10, Verdict::WithinTolerance),
        (1.20, Verdict::Regression),
        (0.80, Verdict::Improved),
    ] {
        assert_eq!(verdict(&paired(&around(centre)), "run_seconds"), expected, "{centre}");
    }
    // Beyond, but three pairs are few: p = 2/8.
    assert_eq!(verdict(&paired(&[1.3, 1.4, 1.5]), "run_seconds"), Verdict::NotSignificant);
    for ratio in [f64::INFINITY, f64::NAN, 0.0, -1.0, f64::MIN_POSITIVE / 2.0] {
        assert_eq!(verdict(&paired(&[ratio; 10]), "run_seconds"), Verdict::Missing, "{ratio}");
    }
    // A search that asks the model nothing has no seconds; one that has them in one program only has lost them.
    let without = |costs: &Costs| Costs::from([("run_seconds".into(), costs["run_seconds"])]);
    let [Pair { before, after }] = &pairs(&[1.0])[..] else { unreachable!() };
    let of = |pair: Pair| {
        let found = compare(&baseline, &observed(), Some(&[pair]), &machine("here"), TODAY).0;
        found.into_iter().find(|finding| finding.metric == "search_seconds").map(|finding| finding.verdict)
    };
    assert_eq!(of(Pair { before: without(before), after: without(after) }), None);
    assert_eq!(of(Pair { before: before.clone(), after: without(after) }), Some(Verdict::Missing));
}

#[test]
fn costs_alone_are_advice_on_their_machine_and_not_comparable_on_another() {
    let (with_costs, without) = (approved(costing(1.0)), approved(observed()));
    let (slow, not_measured) = (costing(9.0), observed());
    let of = |baseline: &Baseline, run: &Observed, pairs: Option<&[Pair]>, here: &NewProvenance| {
        let found = compare(baseline, run, pairs, here, TODAY).0;
        (verdict(&found, "run_seconds"), [false, true].map(|allows| Outcome::of(&found, allows).exit_code()))
    };
    let here = machine("here");
    let of_the_same_name = NewProvenance { cpu: "another processor".into(), ..machine("here") };
    assert_eq!(of(&with_costs, &slow, None, &here), (Verdict::Advice, [0, 0]));
    assert_eq!(of(&with_costs, &not_measured, None, &here), (Verdict::Missing, [1, 1]));
    let elsewhere = [machine("there"), of_the_same_name];
    for there in &elsewhere {
        assert_eq!(of(&with_costs, &not_measured, None, there), (Verdict::NotComparable, [3, 0]));
    }
    for anywhere in elsewhere.iter().chain([&here]) {
        assert_eq!(of(&without, &slow, None, anywhere), (Verdict::Advice, [0, 0]));
        assert_eq!(of(&with_costs, &not_measured, Some(&pairs(&[1.0; 10])), anywhere), (Verdict::Unchanged, [0, 0]));
        assert_eq!(of(&with_costs, &not_measured, Some(&pairs(&[2.0; 10])), anywhere), (Verdict::Regression, [1, 1]));
    }
}

#[test]
fn only_what_another_run_shows_too_fails() {
    let baseline = approved(observed());
    let worse = changed("psnr", |_, psnr| psnr - 0.1);
    let mut found = findings(&baseline, &worse);
    confirm(&mut found, &findings(&baseline, &observed()));
    assert_eq!((verdict(&found, "psnr"), Outcome::of(&found, false)), (Verdict::NotConfirmed, Outcome::Pass));
    let mut found = findings(&baseline, &worse);
    confirm(&mut found, &findings(&baseline, &worse));
    assert_eq!(Outcome::of(&found, false), Outcome::Regression);
}

#[test]
fn another_run_confirms_whichever_seeds_it_has() {
    let baseline = approved(trained(12, 0.0));
    let reconfigured = |seeds: std::ops::Range<u64>| {
        let mut run = trained(12, 0.0);
        run.trials.retain(|trial| seeds.contains(&trial.seed));
        run.trials.iter_mut().for_each(|trial| trial.configuration = ContentHash::of(b"fewer steps"));
        run
    };
    let mut found = findings(&baseline, &reconfigured(0..3));
    assert_eq!(found.iter().filter(|finding| finding.verdict == Verdict::Regression).count(), 3);
    assert_eq!(found[0].title(), format!("{TRIAL} · seed 0 · configuration"));
    confirm(&mut found, &findings(&baseline, &reconfigured(3..6)));
    assert_eq!(Outcome::of(&found, false), Outcome::Regression, "{found:?}");
}

#[test]
fn expected_failures_are_tolerated_until_their_day() {
    let worse = changed("psnr", |_, psnr| psnr - 0.1);
    let until = |expires| {
        let mut baseline = approved(observed());
        let (trial, metric, reason) = (TRIAL.into(), "psnr".into(), "a faster resize, #12".into());
        baseline.expected_failures.push(ExpectedFailure { trial, metric, reason, expires });
        baseline
    };
    let (found, notes) = compare(&until(TODAY), &worse, None, &machine("here"), TODAY);
    assert_eq!((verdict(&found, "psnr"), Outcome::of(&found, false)), (Verdict::Expected, Outcome::Pass));
    assert!(notes.is_empty() && found[0].detail.contains("2026-03-01: a faster resize"), "{found:?}");
    let (found, _) = compare(&until(date(2026, 2, 28)), &worse, None, &machine("here"), TODAY);
    assert_eq!(Outcome::of(&found, false), Outcome::Regression);
    assert!(found[0].detail.contains("2026-02-28, which is over"), "{found:?}");
    let (found, notes) = compare(&until(TODAY), &observed(), None, &machine("here"), TODAY);
    assert_eq!((Outcome::of(&found, false), notes.len()), (Outcome::Pass, 1));
    assert!(notes[0].contains("did not happen: remove it"), "{notes:?}");
    let other_data = Observed { data: ContentHash::of(b"others"), ..observed() };
    let (_, notes) = compare(&until(TODAY), &other_data, None, &machine("here"), TODAY);
    assert!(notes.is_empty(), "of what was not compared nothing is known: {notes:?}");
    let broken = changed("psnr", |_, _| f64::NAN);
    let (found, _) = compare(&until(TODAY), &broken, None, &machine("here"), TODAY);
    assert!(found[0].detail.contains("NaN; expected until"), "{found:?}");
}

#[test]
fn too_few_files_to_tell_anything_are_told_of() {
    let few = |files: usize, shift: f64| {
        let mut run = changed("psnr", |_, psnr| psnr - shift);
        run.sources = run.sources.into_iter().take(files).collect();
        run.trials[0].values.values_mut().for_each(|values| values.truncate(files * 4));
        run
    };
    // One comparison: 2/2⁶ is below 5 %, 2/2⁵ is not.
    for (files, expected) in [(1, Verdict::NotSignificant), (5, Verdict::NotSignificant), (6, Verdict::Regression)] {
        let (found, notes) = compare(&approved(few(files, 0.0)), &few(files, 1.0), None, &machine("here"), TODAY);
        assert_eq!(verdict(&found, "psnr"), expected, "{files} files");
        assert_eq!(
            notes.iter().any(|note| note.contains("among 1 comparisons: use 6 or more")),
            files < 6,
            "{notes:?}"
        );
    }
}

/// 2 / 2ⁿ times the comparisons must not be above 5 %: 2 · 43 / 2¹⁰ is 8.4 %, 2 · 43 / 2¹¹ 4.2 %.
#[test]
fn more_comparisons_want_more_pairs() {
    assert_eq!([1, 25, 26, 43].map(enough_pairs), [6, 10, 11, 11]);
}
