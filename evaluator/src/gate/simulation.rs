//! How often the gate cries wolf, and how small a change it finds, with the spreads that were measured.
//!
//! Each experiment is a baseline, a run and the run that confirms it, all drawn anew, and goes through [`compare`] and
//! [`confirm`] as a check does. What is printed stands in `experiments/baselines/README.md`:
//!
//!   cargo test --release -p evaluator --lib gate::simulation -- --nocapture

use super::finding::significant;
use super::tests::fixture::{SAMPLES, TODAY, approved, changed, machine, observed, pairs, run_of};
use super::*;
use crate::statistics::{SplitMix64, normal};
use std::collections::BTreeMap;

/// Standard deviation of a seed's mean PSNR in dB (`experiments/baselines/training.json`, twelve seeds).
const SPREAD_OF_SEEDS: f64 = 0.0752;

/// Standard deviation of the logarithm of two runs' seconds, one right behind the other, of one program: runs of 2 to 4 s
/// on two cores that other work wanted five times over.
const SPREAD_OF_RATIOS_ON_A_BUSY_MACHINE: f64 = 0.364;

/// The same on a machine that does nothing else: 0.046 of 30 pairs of runs of one second each, rounded up.
const SPREAD_OF_RATIOS_ON_A_QUIET_MACHINE: f64 = 0.05;

/// Share of experiments in which a check of `metric` fails, confirmed by another run.
fn failing(experiments: u64, metric: &str, experiment: impl Fn(&mut SplitMix64) -> [Vec<Finding>; 2]) -> f64 {
    let fails = |seed: u64| {
        let [mut first, again] = experiment(&mut SplitMix64(seed));
        confirm(&mut first, &again);
        first.iter().any(|finding| finding.metric == metric && finding.verdict.fails())
    };
    (0..experiments).filter(|&seed| fails(seed)).count() as f64 / experiments as f64
}

/// A check of training whose seeds lose `loss` dB: three seeds, then three others.
fn training(loss: f64) -> f64 {
    failing(2000, "psnr", |random| {
        let mut seeds = |loss: f64| (0..12).map(|_| 17.0 - loss + SPREAD_OF_SEEDS * normal(random)).collect::<Vec<_>>();
        let values = |psnr: f64| BTreeMap::from([("psnr".to_owned(), vec![psnr; SAMPLES])]);
        let (before, after) = (seeds(0.0), seeds(loss));
        let baseline = approved(run_of(before.iter().copied().map(values).collect(), true));
        let run = run_of(after.iter().copied().map(values).collect(), true);
        baseline.seeds().map(|checked| {
            let trials = run.trials.iter().filter(|trial| checked.contains(&trial.seed)).cloned().collect();
            compare(&baseline, &Observed { trials, ..run.clone() }, None, &machine("here"), TODAY).0
        })
    })
}

/// A check of costs with ten pairs, twice, of a program whose seconds are `ratio` of the other's, but for a spread.
fn costs(ratio: f64, spread: f64) -> f64 {
    let baseline = approved(observed());
    failing(300, "run_seconds", |random| {
        [(); 2].map(|()| {
            let ratios: Vec<f64> = (0..10).map(|_| ratio * (spread * normal(random)).exp()).collect();
            compare(&baseline, &observed(), Some(&pairs(&ratios)), &machine("here"), TODAY).0
        })
    })
}

/// A check of quality on another CPU, whose rounding moves each sample a little, of a program that loses `loss` dB on
/// average, more on some samples and less on others.
fn quality(loss: f64) -> f64 {
    let baseline = approved(observed());
    failing(300, "psnr", |random| {
        let lost: Vec<f64> =
            (0..SAMPLES).map(|_| loss * (1.0 + 0.5 * normal(random)) + 0.002 * normal(random)).collect();
        let run = changed("psnr", |sample, psnr| psnr - lost[sample]);
        [(); 2].map(|()| compare(&baseline, &run, None, &machine("here"), TODAY).0)
    })
}

#[test]
fn false_alarms_are_rare_and_large_changes_are_found() {
    let table = |what: &str, unit: &str, changes: &[f64], failing: fn(f64) -> f64| {
        let shares: Vec<f64> = changes.iter().map(|change| failing(*change)).collect();
        for (change, share) in changes.iter().zip(&shares) {
            println!("{what} {} {unit}: fails in {:.1} %", significant(*change, 3), 100.0 * share);
        }
        assert!(shares.is_sorted(), "a larger change is found as often: {shares:?}");
        (shares[0], shares[shares.len() - 1])
    };
    let losses = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|spreads| spreads * SPREAD_OF_SEEDS);
    for (least, most) in [
        table("training worse by", "dB", &losses, training),
        table("seconds, quiet, times", "", &[1.0, 1.1, 1.15, 1.2, 1.3], |ratio| {
            costs(ratio, SPREAD_OF_RATIOS_ON_A_QUIET_MACHINE)
        }),
        table("seconds, busy, times", "", &[1.0, 1.2, 1.5, 2.0, 3.0], |ratio| {
            costs(ratio, SPREAD_OF_RATIOS_ON_A_BUSY_MACHINE)
        }),
        table("quality worse by", "dB", &[0.0, 0.005, 0.01, 0.015, 0.02], quality),
    ] {
        assert!(least <= 0.01 && most >= 0.95, "{least} false alarms, {most} found");
    }
}
