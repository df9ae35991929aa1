//! A report as people and programs read it.

use super::super::*;
use super::fixture::*;
use crate::chart::{Size, Theme, to_svg};
use std::path::Path;

/// A report with a regression, whose trial has a name that no format may take for its own.
fn report() -> Report {
    let nasty = |mut run: Observed| {
        run.trials[0].name = "a % <b> & \"c\", d\n::error::\n| `e`".into();
        run
    };
    let baseline = approved(nasty(observed()));
    let (found, _) = compare(&baseline, &nasty(changed("psnr", |_, psnr| psnr - 0.1)), None, "here", TODAY);
    let notes = vec!["100 % of\nnothing".to_owned()];
    Report::new(&baseline, Path::new("a,b/quality.json"), machine("here"), found, notes, false)
}

#[test]
fn text_tells_the_outcome_first_and_then_the_worst() {
    let text = to_text(&report());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "quality FAILED: 1 regression, 1 advice, 3 unchanged");
    assert!(text.contains("psnr: regression: 19.7205 in the baseline, 19.6205 now (dB); worse by 0.1 dB"), "{text}");
    assert!(text.contains("note: 100 % of nothing\n") && !lines.iter().any(|line| line.starts_with("::")), "{text}");
}

#[test]
fn annotations_cannot_be_taken_for_commands() {
    let text = to_annotations(&report());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let title = "quality%3A a %25 <b> & \"c\"%2C d %3A%3Aerror%3A%3A | `e` · psnr";
    assert!(lines[0].starts_with(&format!("::error file=a%2Cb/quality.json,title={title}::regression")), "{text}");
    assert_eq!(lines[1], "::notice file=a%2Cb/quality.json::100 %25 of%0Anothing");
}

#[test]
fn junit_has_a_case_for_each_comparison() {
    let xml = to_junit(&report());
    let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((read.tests, read.failures, read.errors), (5, 1, 0));
    let case = &read.test_suites[0].test_cases[0];
    assert!(case.name.as_str().contains("<b> & \"c\"") && xml.contains("&lt;b&gt; &amp; "), "{xml}");
    let quick_junit::TestCaseStatus::NonSuccess { message, .. } = &case.status else { panic!("{case:?}") };
    assert!(message.as_ref().unwrap().as_str().starts_with("regression: 19.7205 in the baseline"));
}

#[test]
fn markdown_is_one_table_with_the_rest_folded_away() {
    let text = to_markdown(&report(), Some("quality.svg"));
    assert!(text.starts_with("## quality FAILED\n"), "{text}");
    assert!(text.contains("](quality.svg)") && !text.contains("<b>"), "{text}");
    let before_fold = text.split("<details>").next().unwrap();
    assert_eq!(before_fold.lines().filter(|line| line.starts_with("| regression")).count(), 1, "{text}");
    assert!(text.contains("4 comparisons without a regression</summary>"), "{text}");
}

#[test]
fn json_has_a_version_and_reads_back() {
    let report = report();
    let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(
        (&value["schema"], &value["outcome"], &value["exit_code"]),
        (&1.into(), &"regression".into(), &1.into())
    );
    assert_eq!(value["findings"][0]["verdict"], "regression");
    assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report);
}

#[test]
fn the_figure_shows_every_effect() {
    let chart = figure(&report());
    let points: usize = chart.panels[0].series.iter().filter(|series| !series.points.is_empty()).count();
    assert!(points >= 4, "{chart:?}");
    assert!(to_svg(&chart, Theme::Light, Size::default()).contains("regression"));
}
