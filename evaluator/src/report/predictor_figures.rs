//! Figures of counts that were predicted without asking the model: how far off they are, and what a safety margin buys.

use super::Report;
use super::figures::{axis, by_threshold, point};
use super::outcome::{Outcome, Outcomes, average, indicator};
use crate::chart::{Chart, Mark, Panel, Point, Series};
use std::collections::BTreeMap;
use tokio::sync::OnceCell;

/// What predictors try to foresee.
const BEST: &str = "best counts";

/// A predictor's answers at one threshold and confidence, all seeds together.
struct Answers<'a> {
    variant: &'a str,
    strategy: &'a str,
    predictor: &'a str,
    max_tokens: usize,
    blocks: Vec<&'a Outcome>,
}

impl<'a> Answers<'a> {
    /// Of every predictor, and of [`BEST`], at a threshold, in the order of the file.
    fn at(outcomes: &'a [Outcomes], threshold: f64) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for trial in outcomes.iter().filter(|trial| trial.threshold == threshold) {
            let Some(predictor) = predictor(&trial.strategy) else { continue };
            let (variant, strategy) = (trial.variant.as_str(), trial.strategy.as_str());
            match all.iter_mut().find(|known| (known.variant, known.strategy) == (variant, strategy)) {
                Some(known) => known.blocks.extend(&trial.blocks),
                None => {
                    let (max_tokens, blocks) = (trial.max_tokens, trial.blocks.iter().collect());
                    all.push(Self { variant, strategy, predictor, max_tokens, blocks });
                }
            }
        }
        all
    }

    /// What its line is called: the variant matters where there are several.
    fn name(&self, report: &Report) -> String {
        match report.variants().len() {
            1 => self.predictor.to_owned(),
            _ => format!("{}, {}", self.variant, self.predictor),
        }
    }

    /// How far its confidence is from a prediction without a margin: one half.
    fn margin(&self) -> f64 {
        let last = self.strategy.trim_end_matches(')').rsplit(['(', ' ']).next();
        last.and_then(|confidence| confidence.parse::<f64>().ok()).map_or(0.0, |confidence| (confidence - 0.5).abs())
    }
}

/// The predictor of a strategy, without its margin.
fn predictor(strategy: &str) -> Option<&str> {
    let inside = |start: &str| strategy.strip_prefix(start);
    match strategy {
        "full" => Some(BEST),
        _ if inside("regression(").is_some() => Some("regressor"),
        _ => inside("guess(").and_then(|rest| rest.split(',').next()),
    }
}

impl Report {
    /// Whether a strategy takes its counts from a predictor, without asking the model.
    pub fn is_predicted(strategy: &str) -> bool {
        predictor(strategy).is_some_and(|predictor| predictor != BEST)
    }

    /// The report of predictors alone, with the searches that they are measured against.
    pub fn of_predictors(mut self) -> Self {
        let is_measure = |strategy: &str| matches!(strategy, "full" | "binary" | "regression-verified");
        let is_wanted = |strategy: &str| Self::is_predicted(strategy) || is_measure(strategy);
        self.rows.retain(|row| is_wanted(&row.strategy));
        self.trials.retain(|trial| is_wanted(&trial.strategy));
        self.outcomes = OnceCell::new();
        self
    }
}

/// Violations against mean kept tokens.
pub(super) fn margin(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let caption = format!(
        "{}: counts predicted without asking the model; along a line the confidence rises. The best counts (full) \
         violate nothing that can be met.",
        report.experiment.name
    );
    let kept = |outcome: &Outcome| Some(f64::from(outcome.row.kept_tokens));
    let panel = |threshold| over_margins(report, outcomes, threshold, ("mean kept tokens", "tokens"), kept);
    by_threshold(report, "What a safety margin costs", caption, panel)
}

/// Violations against over-allocation: the two ways of being wrong.
pub(super) fn violations(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let caption = format!(
        "{}: counts predicted without asking the model; along a line the confidence rises. Too few tokens violate a \
         threshold that could be met, too many are kept in vain; the best counts do neither.",
        report.experiment.name
    );
    let words = ("mean tokens kept beyond the best count", "tokens too many");
    let panel = |threshold| over_margins(report, outcomes, threshold, words, Outcome::over_allocation);
    by_threshold(report, "Violations against over-allocation", caption, panel)
}

/// Blocks that could meet τ and do not, against a cost: one line a predictor, its margins along it. The best counts are at
/// 0 %.
fn over_margins(
    report: &Report,
    outcomes: &[Outcomes],
    threshold: f64,
    (label, unit): (&str, &str),
    cost: impl Fn(&Outcome) -> Option<f64>,
) -> Panel {
    let mut series: Vec<Series> = Vec::new();
    let answers = Answers::at(outcomes, threshold);
    let nothing_predicted = answers.iter().all(|answers| answers.predictor == BEST);
    for answers in answers.iter().filter(|_| !nothing_predicted) {
        let blocks = || answers.blocks.iter().copied();
        let violated = average(blocks(), |outcome| outcome.threshold_violated().map(indicator));
        let Some((x, violated)) = average(blocks(), &cost).zip(violated) else { continue };
        let y = 100.0 * violated;
        let at = point(x, y, format!("{}: {x:.1} {unit}, {y:.1} % violated", answers.strategy));
        let name = answers.name(report);
        match series.iter_mut().find(|series| series.name == name) {
            Some(line) => line.points.push(at),
            None => {
                let slot = series.len();
                series.push(Series { name, mark: Mark::LineAndPoints, slot, points: vec![at], band: Vec::new() });
            }
        }
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.x.total_cmp(&b.x));
        line.mark = if line.points.len() == 1 { Mark::Points } else { Mark::LineAndPoints };
    }
    Panel {
        title: String::new(),
        x: axis(label, None),
        y: axis("blocks that could meet τ and do not (%)", None),
        series,
    }
}

/// Predicted counts against the best ones, one mark for all blocks that share both, without a margin. One panel a
/// threshold. Where there is a regressor, it is shown alone.
pub(super) fn predictions(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let panel = |threshold: f64| {
        let mut answers = Answers::at(outcomes, threshold);
        answers.retain(|answers| answers.predictor != BEST);
        if answers.iter().any(|answers| answers.predictor == "regressor") {
            answers.retain(|answers| answers.predictor == "regressor");
        }
        let mut least: Vec<&Answers<'_>> = Vec::new();
        for answers in &answers {
            let same = |other: &&Answers<'_>| (other.variant, other.predictor) == (answers.variant, answers.predictor);
            match least.iter().position(same) {
                Some(index) if answers.margin() < least[index].margin() => least[index] = answers,
                Some(_) => {}
                None => least.push(answers),
            }
        }
        let end = least.iter().map(|answers| answers.max_tokens).max().unwrap_or(1) as f64;
        let mut series: Vec<Series> =
            least.iter().enumerate().map(|(slot, answers)| marks(report, slot, answers)).collect();
        if series.iter().any(|series| !series.points.is_empty()) {
            let line = [0.0, end].map(|count| point(count, count, String::new()));
            let slot = series.len();
            let right =
                Series { name: BEST.into(), mark: Mark::DashedLine, slot, points: line.into(), band: Vec::new() };
            series.insert(0, right);
        }
        Panel {
            title: String::new(),
            x: axis("fewest sufficient tokens", Some((0.0, end))),
            y: axis("predicted tokens", Some((0.0, end))),
            series,
        }
    };
    let caption = format!(
        "{}: counts predicted without a safety margin against the fewest sufficient ones. A mark stands for all \
             held-out blocks that share both counts; below the dashed line a threshold is violated, above it tokens \
             are kept in vain. Blocks that no count satisfies stand at the right edge.",
        report.experiment.name
    );
    by_threshold(report, "Predicted against best counts", caption, panel)
}

fn marks(report: &Report, slot: usize, answers: &Answers<'_>) -> Series {
    let mut blocks: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    for block in &answers.blocks {
        if let Some(best) = block.best {
            *blocks.entry((best.kept_tokens, block.row.kept_tokens)).or_default() += 1;
        }
    }
    let name = answers.name(report);
    let mark = |((best, predicted), blocks): ((usize, u32), usize)| {
        let title = format!("{name}: best {best}, predicted {predicted} tokens ({blocks} blocks)");
        point(best as f64, f64::from(predicted), title)
    };
    let points: Vec<Point> = blocks.into_iter().map(mark).collect();
    Series { name, mark: Mark::Points, slot, points, band: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(strategy: &str) -> Answers<'_> {
        Answers { variant: "a", strategy, predictor: "", max_tokens: 64, blocks: Vec::new() }
    }

    #[test]
    fn a_strategy_names_its_predictor_and_its_margin() {
        let named = [("regression(0.5)", "regressor", 0.0), ("guess(jpeg, 0.9)", "jpeg", 0.4), ("full", BEST, 0.0)];
        for (strategy, name, margin) in named {
            assert_eq!(predictor(strategy), Some(name));
            assert!((answers(strategy).margin() - margin).abs() < 1e-12, "{strategy}");
        }
        for search in ["binary", "regression-verified", "fixed(0.5)"] {
            assert_eq!(predictor(search), None, "{search} asks the model");
        }
    }
}
