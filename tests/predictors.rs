//! Searches that ask a predictor, other criteria and encodings, and the tables made of them, through the built binary.

mod common;

use common::Bench;

const ALL: &str = "sweep.strategies=['full', 'binned(4)', 'binary', 'binary-release', 'kary(3)', 'interpolate', \
                   'warm-start', 'regression(0.5)', 'regression(0.9)', 'regression-verified', 'guess(mean)', \
                   'guess(previous)', 'guess(high-frequency)', 'guess(jpeg, 0.9)', 'guess(frame-difference)', \
                   'fixed(0.5)', 'target-length(4)']";

/// A regressor of seconds.
const SMALL: [&str; 12] = [
    "--set",
    "regressor.curves=32",
    "--set",
    "regressor.counts=6",
    "--set",
    "regressor.steps=20",
    "--set",
    "regressor.width=16",
    "--set",
    "regressor.hidden=16",
    "--set",
    "regressor.heads=2",
];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "tiny.toml", "--set", ALL], &SMALL[..], more].concat()
}

/// A table as (column, value) by row, read from its JSON.
fn rows(bench: &Bench, arguments: &[&str]) -> Vec<serde_json::Value> {
    let (json, _) = bench.succeed(&[&["-q", "table"], arguments, &["--format", "json"]].concat());
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    table["rows"].as_array().unwrap().clone()
}

fn value(cell: &serde_json::Value) -> f64 {
    cell.as_f64().or(cell["value"].as_f64()).unwrap_or_else(|| panic!("{cell} is no number"))
}

#[test]
fn every_strategy_answers_the_same_live_and_replayed_and_regressors_are_trained_once() {
    let bench = Bench::new();
    let (_, err) = bench.succeed(&run(&[]));
    assert!(err.contains("3 trained") && err.contains("70 trials evaluated"), "{err}");
    let mut live = rows(&bench, &["search"]);
    let (_, err) = bench.succeed(&run(&["--set", "sweep.search=replay"]));
    assert!(err.contains("elastic FSQ seed 0: regressor trained before, reused"), "{err}");
    let mut replayed = rows(&bench, &["search"]);
    let take_times = |rows: &mut Vec<serde_json::Value>| -> Vec<Option<f64>> {
        let measured = rows.iter_mut().filter(|row| row["source"] == "measured");
        measured.map(|row| row.as_object_mut().unwrap().remove("milliseconds_per_block").unwrap().as_f64()).collect()
    };
    let in_life = take_times(&mut live);
    // One count for every block takes no search.
    assert!(in_life.iter().all(Option::is_some) && in_life.contains(&Some(0.0)), "{in_life:?}");
    assert!(in_life.iter().any(|time| time.is_some_and(|time| time > 0.0)), "{in_life:?}");
    let in_replay = take_times(&mut replayed);
    assert!(in_replay.iter().any(Option::is_none), "{in_replay:?}");
    assert_eq!(live, replayed);

    let measured = live.iter().filter(|row| row["source"] == "measured" && row["variant"] == "elastic FSQ");
    let measured: Vec<_> = measured.collect();
    assert_eq!(measured.len(), 17);
    let of = |strategy: &str| *measured.iter().find(|row| row["strategy"] == strategy).unwrap();
    let full = of("full");
    assert_eq!((value(&full["optimum_missed_percent"]), value(&full["evaluations"])), (0.0, 15.0));
    assert_eq!(value(&full["flops_of_full_percent"]), 100.0);
    for asks_nothing in ["regression(0.5)", "guess(jpeg, 0.9)", "fixed(0.5)", "target-length(4)"] {
        assert_eq!(value(&of(asks_nothing)["evaluations"]), 0.0, "{asks_nothing}");
    }
    assert_eq!(value(&of("target-length(4)")["kept_tokens"]), 4.0);
    // A margin never keeps fewer tokens.
    assert!(value(&of("regression(0.9)")["kept_tokens"]) >= value(&of("regression(0.5)")["kept_tokens"]));

    let predictions = rows(&bench, &["regressor"]);
    let of = |predictor: &str| predictions.iter().find(|row| row["strategy"] == predictor).unwrap();
    assert!(value(&of("regression(0.5)")["prediction_mflop"]) > 0.0);
    assert_eq!(of("binary")["prediction_mflop"], serde_json::Value::Null);
    assert_eq!(value(&of("binary")["evaluations_saved"]), 0.0);
    let costs = rows(&bench, &["search-cost"]);
    let of = |strategy: &str| costs.iter().find(|row| row["strategy"] == strategy).unwrap();
    assert_eq!((value(&of("full")["largest_batch"]), value(&of("full")["sequential_depth"])), (15.0, 1.0));
    assert_eq!((value(&of("binary")["largest_batch"]), value(&of("binary")["final_evaluations"])), (1.0, 1.0));
    let bits = rows(&bench, &["bits"]);
    let fixed = bits.iter().find(|row| row["strategy"] == "target-length(4)").unwrap();
    // 4 indices into 64 000 codes take ⌈4 · 15.97⌉ = 64 bits, the count, one of 15, takes 4.
    assert_eq!(value(&fixed["bits"]), 68.0);
    assert!(value(&fixed["codebook_perplexity"]) > 1.0);
    bench.succeed(&["figure", "margin", "--output", "margin.svg"]);
    for name in ["satisfaction", "fewer-tokens", "equal-mean", "mask-distribution", "rate", "monotonicity", "content"] {
        assert!(!rows(&bench, &[name]).is_empty(), "{name}");
    }
}

#[test]
fn a_similarity_can_be_the_threshold() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml", "--set", "sweep.criterion=ssim", "--set", "sweep.thresholds=[0.05, 0.2]"]);
    assert!(bench.succeed(&["table"]).0.starts_with("| variant        | strategy    | τ (SSIM) |"));
    let (csv, _) = bench.succeed(&["-q", "export", "measurements"]);
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap_or_else(|| panic!("{head:?}"));
    let [metric, value, threshold] = ["metric", "value", "threshold"].map(column);
    let mut ssim = None;
    let mut seen = [0, 0];
    for row in csv.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let number = |column: usize| fields[column].parse::<f64>().unwrap();
        match fields[metric] {
            "ssim" => ssim = Some(number(value)),
            // Metrics of a sample come in the order of their names.
            "threshold_met" => {
                let met = number(value) == 1.0;
                assert_eq!(met, 1.0 - ssim.unwrap() <= 1.0 - number(threshold), "{row}");
                seen[usize::from(met)] += 1;
            }
            _ => {}
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    let error = bench.refuse(&["run", "tiny.toml", "--set", "sweep.criterion=ssim", "--set", "sweep.thresholds=[1.5]"]);
    assert!(error.contains("1.5 must be a similarity between 0 and 1"), "{error}");
}

#[test]
fn without_mask_conditioning_a_block_is_encoded_once_with_the_same_answers() {
    let bench = Bench::new();
    let untold = ["run", "tiny.toml", "--set", "model.mask_conditioning=false"];
    bench.succeed(&untold);
    let each = rows(&bench, &[]);
    bench.succeed(&[&untold[..], &["--set", "sweep.encoding=once"]].concat());
    let once = rows(&bench, &[]);
    assert_eq!(each.len(), once.len());
    for (each, once) in each.iter().zip(&once) {
        for column in ["variant", "strategy", "kept_tokens", "evaluations"] {
            assert_eq!(each[column], once[column], "{each} {once}");
        }
    }
    let (csv, _) = bench.succeed(&["-q", "table", "search", "--format", "csv"]);
    assert!(csv.lines().count() > 6, "{csv}");
}

#[test]
fn a_table_says_where_it_comes_from_and_an_unknown_one_what_there_is() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    let (text, _) = bench.succeed(&["table", "satisfaction", "--provenance"]);
    assert!(text.lines().next().unwrap().contains("trials"), "{text}");
    assert!(text.contains("trial 1: elastic FSQ full τ = 0.1, key ") && text.contains("training run "), "{text}");
    let error = bench.refuse(&["table", "searches", "--experiment", "tiny"]);
    assert!(error.contains("there is no table \"searches\"; there are results, satisfaction, fewer-tokens"), "{error}");
    let error = bench.refuse(&["table", "searches"]);
    assert!(error.contains("searches"), "{error}");
    let error = bench.refuse(&["figure", "margin", "-o", "a.svg"]);
    assert!(error.contains("experiment tiny holds nothing for margin"), "{error}");
}
