//! The main job through the built binary: everything is made, the same is made again, nothing is made twice.

mod common;

use common::{Bench, assert_same};

#[test]
fn run_trains_evaluates_and_reports() {
    let bench = Bench::new();
    let (out, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(out.starts_with("| variant"), "the table comes first:\n{out}");
    for word in ["elastic VAE", "binned(4)", "0.3000", "met (%)", "PSNR (dB)", "search s/block"] {
        assert!(out.contains(word), "{word} is missing from\n{out}");
    }
    // 2 elastic variants × 3 strategies × 2 thresholds, 1 fixed × 2 thresholds.
    assert_eq!(out.lines().filter(|line| line.starts_with("| elastic") || line.starts_with("| fixed")).count(), 14);
    assert!(err.contains("3 trained, 0 reused; 14 trials evaluated, 0 reused"), "{err}");
    for file in ["table.md", "table.tex", "table.csv", "satisfaction.svg", "quality.svg"] {
        assert!(
            std::fs::read_to_string(bench.path("results/reports/tiny-1").join(file)).unwrap().len() > 500,
            "{file}"
        );
    }
    for file in ["satisfaction.png", "quality.png"] {
        assert_eq!(std::fs::read(bench.path("results/reports/tiny-1").join(file)).unwrap()[..4], *b"\x89PNG");
    }
    let (status, _) = bench.succeed(&["status"]);
    assert!(status.contains("tiny") && status.contains("trained 3/3") && status.contains("trials 14/14"), "{status}");
}

#[test]
fn running_again_reuses_everything_and_writes_the_same_bytes() {
    let bench = Bench::new();
    let (first, _) = bench.succeed(&["run", "tiny.toml"]);
    let report = |file: &str| std::fs::read(bench.path("results/reports/tiny-1").join(file)).unwrap();
    let before: Vec<Vec<u8>> = ["table.csv", "satisfaction.svg", "quality.png"].map(report).to_vec();
    let (second, err) = bench.succeed(&["run", "tiny.toml"]);
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated, 14 reused"), "{err}");
    assert_eq!(first, second);
    assert_eq!(["table.csv", "satisfaction.svg", "quality.png"].map(report).to_vec(), before);
    // Other processes were told of each piece of work once.
    let told = bench.told();
    let count = |kind: &str| told.iter().filter(|told| *told == kind).count();
    assert_eq!((count("training started"), count("training done")), (3, 3));
    assert_eq!((count("trial started"), count("trial done")), (14, 14));
    assert_eq!(
        (told[0].as_str(), &told[told.len() - 2..]),
        ("run started", &["run started", "run done"].map(String::from)[..])
    );
}

#[test]
fn a_new_threshold_trains_nothing_and_evaluates_only_itself() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    let (_, err) = bench.succeed(&["run", "tiny.toml", "--set", "sweep.thresholds=[0.1, 0.2, 0.3]"]);
    assert!(err.contains("0 trained, 3 reused; 7 trials evaluated, 14 reused"), "{err}");
}

#[test]
fn two_runs_with_one_seed_differ_only_in_times() {
    for threads in [1, 2] {
        let (one, two) = (Bench { threads, ..Bench::new() }, Bench { threads, ..Bench::new() });
        one.succeed(&["run", "tiny.toml"]);
        two.succeed(&["run", "tiny.toml"]);
        let (one, two) = (one.numbers(), two.numbers());
        assert!(one.len() > 500, "{} numbers compared", one.len());
        assert_same(&one, &two);
    }
}

#[test]
fn another_seed_gives_other_numbers() {
    let (one, two) = (Bench::new(), Bench::new());
    one.succeed(&["train", "tiny.toml"]);
    two.succeed(&["train", "tiny.toml", "--set", "seeds=[1]"]);
    assert_ne!(one.numbers(), two.numbers());
}

#[test]
fn replayed_searches_find_what_live_ones_find() {
    let (live, replayed) = (Bench::new(), Bench::new());
    live.succeed(&["run", "tiny.toml"]);
    replayed.succeed(&["run", "tiny.toml", "--set", "sweep.search=replay"]);
    assert_same(&live.numbers(), &replayed.numbers());
    let (table, _) = replayed.succeed(&["table", "tiny"]);
    assert!(table.contains("| binary"), "{table}");
    assert!(
        table.lines().any(|line| line.contains("binary") && line.trim_end().ends_with("– |")),
        "no seconds:\n{table}"
    );
}

#[test]
fn several_seeds_are_pooled() {
    let bench = Bench::new();
    let (out, err) = bench.succeed(&["run", "tiny.toml", "--set", "seeds=[0, 1]"]);
    assert!(err.contains("6 trained, 0 reused; 28 trials evaluated"), "{err}");
    assert!(out.contains("2 seeds"), "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("| elastic") || line.starts_with("| fixed")).count(), 14);
}

#[test]
fn the_steps_of_the_main_job_are_commands_of_their_own() {
    let bench = Bench::new();
    let (out, _) = bench.succeed(&["train", "tiny.toml"]);
    assert_eq!(out, "3 trained, 0 trained before\n");
    let (out, _) = bench.succeed(&["evaluate", "tiny.toml"]);
    assert!(out.starts_with("14 trials evaluated, 0 evaluated before\n"), "{out}");
    let (markdown, _) = bench.succeed(&["table"]);
    let (latex, _) = bench.succeed(&["table", "tiny", "--format", "latex"]);
    let (csv, _) = bench.succeed(&["table", "tiny", "--format", "csv"]);
    assert!(markdown.starts_with("| variant") && latex.contains("\\toprule") && csv.starts_with("variant,strategy,"));
    assert_eq!(csv.lines().count(), 15);
    bench.succeed(&["figure", "tiny", "--output", "a.svg"]);
    bench.succeed(&["figure", "quality", "--experiment", "tiny", "--output", "b.png"]);
    assert!(std::fs::read_to_string(bench.path("a.svg")).unwrap().contains("blocks that meet τ (%)"));
    assert_eq!(std::fs::read(bench.path("b.png")).unwrap()[..4], *b"\x89PNG");
}

#[test]
fn a_dry_run_lists_trials_with_their_cost_and_writes_nothing() {
    let bench = Bench::new();
    let before = bench.files();
    let (out, _) = bench.succeed(&["run", "tiny.toml", "--dry-run"]);
    assert!(out.contains("elastic FSQ\n  train seed 0: 12 steps, about"), "{out}");
    assert!(out.contains("binary τ = 0.1: 6 samples × at most 4 evaluations"), "{out}");
    assert!(out.contains(" s in all"), "{out}");
    assert_eq!(bench.files(), before);
}

#[test]
fn quiet_prints_only_the_result() {
    let bench = Bench::new();
    let (out, err) = bench.succeed(&["-q", "run", "tiny.toml"]);
    assert_eq!(err, "");
    assert!(out.starts_with("| variant"));
}

#[test]
fn everything_is_in_the_one_database_file() {
    let bench = Bench::new();
    let (out, _) = bench.succeed(&["run", "tiny.toml"]);
    assert!(!bench.path("results/elastictok.sqlite-wal").exists(), "a log is left beside the database");
    std::fs::copy(bench.db(), bench.path("copy.sqlite")).unwrap();
    let (copied, _) = bench.succeed(&["--db", "copy.sqlite", "table"]);
    assert!(out.starts_with(&copied));
}

#[test]
fn experiments_of_one_name_keep_their_own_reports() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    bench.succeed(&["run", "tiny.toml", "--set", "sweep.thresholds=[0.2]"]);
    let lines = |file: &str| std::fs::read_to_string(bench.path(file)).unwrap().lines().count();
    assert_eq!(lines("results/reports/tiny-1/table.csv"), 15);
    assert_eq!(lines("results/reports/tiny-2/table.csv"), 8);
    let rows = |name: &str| bench.succeed(&["table", name, "--format", "csv"]).0.lines().count();
    assert_eq!((rows("#1"), rows("#2"), rows("tiny")), (15, 8, 8));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::process::Stdio;
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    let mut child = bench.command(&["table"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = bench.command(&["table"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("writing the result: No space left"));
}

#[test]
fn folders_may_be_called_anything() {
    let bench = Bench::new();
    let odd = "it's \"my\" '\'\'photos";
    std::fs::rename(bench.path("photos/train"), bench.path(odd)).unwrap();
    bench.succeed(&["train", "tiny.toml", "--train", odd]);
}
