//! Figures that can be asked for by name, and those that need more of the trials than their means.

use super::make::Make::{self, OfBlocks, OfReport};
use super::outcome::{Outcome, Outcomes, average};
use super::{Report, context, figures, predictor_figures};
use crate::chart::{Axis, Chart, Mark, Panel, Point, Scale, Series};
use crate::error::{EvaluatorError, Result};
use crate::store::Reader;
use figures::{axis, by_threshold, point};

/// A figure that can be asked for by name.
pub struct NamedFigure {
    /// Its name; an experiment of this name, if there is one, is the one it is made of.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    make: Make<Chart>,
}

/// Every figure, the main one first.
pub const FIGURES: &[NamedFigure] = &[
    NamedFigure {
        name: "satisfaction",
        about: "share of blocks that meet a threshold against tokens (the paper's Figure 4)",
        make: OfReport(Report::satisfaction_figure),
    },
    NamedFigure {
        name: "quality",
        about: "PSNR against kept tokens, every block keeping the same count",
        make: OfReport(Report::quality_figure),
    },
    NamedFigure {
        name: "margin",
        about: "predicted counts: thresholds violated against tokens kept, over safety margins",
        make: OfBlocks(predictor_figures::margin),
    },
    NamedFigure {
        name: "violations",
        about: "predicted counts: thresholds violated against tokens kept beyond the best count, over safety margins",
        make: OfBlocks(predictor_figures::violations),
    },
    NamedFigure {
        name: "predictions",
        about: "predicted counts against the best ones, without a margin",
        make: OfBlocks(predictor_figures::predictions),
    },
    NamedFigure {
        name: "content",
        about: "kept tokens against high-frequency energy, one mark a block (Figure 9)",
        make: OfBlocks(content),
    },
    NamedFigure {
        name: "over-time",
        about: "kept tokens of a clip's blocks, one behind the other",
        make: OfBlocks(over_time),
    },
    NamedFigure {
        name: "context",
        about: "what a clip's blocks gain from those before them, the same weights keeping the same counts",
        make: OfBlocks(context::gains),
    },
    NamedFigure {
        name: "loss-by-block",
        about: "mean squared error of a clip's blocks, one behind the other",
        make: OfBlocks(context::losses),
    },
];

/// Mean kept tokens of a clip's blocks over time; one line a variant, one panel a threshold.
fn over_time(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let panel = |threshold: f64| {
        let mut series: Vec<Series> = Vec::new();
        for (slot, variant) in report.variants().into_iter().enumerate() {
            let mut first = outcomes.iter().filter(|trial| trial.variant == variant && trial.threshold == threshold);
            let Some(trial) = first.next() else { continue };
            let strategy = &trial.strategy;
            let seeds = std::iter::once(trial).chain(first.filter(|other| other.strategy == *strategy));
            let blocks: Vec<&Outcome> = seeds.flat_map(|trial| &trial.blocks).collect();
            let last = blocks.iter().map(|block| block.row.block).max().unwrap_or(0);
            let points = (0..=last).filter_map(|block| {
                let kept = |outcome: &Outcome| Some(f64::from(outcome.row.kept_tokens));
                let here = blocks.iter().copied().filter(|outcome| outcome.row.block == block);
                let mean = average(here, kept)?;
                let x = f64::from(block + 1);
                Some(point(x, mean, format!("{variant}, block {x}: {mean:.1} tokens")))
            });
            // One block is no line over time.
            let points: Vec<Point> = if last > 0 { points.collect() } else { Vec::new() };
            series.push(Series { name: variant.to_owned(), mark: Mark::Line, slot, points, band: Vec::new() });
        }
        Panel { title: String::new(), x: axis("block of the clip", None), y: axis("mean kept tokens", None), series }
    };
    let caption =
        format!("{}: mean kept tokens of the first, second, … block of all held-out clips.", report.experiment.name);
    by_threshold(report, "Tokens over time", caption, panel)
}

impl NamedFigure {
    /// The figure of that name.
    ///
    /// # Errors
    /// [`EvaluatorError::UnknownReport`] lists the names.
    pub fn find(name: &str) -> Result<&'static Self> {
        let unknown = || EvaluatorError::UnknownReport {
            what: "figure",
            name: name.to_owned(),
            names: FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", "),
        };
        FIGURES.iter().find(|figure| figure.name == name).ok_or_else(unknown)
    }

    /// Draws it of an experiment.
    ///
    /// # Errors
    /// [`EvaluatorError::NothingToShow`] if the experiment lacks what it shows.
    pub async fn of(&self, report: &Report, reader: &Reader) -> Result<Chart> {
        let chart = self.make.of(report, reader).await?;
        if chart.panels.iter().all(|panel| panel.series.iter().all(|series| series.points.is_empty())) {
            let (experiment, table) = (report.experiment.name.clone(), self.name);
            return Err(EvaluatorError::NothingToShow { experiment, table });
        }
        Ok(chart)
    }
}

/// Kept tokens against high-frequency energy of every block; one panel a threshold, the first variant.
fn content(report: &Report, outcomes: &[Outcomes]) -> Chart {
    let first = report.variants().first().map(|variant| (*variant).to_owned());
    let panel = |threshold: f64| {
        let of_first = |trial: &&Outcomes| Some(&trial.variant) == first.as_ref() && trial.threshold == threshold;
        let blocks = outcomes.iter().find(of_first).map_or(&[][..], |trial| &trial.blocks);
        let points: Vec<Point> = blocks
            .iter()
            .filter_map(|block| {
                let energy = block.row.high_frequency.filter(|energy| *energy > 0.0)?;
                let kept = f64::from(block.row.kept_tokens);
                Some(point(energy, kept, format!("energy {energy:.2e}, {kept} tokens")))
            })
            .collect();
        Panel {
            title: String::new(),
            x: Axis { label: "high-frequency energy of the block".to_owned(), scale: Scale::Log10, range: None },
            y: axis("kept tokens", None),
            series: vec![Series {
                name: first.clone().unwrap_or_default(),
                mark: Mark::Points,
                slot: 0,
                points,
                band: Vec::new(),
            }],
        }
    };
    let caption = format!(
        "{}: the fewest sufficient tokens of every held-out block against its high-frequency energy (luma above the \
             9 × 9 mean).",
        report.experiment.name
    );
    by_threshold(report, "Tokens against detail", caption, panel)
}
