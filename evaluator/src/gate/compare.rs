//! A run beside its baseline: every comparison, what came of each, the worst first.

use super::baseline::Baseline;
use super::cost::Pair;
use super::finding::{Finding, Verdict};
use super::observed::{Observed, ObservedTrial};
use super::paired::Tolerance;
use super::rule::{Gated, Rule, definition};
use super::{exact, expected, noisy, paired, seeds};
use crate::metric::Protocol;
use crate::statistics::{holm, mean};
use jiff::civil::Date;
use std::collections::BTreeSet;

/// A comparison is believed below this p-value, after Holm's correction.
const SIGNIFICANT: f64 = 0.05;

/// Compares a run with what was approved; `pairs` are runs of another program and this one in turn, `host` names this
/// machine. Failures that are expected on the day `today` do not fail.
///
/// Also what there is to say of expected failures that are none.
pub fn compare(
    baseline: &Baseline,
    run: &Observed,
    pairs: Option<&[Pair]>,
    host: &str,
    today: Date,
) -> (Vec<Finding>, Vec<String>) {
    let side_by_side = SideBySide { baseline, run, seeds: run.seeds() };
    let mut findings = match side_by_side.incomparable() {
        Some(reason) => side_by_side.all_incomparable(&reason),
        None => {
            let mut findings = side_by_side.identities();
            for (metric, gated) in &baseline.metrics {
                findings.extend(side_by_side.of_metric(metric, gated, pairs, host));
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
        let same = |other: &&Finding| other.trial == finding.trial && other.metric == finding.metric;
        let shows_again = again.iter().find(same).is_some_and(|other| other.verdict.fails());
        if !finding.detail.is_empty() {
            finding.detail += "; ";
        }
        finding.detail += if shows_again { "another run shows it too" } else { "another run does not show it" };
        if !shows_again {
            finding.verdict = Verdict::NotConfirmed;
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

/// What to say where no difference could have been told from chance: the sign-flip test of n files or pairs gives no
/// p-value below 2 / 2ⁿ, which Holm multiplies by the number of comparisons at first.
fn too_few(findings: &[Finding]) -> Option<String> {
    let flipped: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.effect.is_some() && matches!(finding.kind.as_str(), "paired" | "noisy"))
        .collect();
    let comparisons = findings.iter().filter(|finding| finding.p_value.is_some()).count().max(1);
    let needed = (2.0 * comparisons as f64 / SIGNIFICANT).log2().floor() as usize + 1;
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

    /// The trial in findings, with its seed where several are run.
    fn title(&self, trial: &ObservedTrial) -> String {
        if self.seeds.len() == 1 { trial.name.clone() } else { format!("{} · seed {}", trial.name, trial.seed) }
    }

    /// Whether the same was asked, of the same weights where they are given.
    fn identities(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (approved, now) in self.trials().filter_map(|(approved, now)| Some((approved, now?))) {
            let same = |what: &str, before: String, after: String| {
                let finding = Finding::of(&self.title(approved), what, "exact");
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
            let finding = Finding::of(&self.title(trial), "trial", "exact");
            finding.decided(Verdict::Missing, "the run has no such trial")
        };
        let mut findings: Vec<Finding> = missing.map(of).collect();
        if self.trials().next().is_none() {
            let detail = format!("the run has the seeds {:?}, the baseline others", self.seeds);
            findings.push(Finding::of("", "trial", "exact").decided(Verdict::Missing, detail));
        }
        findings
    }

    /// What the run has and the baseline does not.
    fn news(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for trial in &self.run.trials {
            if self.baseline.measured.trial(&trial.name, trial.seed).is_none() {
                let finding = Finding::of(&self.title(trial), "trial", "exact");
                findings.push(finding.decided(Verdict::New, "not in the baseline"));
            }
        }
        let metrics: BTreeSet<&String> = self.run.trials.iter().flat_map(|trial| trial.values.keys()).collect();
        for metric in metrics.into_iter().filter(|metric| !self.baseline.metrics.contains_key(*metric)) {
            findings.push(Finding::of("", metric, "exact").decided(Verdict::New, "not in the baseline"));
        }
        findings
    }

    /// Every comparison of a metric.
    fn of_metric(&self, name: &str, gated: &Gated, pairs: Option<&[Pair]>, host: &str) -> Vec<Finding> {
        let blank = |trial: &str| Finding {
            unit: gated.unit.clone(),
            better: gated.better,
            ..Finding::of(trial, name, gated.rule.kind())
        };
        match definition(name) {
            None => return vec![blank("").decided(Verdict::Missing, "this version does not measure it")],
            Some(known) if known.version != gated.version || known.direction != gated.better => {
                let detail = format!(
                    "version {} ({:?} is better) was approved, this is version {} ({:?})",
                    gated.version, gated.better, known.version, known.direction
                );
                return vec![blank("").decided(Verdict::NotComparable, detail)];
            }
            Some(_) => {}
        }
        match gated.rule {
            Rule::Noisy { percent } => self.cost(blank(""), percent, pairs, host).into_iter().collect(),
            Rule::Seeds { minimum_effect } => {
                let names = self.baseline.measured.names();
                names.into_iter().filter_map(|trial| self.of_seeds(blank(trial), minimum_effect)).collect()
            }
            Rule::Exact { .. } | Rule::Paired { .. } => {
                let both = self.trials().filter_map(|(approved, now)| Some((approved, now?)));
                both.filter_map(|(approved, now)| {
                    self.of_trial(blank(&self.title(approved)), gated.rule, approved, now)
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
        let of = |trial: &ObservedTrial| trial.values.get(&finding.metric).map(|values| mean(values));
        let trials = || self.baseline.measured.trials.iter().filter(|trial| trial.name == finding.trial);
        let approved: Vec<f64> = trials().filter_map(of).collect();
        if approved.is_empty() {
            return None;
        }
        let run_too = trials().filter(|trial| self.seeds.contains(&trial.seed));
        let pairs = run_too.map(|trial| Some((of(trial)?, self.run.trial(&trial.name, trial.seed).and_then(of)?)));
        let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else {
            return Some(finding.decided(Verdict::Missing, "the run does not have it of every seed"));
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

    /// Compares a cost where there are pairs; else says what it is.
    fn cost(&self, finding: Finding, percent: f64, pairs: Option<&[Pair]>, host: &str) -> Option<Finding> {
        if let Some(pairs) = pairs {
            return Some(noisy::compare(finding, pairs, percent));
        }
        let of = |observed: &Observed| observed.costs.get(&finding.metric).copied();
        let (baseline, run) = (of(&self.baseline.measured), of(self.run));
        let is_same_host = self.baseline.approval().made_by.host == host;
        run.is_some().then(|| noisy::advice(Finding { baseline, run, ..finding }, is_same_host))
    }
}
