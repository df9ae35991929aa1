//! The gate through the built binary: `check` and `baseline approve`, their exit codes, and what a CI makes of them.

mod common;

use common::{Bench, signal, texts, wait_until};
use evaluator::gate::{Baseline, ExpectedFailure, Observed, REPORT_SCHEMA, Report, Verdict};
use evaluator::store::NewProvenance;
use sqlx::Connection as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CHECK: [&str; 3] = ["check", "--baseline", "gate.json"];

/// The tiny experiment on all ten held-out photographs: three could not tell a difference from chance.
fn bench() -> Bench {
    let bench = Bench::new();
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/data/photos/test");
    for file in std::fs::read_dir(photos).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, bench.path("photos/test").join(file.file_name().unwrap())).unwrap();
    }
    bench
}

/// The same, asked of weights that were trained before.
fn with_checkpoint() -> Bench {
    let bench = bench();
    let tiny = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let gate = tiny.split("[[variant]]").next().unwrap().replace("\"tiny\"", "\"gate\"");
    let gate = gate.replace("[model]\n", "[model]\ncheckpoint = \"gate.safetensors\"\n");
    std::fs::write(bench.path("gate.toml"), gate).unwrap();
    bench.succeed(&["train", "gate.toml", "--set", "model.checkpoint="]);
    let trained = std::fs::read_dir(bench.path("results/checkpoints")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(trained.join("weights.safetensors"), bench.path("gate.safetensors")).unwrap();
    bench
}

/// With the baseline `gate.json` of what that gives.
fn approved() -> Bench {
    let bench = with_checkpoint();
    approve(&bench, "gate.toml");
    bench
}

fn approve(bench: &Bench, experiment: &str) -> String {
    let new = ["baseline", "approve", "--baseline", "gate.json", "--experiment", experiment, "--reason", "the first"];
    bench.succeed(&new).0
}

/// Approves other numbers than were measured, as if this program or its machine had since changed.
fn pretend(bench: &Bench, change: impl FnOnce(&mut Observed, &mut NewProvenance)) {
    let file = bench.path("gate.json");
    let before = Baseline::read(&file).unwrap();
    let (mut measured, mut made_by) = (before.measured.clone(), before.approval().made_by.clone());
    let (name, experiment) = (before.name.clone(), before.experiment.clone());
    change(&mut measured, &mut made_by);
    let other = Baseline::approved(Some(before), &name, experiment, measured, "pretended", made_by);
    std::fs::write(file, other.to_json()).unwrap();
}

/// Adds to every value of a metric.
fn shift(bench: &Bench, metric: &str, by: f64) {
    pretend(bench, |measured, _| {
        let trials = measured.trials.iter_mut();
        trials.for_each(|trial| trial.values.get_mut(metric).unwrap().iter_mut().for_each(|value| *value += by));
    });
}

fn checked(bench: &Bench, more: &[&str]) -> Output {
    bench.run(&[&CHECK[..], more].concat())
}

fn expect(bench: &Bench, more: &[&str], code: i32) -> String {
    let output = checked(bench, more);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{more:?}:\n{out}\n{err}");
    out + &err
}

#[test]
fn a_program_checked_against_itself_passes_twenty_times() {
    let bench = approved();
    for time in 0..20 {
        let said = expect(&bench, &[], 0);
        assert!(said.starts_with("gate passed: "), "time {time}: {said}");
        for word in ["psnr", "kept_tokens", "search_seconds", "configuration", "weights"] {
            assert!(said.contains(word), "{word} is not told of in\n{said}");
        }
    }
    assert!(!bench.path("results/elastictok.sqlite-wal").exists());
    let (status, _) = bench.succeed(&["status"]);
    assert!(status.contains("trials 0/0"), "a check leaves the store alone:\n{status}");
}

#[test]
fn injected_regressions_end_with_their_codes_in_shells_and_make_too() {
    for (tolerances, code) in [(0.5, 0), (1.0, 0), (2.0, 1)] {
        let bench = approved();
        shift(&bench, "psnr", tolerances * 0.01);
        let said = expect(&bench, &[], code);
        assert_eq!(said.contains("another run shows it too"), code == 1, "{said}");

        let line = format!("'{}' --quiet check --baseline gate.json", env!("CARGO_BIN_EXE_elastictok"));
        let in_shell = format!("{line} >/dev/null\necho went on");
        let shell = Command::new("sh").args(["-e", "-c", &in_shell]).current_dir(bench.folder.path()).output().unwrap();
        assert_eq!(shell.status.code(), Some(code), "{shell:?}");
        assert_eq!(texts(&shell).0.contains("went on"), code == 0);

        std::fs::write(bench.path("Makefile"), format!("gate:\n\t@{line}\nrelease: gate\n\t@echo released\n")).unwrap();
        let make = Command::new("make").arg("release").current_dir(bench.folder.path()).output().unwrap();
        let (out, err) = texts(&make);
        assert_eq!((make.status.success(), out.contains("released")), (code == 0, code == 0), "{out}\n{err}");
        assert_eq!(err.contains(&format!("Error {code}")), code != 0, "{err}");
    }
}

#[test]
fn what_got_better_passes() {
    let bench = approved();
    shift(&bench, "psnr", -0.5);
    shift(&bench, "kept_tokens", 1.0);
    assert!(expect(&bench, &[], 0).contains("12 improved"));
    shift(&bench, "kept_tokens", -2.0);
    assert!(expect(&bench, &[], 1).contains("100 % of samples"));
}

#[test]
fn a_metric_that_the_run_lacks_fails_and_a_new_one_is_told() {
    let bench = approved();
    pretend(&bench, |measured, _| {
        for trial in &mut measured.trials {
            let psnr = trial.values["psnr"].clone();
            trial.values.insert("ms_ssim".to_owned(), psnr);
            trial.values.remove("ssim");
        }
    });
    let text = std::fs::read_to_string(bench.path("gate.json")).unwrap();
    let rule = r#""ms_ssim": { "version": 1, "unit": "", "better": "higher", "rule": { "kind": "exact", "equal_percent": 99 } },"#;
    std::fs::write(bench.path("gate.json"), text.replacen("\"psnr\": {", &format!("{rule} \"psnr\": {{"), 1)).unwrap();
    let said = expect(&bench, &[], 1);
    assert!(said.contains("ms_ssim: missing") && said.contains("ssim: new"), "{said}");
}

#[test]
fn what_cannot_be_compared_is_code_3_unless_allowed() {
    let bench = with_checkpoint();
    let said = expect(&bench, &[], 3);
    assert!(said.contains("there is no baseline gate.json") && said.contains("baseline approve"), "{said}");
    assert!(expect(&bench, &["--allow-missing-baseline"], 0).contains("nothing was compared"));

    approve(&bench, "gate.toml");
    let text = std::fs::read_to_string(bench.path("gate.json")).unwrap();
    std::fs::write(bench.path("gate.json"), text.replacen("\"version\": 1", "\"version\": 9", 1)).unwrap();
    assert!(expect(&bench, &[], 3).contains("version 9"));
    std::fs::write(bench.path("gate.json"), text).unwrap();

    let toml = std::fs::read_to_string(bench.path("gate.toml")).unwrap();
    std::fs::write(bench.path("gate.toml"), toml.replace("resize = 40", "resize = 48")).unwrap();
    assert!(expect(&bench, &[], 3).contains("the protocol is another: resize"));
    std::fs::write(bench.path("gate.toml"), toml).unwrap();
    std::fs::remove_file(bench.path("photos/test/opera-chorus-on-stage.jpg")).unwrap();
    assert!(expect(&bench, &[], 3).contains("the held-out files are others"));
    assert!(expect(&bench, &["--allow-missing-baseline"], 0).contains("not comparable"));
}

#[test]
fn costs_of_another_machine_are_not_comparable_and_without_them_any_machine_will_do() {
    let bench = approved();
    let elsewhere = || pretend(&bench, |_, made_by| made_by.host = "another".to_owned());
    elsewhere();
    assert!(expect(&bench, &[], 0).contains("3 advice"));

    bench.succeed(&["baseline", "approve", "--baseline", "gate.json", "--reason", "with costs", "--costs"]);
    let costs = Baseline::read(&bench.path("gate.json")).unwrap().measured.costs;
    assert_eq!(costs.keys().collect::<Vec<_>>(), ["peak_memory", "run_seconds", "search_seconds"]);
    assert!(costs.values().all(|cost| *cost > 0.0), "{costs:?}");
    let report: Report = serde_json::from_slice(&checked(&bench, &["--format", "json"]).stdout).unwrap();
    let advice = report.findings.iter().filter(|finding| finding.verdict == Verdict::Advice);
    assert_eq!((report.exit_code, advice.filter(|finding| finding.run > Some(0.0)).count()), (0, 3), "{report:?}");

    elsewhere();
    assert!(expect(&bench, &[], 3).contains("approved on another machine: compare it with --against BINARY"));
    assert!(expect(&bench, &["--allow-missing-baseline"], 0).contains("3 not comparable"));
    let said = expect(&bench, &["--against", env!("CARGO_BIN_EXE_elastictok"), "--pairs", "2"], 0);
    assert!(!said.contains("not comparable"), "{said}");
}

#[test]
fn what_cannot_be_used_is_code_2() {
    let bench = approved();
    assert!(bench.refuse(&["check"]).contains("--baseline"));
    assert!(expect(&bench, &["--against", "absent"], 2).contains("--against absent"));
    assert!(expect(&bench, &["--against", "gate.toml", "--pairs", "1"], 2).contains("gate.toml"));
    assert!(expect(&bench, &["--db", "gate.toml"], 2).contains("gate.toml"));
    assert!(expect(&bench, &["--report", "gate.toml"], 2).contains("--report gate.toml: cannot make the folder"));
    let text = std::fs::read_to_string(bench.path("gate.json")).unwrap();
    std::fs::write(bench.path("gate.json"), &text[..text.len() / 2]).unwrap();
    assert!(expect(&bench, &[], 2).contains("gate.json is damaged or not one: EOF"));
    std::fs::write(bench.path("gate.json"), text.replacen("the first", "the second", 1)).unwrap();
    assert!(expect(&bench, &[], 2).contains("changed by hand"));
    std::fs::write(bench.path("gate.json"), text).unwrap();
    std::fs::remove_file(bench.path("gate.safetensors")).unwrap();
    assert!(expect(&bench, &[], 2).contains("gate.safetensors"));
}

#[test]
fn a_fault_of_the_machine_is_code_4() {
    let bench = approved();
    let output = bench.command(&CHECK).env("TMPDIR", bench.path("absent")).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}

#[test]
fn ctrl_c_is_code_130() {
    let bench = approved();
    let mut child = bench
        .command(&CHECK)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("TMPDIR", bench.path("."))
        .spawn()
        .unwrap();
    let temporary = || {
        std::fs::read_dir(bench.path(".")).unwrap().flatten().any(|file| {
            file.file_name().to_string_lossy().starts_with(".tmp") && file.path().join("elastictok.sqlite").exists()
        })
    };
    wait_until("the check to open its store", temporary);
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!temporary(), "the temporary store is left");
}

#[test]
fn a_training_that_no_longer_learns_fails() {
    let bench = bench();
    let tiny = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let shared = tiny.split("[[variant]]").next().unwrap().replace("\"tiny\"", "\"training\"");
    let toml = shared.replace(r#"["full", "binned(4)", "binary"]"#, r#"["target-length(8)"]"#);
    let toml = toml.replace("[data]", "seeds = [0, 1, 2, 3, 4, 5]\n[data]");
    std::fs::write(bench.path("training.toml"), &toml).unwrap();
    approve(&bench, "training.toml");
    let said = expect(&bench, &[], 0);
    assert!(said.starts_with("training passed: ") && said.contains("psnr"), "{said}");
    // The three seeds of the check, and the three others that confirm it.
    shift(&bench, "psnr", 3.0);
    let said = expect(&bench, &[], 1);
    assert!(said.contains("psnr: regression") && said.contains("another run shows it too"), "{said}");

    shift(&bench, "psnr", -3.0);
    std::fs::write(bench.path("training.toml"), toml.replace("steps = 12", "steps = 11")).unwrap();
    let said = expect(&bench, &[], 1);
    assert!(said.contains("seed 0 · configuration: regression") && said.contains("another run shows it too"), "{said}");
    std::fs::write(bench.path("training.toml"), toml.replace("steps = 12", "steps = 12\nlearning_rate = 1e30"))
        .unwrap();
    assert!(expect(&bench, &[], 1).contains("the loss at step"));
}

#[test]
fn expected_failures_end_on_their_day() {
    for (expires, code) in [("2000-01-01", 1), ("9000-01-01", 0)] {
        let bench = approved();
        shift(&bench, "psnr", 1.0);
        let mut baseline = Baseline::read(&bench.path("gate.json")).unwrap();
        let (trial, metric, reason) = (String::new(), "psnr".to_owned(), "known".to_owned());
        let expires = expires.parse().unwrap();
        baseline.expected_failures.push(ExpectedFailure { trial, metric, reason, expires });
        std::fs::write(bench.path("gate.json"), baseline.to_json()).unwrap();
        expect(&bench, &[], code);
    }
}

/// Expects a check to end with this code, the same report in every format, as a file and as what it prints, an element of
/// JUnit and a level of annotations: what is written, by the files' extensions.
fn reported(bench: &Bench, more: &[&str], code: i32, element: &str, level: &str) -> impl Fn(&str) -> String + use<> {
    let folder = bench.path("report");
    expect(bench, &[&["--report", "report"], more].concat(), code);
    let read = move |extension: &str| std::fs::read_to_string(folder.join(format!("gate.{extension}"))).unwrap();
    let report: Report = serde_json::from_str(&read("json")).unwrap();
    assert_eq!((report.schema, i32::from(report.exit_code)), (REPORT_SCHEMA, code));
    assert!(read("txt").starts_with(&format!("gate {}: ", report.outcome.words())), "{}", read("txt"));
    assert!(read("svg").starts_with("<svg"));
    assert!(read("xml").starts_with("<?xml") && read("xml").contains(&format!("<{element}")), "{}", read("xml"));
    assert!(read("md").starts_with(&format!("## gate {}\n", report.outcome.words())), "{}", read("md"));
    assert!(read("annotations").starts_with(&format!("::{level} file=gate.json,title=")), "{}", read("annotations"));
    for (format, begins) in [("json", "{"), ("junit", "<?xml"), ("markdown", "## gate"), ("github", "::")] {
        let output = checked(bench, &[&["--format", format], more].concat());
        assert_eq!(output.status.code(), Some(code));
        assert!(texts(&output).0.starts_with(begins), "{format}: {output:?}");
    }
    read
}

#[test]
fn reports_are_written_in_every_format() {
    let bench = approved();
    shift(&bench, "psnr", 1.0);
    let read = reported(&bench, &[], 1, "failure", "error");
    assert!(read("md").contains("```text\nbetter by 4") && read("md").contains("●"));
}

#[test]
fn reports_are_written_where_there_is_no_baseline() {
    let bench = with_checkpoint();
    for (more, code, element, level) in
        [(&[][..], 3, "error", "error"), (&["--allow-missing-baseline"], 0, "skipped", "warning")]
    {
        let read = reported(&bench, more, code, element, level);
        for extension in ["txt", "xml", "md", "annotations"] {
            assert!(read(extension).contains("elastictok baseline approve --baseline gate.json"), "{extension}");
        }
        let report: Report = serde_json::from_str(&read("json")).unwrap();
        assert_eq!((report.approval, report.findings.len()), (None, 1));
        assert_eq!(report.findings[0].verdict, Verdict::NotComparable);
    }
}

#[test]
fn reports_are_written_where_a_run_ends_with_what_is_no_number() {
    let bench = bench();
    let tiny = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let shared = tiny.split("[[variant]]").next().unwrap().replace("\"tiny\"", "\"gate\"");
    let toml = shared.replace(r#"["full", "binned(4)", "binary"]"#, r#"["target-length(8)"]"#);
    std::fs::write(bench.path("gate.toml"), &toml).unwrap();
    approve(&bench, "gate.toml");
    std::fs::write(bench.path("gate.toml"), toml.replace("steps = 12", "steps = 12\nlearning_rate = 1e30")).unwrap();
    let read = reported(&bench, &[], 1, "failure", "error");
    for extension in ["txt", "xml", "md", "annotations"] {
        assert!(read(extension).replace('\\', "").contains("lower train.learning_rate"), "{}", read(extension));
    }
    let report: Report = serde_json::from_str(&read("json")).unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.verdict, &*finding.metric)).collect();
    assert_eq!(found, [(Verdict::Regression, "run")]);
}

#[test]
fn the_committed_model_is_below_2_mb_and_its_baseline_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/baselines");
    assert!(std::fs::metadata(folder.join("quality.safetensors")).unwrap().len() < 2_000_000);
    for file in ["quality.json", "training.json"] {
        assert!(Baseline::read(&folder.join(file)).unwrap().experiment_file(&folder.join(file)).exists(), "{file}");
    }
}

#[test]
fn a_store_that_is_given_keeps_what_was_measured_and_is_not_believed() {
    let bench = approved();
    for time in ["made", "there already"] {
        assert!(!expect(&bench, &["--db", "kept.sqlite"], 0).contains("reused"), "{time}");
        let (status, _) = bench.succeed(&["status", "--db", "kept.sqlite"]);
        assert!(status.contains("trials 6/6"), "{time}: {status}");
    }
    // Numbers under the same key that another program, or hand, had left there.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = sqlx::SqliteConnection::connect(bench.path("kept.sqlite").to_str().unwrap()).await.unwrap();
        sqlx::query("update measurement set value = value + 1").execute(&mut store).await.unwrap();
        store.close().await.unwrap();
    });
    let said = expect(&bench, &["--db", "kept.sqlite"], 0);
    assert!(said.contains("unchanged") && said.contains("not kept in kept.sqlite: "), "{said}");
}

/// A program that takes no time: it copies a store that was made before to where it is asked for one.
fn instant_program(bench: &Bench) {
    bench.succeed(&["evaluate", "gate.toml", "--db", "made.sqlite"]);
    let made = bench.path("made.sqlite");
    let script = format!("#!/bin/sh\nwhile [ \"$1\" != --db ]; do shift; done\ncp '{}' \"$2\"\n", made.display());
    std::fs::write(bench.path("instant"), script).unwrap();
    std::fs::set_permissions(bench.path("instant"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn costs_are_compared_with_another_program_only() {
    let bench = approved();
    let said = expect(&bench, &["--against", env!("CARGO_BIN_EXE_elastictok"), "--pairs", "2"], 0);
    assert!(said.contains("run_seconds") && said.contains("peak_memory"), "{said}");
    instant_program(&bench);
    let said = expect(&bench, &["--against", "instant"], 1);
    assert!(said.contains("run_seconds: regression") && said.contains("medians of 10 pairs"), "{said}");
    assert!(said.contains("another run shows it too"), "{said}");
}

#[test]
fn approving_says_what_changed_and_keeps_what_was_said() {
    let bench = approved();
    shift(&bench, "psnr", 1.0);
    let first = std::fs::read(bench.path("gate.json")).unwrap();
    assert!(bench.refuse(&["baseline", "approve", "--baseline", "gate.json", "--reason", " "]).contains("--reason"));
    let absent = ["baseline", "approve", "--baseline", "absent.json", "--reason", "new"];
    assert!(bench.refuse(&absent).contains("--experiment FILE.toml"));
    assert_eq!(std::fs::read(bench.path("gate.json")).unwrap(), first, "a refusal changes nothing");
    expect(&bench, &[], 1);
    assert_eq!(std::fs::read(bench.path("gate.json")).unwrap(), first, "nor does a check");
    let (out, _) = bench.succeed(&["baseline", "approve", "--baseline", "gate.json", "--reason", "a faster resize"]);
    assert!(out.contains("psnr: regression") && out.contains("approved 6 trials of gate"), "{out}");
    expect(&bench, &[], 0);
    let reasons: Vec<String> = Baseline::read(&bench.path("gate.json"))
        .unwrap()
        .approvals
        .into_iter()
        .map(|approval| approval.reason)
        .collect();
    assert_eq!(reasons, ["the first", "pretended", "a faster resize"]);
}

#[test]
fn approving_too_few_photographs_says_that_they_tell_nothing() {
    let bench = with_checkpoint();
    assert!(!approve(&bench, "gate.toml").contains("note: "));
    for file in std::fs::read_dir(bench.path("photos/test")).unwrap().skip(3) {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(approve(&bench, "gate.toml").contains("note: 3 files or pairs cannot tell any difference from chance"));
}
