//! A run beside its baseline: every comparison, what came of each, the worst first.

use super::baseline::Baseline;
use super::cost::{Costs, Pair};
use super::finding::{Finding, Verdict};
use super::observed::{Observed, ObservedTrial};
use super::paired::Tolerance;
use super::rule::{Gated, Kind, Rule, definition};
use super::{exact, expected, noisy, paired, seeds};
use crate::metric::{Direction, Protocol};
use crate::statistics::{holm, mean};
use crate::store::NewProvenance;
use jiff::civil::Date;
use std::collections::BTreeSet;

/// A comparison is believed below this p-value, after Holm's correction.
const SIGNIFICANT: f64 = 0.05;

/// Compares a run with what was approved; `pairs` are runs of another program and this one in turn, `here` is
/// this machine. Failures that are expected on the day `today` do not fail.
///
/// Also what there is to say of expected failures that are none.
pub fn compare(
    baseline: &Baseline,
    run: &Observed,
    pairs: Option<&[Pair]>,
    here: &NewProvenance,
    today: Date,
) -> (Vec<Finding>, Vec<String>) {
    let side_by_side = SideBySide { baseline, run, seeds: run.seeds() };
    let mut findings = match side_by_side.incomparable() {
        Some(reason) => side_by_side.all_incomparable(&reason),
        None => {
            let mut findings = side_by_side.identities();
            for (metric, gated) in &baseline.metrics {
                findings.extend(side_by_side.of_metric(metric, gated, pairs, here));
            }
            findings.extend(side_by_side.missing_trials());
            findings.extend(side_by_side.news());
            findings
        }
    };
    decide(&mut findings);
    let mut notes = expected::tolerate(&mut findings, &baseline.expected_failures, today);
    notes.extend(too_few(&findings));
    sort(&mut findings);
    (findings, notes)
}

/// Takes back the regressions that another run did not show.
pub fn confirm(findings: &mut [Finding], again: &[Finding]) {
    for finding in findings.iter_mut().filter(|finding| finding.verdict == Verdict::Regression) {
        let is_same = |other: &&Finding| other.trial == finding.trial && other.metric == finding.metric;
        // Of whichever seed: another run of what is trained has others.
        if again.iter().filter(is_same).any(|other| other.verdict.fails()) {
            finding.tell("another run shows it too");
        } else {
            finding.verdict = Verdict::NotConfirmed;
            finding.tell("another run does not show it");
        }
    }
    sort(findings);
}

/// By verdict, the worst first; of one verdict by how many tolerances the effect is.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(b.severity().total_cmp(&a.severity())));
}

/// Corrects p-values for the number of comparisons, and says what came of each that was tested.
fn decide(findings: &mut [Finding]) {
    let tested: Vec<&mut Finding> = findings.iter_mut().filter(|finding| finding.p_value.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|finding| finding.p_value).collect();
    for (finding, adjusted) in tested.into_iter().zip(holm(&p_values)) {
        finding.adjusted_p_value = Some(adjusted);
        let (effect, (low, high)) = (finding.effect.unwrap_or(0.0), finding.interval.unwrap_or((0.0, 0.0)));
        let is_sure = adjusted < SIGNIFICANT && (low > 0.0 || high < 0.0);
        finding.verdict = match effect {
            _ if finding.is_beyond() && is_sure => Verdict::Regression,
            _ if finding.is_beyond() => Verdict::NotSignificant,
            0.0 => Verdict::Unchanged,
            effect if effect < -finding.tolerance && is_sure => Verdict::Improved,
            _ => Verdict::WithinTolerance,
        };
    }
}

/// How many files or pairs it takes to tell a difference from chance among so many comparisons: the sign-flip test of n gives
/// no p-value below 2 / 2ⁿ, which Holm multiplies by the number of comparisons at first.
pub fn enough_pairs(comparisons: usize) -> usize {
    (2.0 * comparisons as f64 / SIGNIFICANT).log2().floor() as usize + 1
}

/// What to say where no difference could have been told from chance.
fn too_few(findings: &[Finding]) -> Option<String> {
    let flipped: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.effect.is_some() && matches!(finding.kind, Kind::Paired | Kind::Noisy))
        .collect();
    let comparisons = findings.iter().filter(|finding| finding.p_value.is_some()).count().max(1);
    let needed = enough_pairs(comparisons);
    let fewest = flipped.iter().map(|finding| finding.sources).min().filter(|fewest| *fewest < needed)?;
    Some(format!(
        "{fewest} files or pairs cannot tell any difference from chance among {comparisons} comparisons: use {needed} or more"
    ))
}

/// What is compared.
struct SideBySide<'a> {
    baseline: &'a Baseline,
    run: &'a Observed,
    /// Those of the run: a check runs only some of the baseline's.
    seeds: Vec<u64>,
}

impl<'a> SideBySide<'a> {
    /// Why no number of the run may stand beside one of the baseline, if so.
    fn incomparable(&self) -> Option<String> {
        let (approved, now) = (&self.baseline.measured, self.run);
        if approved.data != now.data || approved.sources != now.sources {
            return Some("the held-out files are others".to_owned());
        }
        if approved.protocol != now.protocol {
            let read = |value: &serde_json::Value| serde_json::from_value::<Protocol>(value.clone()).ok();
            let difference = read(&approved.protocol).zip(read(&now.protocol)).and_then(|(a, b)| a.difference(&b));
            return Some(format!("the protocol is another: {}", difference.as_deref().unwrap_or("of another version")));
        }
        (approved.evaluator != now.evaluator)
            .then(|| format!("the evaluator's version is {}, not {}", now.evaluator, approved.evaluator))
    }

    fn all_incomparable(&self, reason: &str) -> Vec<Finding> {
        let of = |(metric, gated): (&String, &Gated)| {
            Finding::of("", metric, gated.rule.kind()).decided(Verdict::NotComparable, reason)
        };
        self.baseline.metrics.iter().map(of).collect()
    }

    /// The baseline's trials of the seeds that were run, each with the run's, if it has it.
    fn trials(&self) -> impl Iterator<Item = (&'a ObservedTrial, Option<&'a ObservedTrial>)> {
        let of_seeds = self.baseline.measured.trials.iter().filter(|trial| self.seeds.contains(&trial.seed));
        of_seeds.map(|trial| (trial, self.run.trial(&trial.name, trial.seed)))
    }

    /// A finding's place in a trial: with its seed, where several are run.
    fn of(&self, trial: &ObservedTrial, finding: Finding) -> Finding {
        let seed = (self.seeds.len() > 1).then_some(trial.seed);
        Finding { trial: trial.name.clone(), seed, ..finding }
    }

    /// Whether the same was asked, of the same weights where they are given.
    fn identities(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (approved, now) in self.trials().filter_map(|(approved, now)| Some((approved, now?))) {
            let same = |what: &str, before: String, after: String| {
                let finding = self.of(approved, Finding::of("", what, Kind::Exact));
                match before == after {
                    true => finding,
                    false => finding.decided(Verdict::Regression, format!("is {after:.12}, not {before:.12}")),
                }
            };
            let configurations = (approved.configuration.to_string(), now.configuration.to_string());
            findings.push(same("configuration", configurations.0, configurations.1));
            if let Some(weights) = approved.weights {
                let given = now.weights.map_or_else(|| "trained".to_owned(), |weights| weights.to_string());
                findings.push(same("weights", weights.to_string(), given));
            }
        }
        findings
    }

    fn missing_trials(&self) -> Vec<Finding> {
        let missing = self.trials().filter(|(_, now)| now.is_none());
        let of = |(trial, _): (&ObservedTrial, _)| {
            let finding = self.of(trial, Finding::of("", "trial", Kind::Exact));
            finding.decided(Verdict::Missing, "the run has no such trial")
        };
        let mut findings: Vec<Finding> = missing.map(of).collect();
        if self.trials().next().is_none() {
            let detail = match &self.seeds[..] {
                [] => "the run has no trial".to_owned(),
                seeds => format!("the run has the seeds {seeds:?}, the baseline others"),
            };
            findings.push(Finding::of("", "trial", Kind::Exact).decided(Verdict::Missing, detail));
        }
        findings
    }

    /// What the run has and the baseline does not.
    fn news(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for trial in &self.run.trials {
            if self.baseline.measured.trial(&trial.name, trial.seed).is_none() {
                let finding = self.of(trial, Finding::of("", "trial", Kind::Exact));
                findings.push(finding.decided(Verdict::New, "not in the baseline"));
            }
        }
        let metrics: BTreeSet<&String> = self.run.trials.iter().flat_map(|trial| trial.values.keys()).collect();
        for metric in metrics.into_iter().filter(|metric| !self.baseline.metrics.contains_key(*metric)) {
            let finding = Finding::of("", metric, Kind::Exact);
            findings.push(finding.decided(Verdict::New, "the baseline has no rule for it"));
        }
        findings
    }

    /// Every comparison of a metric.
    fn of_metric(&self, name: &str, gated: &Gated, pairs: Option<&[Pair]>, here: &NewProvenance) -> Vec<Finding> {
        let blank = |trial: &str| Finding {
            unit: gated.unit.clone(),
            better: gated.better,
            ..Finding::of(trial, name, gated.rule.kind())
        };
        match definition(name) {
            None => return vec![blank("").decided(Verdict::Missing, "this version does not measure it")],
            Some(known) => {
                let approved = (gated.version, &*gated.unit, gated.better);
                let now = (known.version, known.unit, known.direction);
                if approved != now {
                    let told = |(version, unit, better): (u32, &str, Direction)| match unit {
                        "" => format!("version {version} ({better:?} is better)"),
                        unit => format!("version {version} (in {unit}, {better:?} is better)"),
                    };
                    let detail = format!("{} was approved, this is {}", told(approved), told(now));
                    return vec![blank("").decided(Verdict::NotComparable, detail)];
                }
            }
        }
        let was_approved = |trial: &ObservedTrial| trial.values.contains_key(name);
        if gated.rule.kind() != Kind::Noisy && !self.baseline.measured.trials.iter().any(was_approved) {
            let detail = "there is a rule for it and no number: approve the baseline again";
            return vec![blank("").decided(Verdict::NotComparable, detail)];
        }
        match gated.rule {
            Rule::Noisy { percent } => self.cost(blank(""), percent, pairs, here).into_iter().collect(),
            Rule::Seeds { minimum_effect } => {
                let names = self.baseline.measured.names();
                names.into_iter().filter_map(|trial| self.of_seeds(blank(trial), minimum_effect)).collect()
            }
            Rule::Exact { .. } | Rule::Paired { .. } => {
                let both = self.trials().filter_map(|(approved, now)| Some((approved, now?)));
                both.filter_map(|(approved, now)| {
                    self.of_trial(self.of(approved, blank("")), gated.rule, approved, now)
                })
                .collect()
            }
        }
    }

    /// Compares the samples of a trial; nothing where it was not approved with this metric.
    fn of_trial(&self, finding: Finding, rule: Rule, approved: &ObservedTrial, now: &ObservedTrial) -> Option<Finding> {
        let approved = approved.values.get(&finding.metric)?;
        let finding = Finding { baseline: Some(mean(approved)), sources: self.run.sources.len(), ..finding };
        let Some(run) = now.values.get(&finding.metric).filter(|run| run.len() == approved.len()) else {
            return Some(finding.decided(Verdict::Missing, "the run does not have it of every sample"));
        };
        let finding = Finding { run: Some(mean(run)), samples: run.len(), ..finding };
        if let Some(value) = run.iter().find(|value| !value.is_finite()) {
            return Some(finding.decided(Verdict::Regression, format!("a sample has the value {value}")));
        }
        Some(match rule {
            Rule::Paired { absolute, relative, minimum_effect } => {
                let tolerance = Tolerance { absolute, relative, minimum_effect };
                paired::compare(finding, &self.run.source_of_samples(), approved, run, tolerance)
            }
            Rule::Exact { equal_percent } => exact::compare(finding, approved, run, equal_percent),
            Rule::Seeds { .. } | Rule::Noisy { .. } => unreachable!("not compared sample by sample"),
        })
    }

    /// Compares the means of a trial's seeds.
    fn of_seeds(&self, finding: Finding, minimum_effect: f64) -> Option<Finding> {
        let samples = self.baseline.measured.samples();
        let of = |trial: &ObservedTrial| {
            let values = trial.values.get(&finding.metric).filter(|values| values.len() == samples);
            values.map(|values| mean(values))
        };
        let trials = || self.baseline.measured.trials.iter().filter(|trial| trial.name == finding.trial);
        let approved: Vec<f64> = trials().filter_map(of).collect();
        if approved.is_empty() {
            return None;
        }
        let run_too = trials().filter(|trial| self.seeds.contains(&trial.seed));
        let pairs = run_too.map(|trial| Some((of(trial)?, self.run.trial(&trial.name, trial.seed).and_then(of)?)));
        let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else {
            return Some(finding.decided(Verdict::Missing, "the run does not have it of every sample and seed"));
        };
        let (before, after): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        if pairs.is_empty() {
            return None; // its trials are missing
        }
        let finding = Finding { baseline: Some(mean(&before)), run: Some(mean(&after)), ..finding };
        if let Some(value) = after.iter().find(|value| !value.is_finite()) {
            return Some(finding.decided(Verdict::Regression, format!("a seed has the value {value}")));
        }
        Some(seeds::compare(finding, &approved, &pairs, minimum_effect))
    }

    /// Compares a cost where there are pairs, unless neither program has it: some searches take no seconds. Else says what
    /// it is.
    fn cost(&self, finding: Finding, percent: f64, pairs: Option<&[Pair]>, here: &NewProvenance) -> Option<Finding> {
        if let Some(pairs) = pairs {
            let has_it = |costs: &Costs| costs.contains_key(&finding.metric);
            let is_measured = pairs.iter().any(|pair| has_it(&pair.before) || has_it(&pair.after));
            return is_measured.then(|| noisy::compare(finding, pairs, percent));
        }
        let of = |observed: &Observed| observed.costs.get(&finding.metric).copied();
        let (baseline, run) = (of(&self.baseline.measured), of(self.run));
        Some(noisy::alone(Finding { baseline, run, ..finding }, self.baseline.is_of_machine(here)))
    }
}
