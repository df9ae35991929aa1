//! What a block gains from the blocks before it: the same weights, counts and blocks, behind the earlier ones and alone.

use super::figures::{axis, point, two_abreast};
use super::outcome::{Outcome, Outcomes};
use super::{Report, outcome};
use crate::chart::{Chart, Mark, Panel, Point, Series};
use crate::metric::psnr_of;
use crate::statistics::{BOOTSTRAP_SEED, Interval, clustered_interval, mean};
use crate::store::{ContentHash, SourceId, TrialId};
use std::collections::{BTreeMap, BTreeSet};

/// No reconstruction of 8-bit pixels is told from a better one: 10⁻¹⁰ is 106 dB.
const SMALLEST_DISTORTION: f64 = 1e-10;

/// A variant whose blocks see earlier ones, against the same weights where they see none, under a strategy that keeps the
/// same counts of both; all seeds together.
pub(super) struct Conditioned<'a> {
    pub(super) variant: &'a str,
    pub(super) strategy: &'a str,
    /// Both sides' trials.
    pub(super) trials: Vec<TrialId>,
    pub(super) blocks: Vec<Pair>,
}

/// One block, reconstructed twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) source: SourceId,
    /// Its place in the clip, from 0.
    pub(super) number: u32,
    /// Mean squared error behind the earlier blocks.
    pub(super) behind: f64,
    /// The same as the first block of a sequence of its own.
    pub(super) alone: f64,
}

impl Pair {
    /// Decibels that the earlier blocks are worth.
    pub(super) fn gain(&self) -> f64 {
        10.0 * (self.alone.max(SMALLEST_DISTORTION) / self.behind.max(SMALLEST_DISTORTION)).log10()
    }
}

/// A mean over pairs, with its interval, clustered by source.
pub(super) fn pooled(pairs: &[Pair], value: impl Fn(&Pair) -> f64) -> (f64, Option<Interval>) {
    let values: Vec<_> = pairs.iter().map(|pair| (pair.source, value(pair))).collect();
    let of_all = mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    (of_all, clustered_interval(values, BOOTSTRAP_SEED))
}

impl<'a> Conditioned<'a> {
    /// Every variant and strategy that has both sides, in the order of the file. Thresholds decide no count here: those of
    /// one are enough.
    pub(super) fn all(report: &Report, outcomes: &'a [Outcomes]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let asked = of_one_threshold(report, outcomes);
        for behind in &asked {
            let Some((weights, 1..)) = model(report, behind) else { continue };
            let is_alone =
                |other: &&&Outcomes| other.strategy == behind.strategy && model(report, other) == Some((weights, 0));
            let alone = asked.iter().find(is_alone).and_then(|alone| Some((alone.trial, pairs(behind, alone)?)));
            let Some((alone, pairs)) = alone else { continue };
            let same = |known: &&mut Self| (known.variant, known.strategy) == (&behind.variant, &behind.strategy);
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.trials.extend([behind.trial, alone]);
                    known.blocks.extend(pairs);
                }
                None => all.push(Self {
                    variant: &behind.variant,
                    strategy: &behind.strategy,
                    trials: vec![behind.trial, alone],
                    blocks: pairs,
                }),
            }
        }
        all
    }

    /// Its blocks by their place in the clip, from 0.
    pub(super) fn by_number(&self) -> BTreeMap<u32, Vec<Pair>> {
        let mut by_number: BTreeMap<u32, Vec<Pair>> = BTreeMap::new();
        self.blocks.iter().for_each(|pair| by_number.entry(pair.number).or_default().push(*pair));
        by_number
    }
}

/// The trials of clips at the first threshold.
fn of_one_threshold<'a>(report: &Report, outcomes: &'a [Outcomes]) -> Vec<&'a Outcomes> {
    let first = report.thresholds().first().copied();
    let of = |trial: &&Outcomes| Some(trial.threshold) == first && model(report, trial).is_some();
    outcomes.iter().filter(of).collect()
}

/// Weights of a trial of clips, and how many earlier blocks a block sees.
fn model(report: &Report, outcomes: &Outcomes) -> Option<(ContentHash, u64)> {
    let trial = report.trials.iter().find(|trial| trial.id == outcomes.trial)?;
    let window = &trial.config["window"];
    outcome::is_of_clips(trial).then(|| Some((trial.weights_hash?, window.as_u64().unwrap_or(u64::MAX))))?
}

/// Every block that both trials have; `None` where they kept different counts.
fn pairs(behind: &Outcomes, alone: &Outcomes) -> Option<Vec<Pair>> {
    let key = |outcome: &Outcome| (outcome.row.sample_id.0, outcome.row.block);
    let alone: BTreeMap<_, &Outcome> = alone.blocks.iter().map(|outcome| (key(outcome), outcome)).collect();
    let pair = |behind: &Outcome| {
        let alone = alone.get(&key(behind)).filter(|alone| alone.row.kept_tokens == behind.row.kept_tokens)?;
        let (source, number) = (behind.row.source_id, behind.row.block);
        Some(Pair { source, number, behind: behind.row.distortion, alone: alone.row.distortion })
    };
    behind.blocks.iter().map(pair).collect()
}

/// Strategies in the order of the file, each with a panel.
fn by_strategy<'a>(
    title: &str,
    caption: String,
    strategies: impl Iterator<Item = &'a str>,
    panel: impl Fn(&str) -> Panel,
) -> Chart {
    let mut known: Vec<&str> = Vec::new();
    strategies.for_each(|strategy| {
        if !known.contains(&strategy) {
            known.push(strategy);
        }
    });
    let titled = |strategy: &str| Panel { title: strategy.to_owned(), ..panel(strategy) };
    two_abreast(title, caption, known.into_iter().map(titled))
}

/// Decibels gained by the first, second, … block of a clip from those before it; a panel a strategy.
pub(super) fn gains(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let all = Conditioned::all(report, outcomes);
    let panel = |strategy: &str| {
        let series = all.iter().filter(|known| known.strategy == strategy).enumerate().map(|(slot, known)| {
            let (mut points, mut band) = (Vec::new(), Vec::new());
            for (number, pairs) in known.by_number() {
                let (gain, interval) = pooled(&pairs, Pair::gain);
                let x = f64::from(number + 1);
                band.extend(interval.map(|interval| (x, interval.low, interval.high)));
                points.push(point(x, gain, format!("{}, block {x}: {gain:+.2} dB", known.variant)));
            }
            Series { name: known.variant.to_owned(), mark: Mark::Line, slot, points, band }
        });
        let (x, y) = (axis("block of the clip", None), axis("gain over alone (dB)", None));
        Panel { title: String::new(), x, y, series: series.collect() }
    };
    let caption = format!(
        "{}: how much better held-out blocks are reconstructed behind the blocks before them than alone, the same weights \
         keeping the same counts, by their place in the clip. Bands are 95 % intervals, clustered by {}.",
        report.experiment.name,
        report.source()
    );
    by_strategy("What earlier blocks are worth", caption, all.iter().map(|known| known.strategy), panel)
}

/// Mean squared error of the first, second, … block of a clip; a line a variant, a panel a strategy.
pub(super) fn losses(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let asked = of_one_threshold(report, outcomes);
    let panel = |strategy: &str| {
        let series = report.variants().into_iter().enumerate().map(|(slot, variant)| {
            let is_asked = |trial: &&&Outcomes| trial.variant == variant && trial.strategy == strategy;
            let rows: Vec<_> = asked.iter().filter(is_asked).flat_map(|trial| &trial.blocks).map(|b| &b.row).collect();
            let numbers: BTreeSet<u32> = rows.iter().map(|row| row.block).collect();
            let points: Vec<Point> = numbers
                .into_iter()
                .map(|number| {
                    let of_block = rows.iter().filter(|row| row.block == number);
                    let mse = mean(&of_block.map(|row| row.distortion).collect::<Vec<_>>());
                    let (x, psnr) = (f64::from(number + 1), psnr_of(mse.max(SMALLEST_DISTORTION)));
                    point(x, mse, format!("{variant}, block {x}: {mse:.5}, {psnr:.2} dB"))
                })
                .collect();
            Series { name: variant.to_owned(), mark: Mark::Line, slot, points, band: Vec::new() }
        });
        let (x, y) = (axis("block of the clip", None), axis("mean squared error", None));
        Panel { title: String::new(), x, y, series: series.collect() }
    };
    let caption = format!(
        "{}: mean squared error in [−1, 1] of the first, second, … block of all held-out clips.",
        report.experiment.name
    );
    by_strategy("Loss by block", caption, asked.iter().map(|trial| trial.strategy.as_str()), panel)
}
