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
    let (found, _) = compare(&baseline, &nasty(changed("psnr", |_, psnr| psnr - 0.1)), None, &machine("here"), TODAY);
    let notes = vec!["100 % of\nnothing".to_owned()];
    Report::new(&baseline, Path::new("a,b/quality.json"), machine("here"), found, notes, false)
}

/// Of costs of another machine, let pass or not.
fn incomparable(allows: bool) -> Report {
    let baseline = approved(costing(1.0));
    let (found, notes) = compare(&baseline, &observed(), None, &machine("there"), TODAY);
    Report::new(&baseline, Path::new("quality.json"), machine("there"), found, notes, allows)
}

/// Where there is no baseline at this path.
fn without_baseline(path: &str, allows: bool) -> Report {
    let missing = GateError::Missing { path: path.into() };
    Report::without_baseline(Path::new(path), machine("here"), &missing, allows)
}

/// Of a training that diverged.
fn not_finite() -> Report {
    let found = vec![Finding::not_finite("the loss at step 3 is NaN: lower train.learning_rate")];
    Report::new(&approved(observed()), Path::new("quality.json"), machine("here"), found, Vec::new(), true)
}

#[test]
fn a_report_of_nothing_says_in_every_format_what_to_do() {
    for (report, code, counts, level, advice) in [
        (without_baseline("gate/quality.json", false), 3, (0, 1), "error", "elastictok baseline approve"),
        (without_baseline("gate/quality.json", true), 0, (0, 0), "warning", "elastictok baseline approve"),
        (not_finite(), 1, (1, 0), "error", "lower train.learning_rate"),
    ] {
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!((&json["schema"], &json["exit_code"]), (&REPORT_SCHEMA.into(), &code.into()));
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
        let junit = quick_junit::Report::deserialize_from_str(&to_junit(&report)).unwrap();
        assert_eq!((junit.tests, (junit.failures, junit.errors)), (1, counts));
        assert!(to_annotations(&report).starts_with(&format!("::{level} file=")), "{report:?}");
        let (text, markdown) = (to_text(&report), to_markdown(&report));
        assert!(text.starts_with("quality ") && markdown.starts_with("## quality "), "{text}\n{markdown}");
        for text in [text, markdown.replace('\\', ""), to_junit(&report), to_annotations(&report)] {
            assert!(text.contains(advice), "{text}");
        }
        assert!(to_svg(&figure(&report), Theme::Light, Size::default()).starts_with("<svg"));
    }
    let hostile = to_text(&without_baseline("\n::error::.json", false));
    assert!(hostile.starts_with("baseline could not be compared") && !hostile.contains("\n::"), "{hostile}");
}

#[test]
fn text_tells_the_outcome_first_and_then_the_worst() {
    let text = to_text(&report());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "quality FAILED: 1 regression, 3 advice, 3 unchanged");
    assert!(text.contains("psnr: regression: 19.7205 in the baseline, 19.6205 now (dB); worse by 0.1 dB"), "{text}");
    assert!(text.contains("note: 100 % of nothing\n") && !lines.iter().any(|line| line.starts_with("::")), "{text}");
}

#[test]
fn no_name_steers_a_terminal_or_begins_a_line() {
    let mut report = report();
    for finding in &mut report.findings {
        finding.trial = "::error::\u{1b}[2J\r\n::error::".into();
        finding.metric = "\u{1b}[31m\n::error::".into();
        finding.unit = "\n::error::".into();
        finding.effect_unit = "\n::error::".into();
    }
    report.baseline = "\n::error::`<b>`".into();
    report.approval.as_mut().unwrap().reason = "\u{1b}c\n::error::".into();
    for text in [to_text(&report), to_markdown(&report)] {
        let is_command = |line: &str| line.trim_start().starts_with("::");
        assert!(!text.lines().any(is_command) && !text.contains('\u{1b}'), "{text}");
    }
    assert!(!to_junit(&report).contains('\u{1b}') && !to_markdown(&report).contains("<b>"));
    assert!(
        to_annotations(&report).lines().all(|line| line.starts_with("::error file=") || line.starts_with("::notice"))
    );
}

#[test]
fn what_is_let_pass_is_no_error_in_any_format() {
    let errors = |report: &Report| {
        let junit = quick_junit::Report::deserialize_from_str(&to_junit(report)).unwrap();
        (junit.errors, to_annotations(report).lines().filter(|line| line.starts_with("::error")).count())
    };
    let (refused, allowed) = (incomparable(false), incomparable(true));
    assert_eq!([refused.exit_code, allowed.exit_code], [3, 0]);
    assert_eq!([errors(&refused), errors(&allowed)], [(1, 1), (0, 0)]);
    assert!(to_annotations(&allowed).starts_with("::warning file=quality.json,title=quality%3A run_seconds::"));
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
    assert_eq!((read.tests, read.failures, read.errors), (7, 1, 0));
    let case = &read.test_suites[0].test_cases[0];
    assert!(case.name.as_str().contains("<b> & \"c\"") && xml.contains("&lt;b&gt; &amp; "), "{xml}");
    let quick_junit::TestCaseStatus::NonSuccess { message, .. } = &case.status else { panic!("{case:?}") };
    assert!(message.as_ref().unwrap().as_str().starts_with("regression: 19.7205 in the baseline"));
}

#[test]
fn markdown_is_a_figure_and_a_table_with_the_rest_folded_away() {
    let text = to_markdown(&report());
    assert!(text.starts_with("## quality FAILED\n"), "{text}");
    // Ten tolerances lie at the edge; the name is text in a fence, and escaped elsewhere.
    let row = "················│···┊···········● a % <b> & \"c\", d ::error:: | `e` · psnr\n```\n";
    assert!(text.contains(row), "{text}");
    let is_drawn = |line: &str| line.starts_with('·');
    assert!(text.lines().all(|line| is_drawn(line) || !line.contains("<b>") && !line.contains(" `e`")), "{text}");
    let before_fold = text.split("<details>").next().unwrap();
    assert_eq!(before_fold.lines().filter(|line| line.starts_with("| regression")).count(), 1, "{text}");
    assert!(text.contains("6 comparisons without a regression</summary>"), "{text}");
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
