//! Files that are no baselines.

use super::super::*;
use super::fixture::*;
use std::path::Path;

fn parsed(text: &str) -> Result<Baseline, GateError> {
    Baseline::parse(text, Path::new("quality.json"))
}

#[test]
fn a_baseline_round_trips() {
    let baseline = approved(observed());
    assert_eq!(parsed(&baseline.to_json()).unwrap(), baseline);
}

#[test]
fn a_baseline_cut_off_anywhere_is_refused() {
    let text = approved(observed()).to_json();
    let complete = text.trim_end().len();
    for length in (0..complete).filter(|length| text.is_char_boundary(*length)) {
        let error = parsed(&text[..length]).unwrap_err();
        assert!(matches!(error, GateError::Damaged { .. }), "{length} of {complete} bytes: {error}");
    }
}

#[test]
fn numbers_changed_by_hand_are_refused_and_rules_are_not() {
    let text = approved(observed()).to_json();
    let edited = text.replacen("18.37", "18.36", 1);
    assert!(edited != text && matches!(parsed(&edited), Err(GateError::Unsealed { .. })));
    let edited = text.replacen("first numbers", "no reason", 1);
    assert!(matches!(parsed(&edited), Err(GateError::Unsealed { .. })), "reasons are sealed too");
    let edited = text.replacen("\"minimum_effect\": 0.01", "\"minimum_effect\": 0.02", 1);
    assert!(edited != text);
    parsed(&edited).unwrap();
}

#[test]
fn what_is_no_number_is_no_baseline() {
    let text = approved(observed()).to_json();
    for value in ["NaN", "null", "Infinity", "1e999", "\"18.37\""] {
        let error = parsed(&text.replacen("18.37", value, 1)).unwrap_err();
        assert!(matches!(error, GateError::Damaged { .. }), "{value}: {error}");
    }
}

#[test]
fn an_empty_set_or_a_list_too_short_is_refused() {
    let mut empty = observed();
    empty.trials.clear();
    let mut without_samples = observed();
    without_samples.sources.clear();
    let mut short = observed();
    short.trials[0].values.get_mut("psnr").unwrap().pop();
    let mut twice = observed();
    twice.trials.push(twice.trials[0].clone());
    let mut endless = observed();
    endless.sources.values_mut().for_each(|samples| *samples = usize::MAX);
    for (run, told) in [
        (empty, "no trial"),
        (without_samples, "no sample"),
        (short, "39 values of psnr, not 40"),
        (twice, "seed 0, stands there twice"),
        (endless, "has 40 values of kept_tokens"),
        (changed("psnr", |_, _| f64::MAX), "e308 as psnr"),
    ] {
        let error = parsed(&approved(run).to_json()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn impossible_rules_are_named() {
    let text = approved(observed()).to_json();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        parsed(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let error = refused("\"equal_percent\": 99.0", "\"equal_percent\": 990.0");
    assert!(error.contains("metrics.kept_tokens: equal_percent = 990: must be from 0 to 100"), "{error}");
    let error = refused("\"absolute\": 0.01", "\"absolute\": -0.01");
    assert!(error.contains("metrics.psnr: absolute = -0.01"), "{error}");
    let error = refused("\"checked_seeds\": 1", "\"checked_seeds\": 0");
    assert!(error.contains("checked_seeds: 0: must be from 1 to its 1 seeds"), "{error}");
    let error = refused("\"name\": \"quality\"", "\"name\": \"::error::\"");
    assert!(error.contains("name: \"::error::\" is no name"), "{error}");
    let error = refused("\"schema\": 1", "\"schema\": 2");
    assert!(error.contains("its schema is 2, this version reads 1"), "{error}");
    let error = refused("\"kind\": \"exact\",", "\"kind\": \"exact\", \"tolerance\": 1,");
    assert!(error.contains("unknown field `tolerance`"), "{error}");
    let failure = "[{\"trial\": \"\", \"metric\": \"psrn\", \"reason\": \"\", \"expires\": \"2026-03-01\"}]";
    let error = refused("\"expected_failures\": []", &format!("\"expected_failures\": {failure}"));
    assert!(error.contains("metric \"psrn\" is none of kept_tokens"), "{error}");
    let error =
        refused("\"expected_failures\": []", &format!("\"expected_failures\": {}", failure.replace("03-01", "02-30")));
    assert!(error.contains("expires") || error.contains("day"), "{error}");
}

#[test]
fn approving_keeps_rules_and_adds_a_reason() {
    let rule = Rule::Paired { absolute: 0.5, relative: 0.0, minimum_effect: 0.5 };
    let mut before = with_rule(approved(observed()), "psnr", rule);
    let (trial, metric, reason) = (TRIAL.into(), "psnr".into(), "for now".into());
    before.expected_failures.push(ExpectedFailure { trial, metric, reason, expires: TODAY });
    let mut worse = changed("psnr", |_, psnr| psnr - 3.0);
    worse.trials[0].values.insert("ssim".into(), vec![0.5; SAMPLES]);
    let after =
        Baseline::approved(Some(before), "quality", "quality.toml".into(), worse.clone(), "why", machine("there"));
    assert_eq!((after.metrics["psnr"].rule, after.approvals.len()), (rule, 2));
    assert_eq!((after.approval().reason.as_str(), after.approval().made_by.host.as_str()), ("why", "there"));
    assert!(after.metrics.contains_key("ssim") && after.expected_failures.is_empty());
    assert_eq!(Outcome::of(&findings(&after, &worse), false), Outcome::Pass);
    parsed(&after.to_json()).unwrap();
}
