//! A baseline of ten photographs with four crops each, one trial, and runs that differ from it.

use super::super::*;
use crate::metric::{Direction, Protocol};
use crate::store::{ContentHash, NewProvenance};
use jiff::civil::{Date, date};
use std::collections::BTreeMap;

pub(in crate::gate) const TODAY: Date = date(2026, 3, 1);
pub(in crate::gate) const TRIAL: &str = "elastic FSQ · binary · τ = 0.03";
const PHOTOGRAPHS: usize = 10;
const CROPS: usize = 4;
pub(in crate::gate) const SAMPLES: usize = PHOTOGRAPHS * CROPS;

pub(in crate::gate) fn machine(host: &str) -> NewProvenance {
    NewProvenance {
        key: ContentHash::of(host.as_bytes()),
        version: "0.1.0".into(),
        git_commit: Some("5f3a".into()),
        git_dirty: Some(false),
        rustc: "rustc 1.95.0".into(),
        cpu: "a processor".into(),
        cpu_features: "avx2 fma".into(),
        threads: 2,
        os: "linux".into(),
        host: host.into(),
    }
}

/// A run with these values of its one trial, or of one trial a seed.
pub(in crate::gate) fn run_of(seeds: Vec<BTreeMap<String, Vec<f64>>>, trains: bool) -> Observed {
    let trials = seeds.into_iter().enumerate().map(|(seed, values)| ObservedTrial {
        name: TRIAL.into(),
        seed: seed as u64,
        configuration: ContentHash::of(b"configuration"),
        weights: (!trains).then(|| ContentHash::of(b"weights")),
        values,
    });
    Observed {
        data: ContentHash::of(b"photographs"),
        protocol: serde_json::to_value(Protocol::fixed_crops(128, 64, CROPS)).unwrap(),
        evaluator: 2,
        sources: (0..PHOTOGRAPHS).map(|photograph| (format!("{photograph}.jpg"), CROPS)).collect(),
        trials: trials.collect(),
        costs: Costs::new(),
    }
}

/// What was approved: values as different as photographs are.
pub(in crate::gate) fn observed() -> Observed {
    let tokens = (0..SAMPLES).map(|sample| (4 + 3 * sample % 60) as f64).collect();
    let psnr = (0..SAMPLES).map(|sample| 18.0 + 0.37 * (sample % 11) as f64).collect();
    run_of(vec![BTreeMap::from([("kept_tokens".into(), tokens), ("psnr".into(), psnr)])], false)
}

/// Twelve seeds, of mean 17 and deviation 0.1 dB but for rounding.
pub(in crate::gate) fn trained(seeds: usize, shift: f64) -> Observed {
    let of = |seed: usize| {
        let psnr = 17.0 + 0.1 * [1.0, -1.0, 0.6, -0.6, 1.3, -1.3, 0.8, -0.8, 1.0, -1.0, 0.9, -0.9][seed] - shift;
        BTreeMap::from([("psnr".into(), vec![psnr; SAMPLES])])
    };
    run_of((0..seeds).map(of).collect(), true)
}

pub(in crate::gate) fn approved(measured: Observed) -> Baseline {
    Baseline::approved(None, "quality", "quality.toml".into(), measured, "first numbers", machine("here"))
}

/// The run with one metric changed, sample by sample.
pub(in crate::gate) fn changed(metric: &str, change: impl Fn(usize, f64) -> f64) -> Observed {
    let mut run = observed();
    let values = run.trials[0].values.get_mut(metric).unwrap();
    values.iter_mut().enumerate().for_each(|(sample, value)| *value = change(sample, *value));
    run
}

/// The same run, that took so many seconds.
pub(in crate::gate) fn costing(seconds: f64) -> Observed {
    Observed { costs: Costs::from([("run_seconds".into(), seconds)]), ..observed() }
}

pub(in crate::gate) fn findings(baseline: &Baseline, run: &Observed) -> Vec<Finding> {
    compare(baseline, run, None, &machine("here"), TODAY).0
}

/// What came of a metric's comparison.
pub(in crate::gate) fn verdict(findings: &[Finding], metric: &str) -> Verdict {
    let of: Vec<&Finding> = findings.iter().filter(|finding| finding.metric == metric).collect();
    assert_eq!(of.len(), 1, "{metric} in {findings:?}");
    of[0].verdict
}

/// Pairs of runs whose seconds have these ratios.
pub(in crate::gate) fn pairs(ratios: &[f64]) -> Vec<Pair> {
    let costs = |seconds: f64| {
        let of = ["search_seconds", "run_seconds", "peak_memory"];
        of.map(|cost| (cost.to_owned(), seconds)).into()
    };
    ratios.iter().map(|ratio| Pair { before: costs(2.0), after: costs(2.0 * ratio) }).collect()
}

pub(in crate::gate) fn with_rule(mut baseline: Baseline, metric: &str, rule: Rule) -> Baseline {
    baseline.metrics.get_mut(metric).unwrap().rule = rule;
    baseline
}

#[test]
fn a_first_baseline_has_the_usual_rules() {
    let baseline = approved(observed());
    let names: Vec<&str> = baseline.metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["kept_tokens", "peak_memory", "psnr", "run_seconds", "search_seconds"]);
    assert_eq!(baseline.metrics["psnr"].better, Direction::Higher);
    assert_eq!(baseline.metrics["kept_tokens"].rule, Rule::Exact { equal_percent: 99.0 });
}
