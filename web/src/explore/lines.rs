//! Trials in lines: seeds pooled, one line for each combination of the chosen keys, and the Pareto front of all.

use std::collections::{HashMap, HashSet};

use evaluator::metric::Direction;

use super::catalogue::{Catalogue, Entry};
use super::quantity::{Estimate, Quantity};
use super::settings::{DATA, PROTOCOL, Symbol};

/// Trials that differ in their seed alone.
#[derive(Debug)]
pub struct Pooled<'a> {
    /// One a seed; there is at least one.
    pub trials: Vec<&'a Entry>,
}

/// A point of a line: pooled trials that have both quantities.
#[derive(Debug)]
pub struct Point<'a> {
    /// Its trials.
    pub pooled: Pooled<'a>,
    /// To the right.
    pub x: Estimate,
    /// Upwards.
    pub y: Estimate,
    /// Whether no other point of its panel is better in one quantity and as good in the other.
    pub is_on_front: bool,
}

/// Points that belong together.
#[derive(Debug)]
pub struct Line<'a> {
    /// The values of the keys that make it.
    pub values: Vec<Option<Symbol>>,
    /// By threshold.
    pub points: Vec<Point<'a>>,
    /// Whether all of it is a baseline.
    pub is_baseline: bool,
}

/// What can stand in one plot: trials of the same test set, measured in the same way.
#[derive(Debug)]
pub struct Panel<'a> {
    /// Test set and protocol.
    pub of: (Option<Symbol>, Option<Symbol>),
    /// Its lines, those with most points on the front first.
    pub lines: Vec<Line<'a>>,
}

/// All lines of a view.
#[derive(Debug)]
pub struct Lines<'a> {
    /// The panel with most points first.
    pub panels: Vec<Panel<'a>>,
    /// Pooled trials that lack one of the quantities.
    pub without: usize,
}

impl Pooled<'_> {
    /// The mean over seeds. The interval reaches from the lowest end of any seed's interval to the highest: what the
    /// pictures and the seeds together leave open.
    pub fn estimate(&self, quantity: &Quantity) -> Option<Estimate> {
        let all: Vec<Estimate> = self.trials.iter().map(|entry| quantity.of(entry)).collect::<Option<_>>()?;
        let mean = all.iter().map(|one| one.mean).sum::<f64>() / all.len() as f64;
        let ends = |one: &Estimate| one.interval.unwrap_or((one.mean, one.mean));
        let hull = all.iter().map(ends).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let is_known = all.len() > 1 || all[0].interval.is_some();
        Some(Estimate { mean, interval: hull.filter(|_| is_known) })
    }
}

/// Seeds pooled, in the order of the trials.
pub fn pooled<'a>(entries: &[&'a Entry]) -> Vec<Pooled<'a>> {
    let mut pools: Vec<Pooled> = Vec::new();
    let mut known: HashMap<u64, usize> = HashMap::with_capacity(entries.len());
    for &entry in entries {
        match known.get(&entry.pool) {
            Some(&index) => pools[index].trials.push(entry),
            None => {
                known.insert(entry.pool, pools.len());
                pools.push(Pooled { trials: vec![entry] });
            }
        }
    }
    pools
}

impl<'a> Lines<'a> {
    /// The lines of these trials.
    pub fn new(catalogue: &Catalogue, entries: &[&'a Entry], keys: &[Symbol], x: &Quantity, y: &Quantity) -> Self {
        let of = [DATA, PROTOCOL].map(|key| catalogue.texts.find(key));
        let place = |entry: &Entry| of.map(|key| key.and_then(|key| entry.setting(key)));
        let mut panels: Vec<Panel> = Vec::new();
        let mut panel_of: HashMap<[Option<Symbol>; 2], usize> = HashMap::new();
        let mut line_of: HashMap<(usize, Vec<Option<Symbol>>), usize> = HashMap::new();
        let mut without = 0;
        for pool in pooled(entries) {
            let first = pool.trials[0];
            let Some((x, y)) = pool.estimate(x).zip(pool.estimate(y)) else {
                without += 1;
                continue;
            };
            let panel = *panel_of.entry(place(first)).or_insert_with_key(|[data, protocol]| {
                panels.push(Panel { of: (*data, *protocol), lines: Vec::new() });
                panels.len() - 1
            });
            let values: Vec<_> = keys.iter().map(|key| first.setting(*key)).collect();
            let lines = &mut panels[panel].lines;
            let line = *line_of.entry((panel, values)).or_insert_with_key(|(_, values)| {
                lines.push(Line { values: values.clone(), points: Vec::new(), is_baseline: true });
                lines.len() - 1
            });
            lines[line].is_baseline &= first.is_baseline;
            lines[line].points.push(Point { pooled: pool, x, y, is_on_front: false });
        }
        for panel in &mut panels {
            panel.mark_front(x.direction(), y.direction());
            for line in &mut panel.lines {
                let threshold = |point: &Point| point.pooled.trials[0].threshold.unwrap_or(f64::NEG_INFINITY);
                line.points.sort_by(|a, b| threshold(a).total_cmp(&threshold(b)));
            }
            panel.lines.sort_by_key(|line| std::cmp::Reverse(line.front().count()));
        }
        panels.sort_by_key(|panel| std::cmp::Reverse(panel.points().count()));
        Self { panels, without }
    }

    /// Every point.
    pub fn points(&self) -> impl Iterator<Item = &Point<'a>> {
        self.panels.iter().flat_map(Panel::points)
    }

    /// How many lines the fullest panel has.
    pub fn most_lines(&self) -> usize {
        self.panels.iter().map(|panel| panel.lines.len()).max().unwrap_or(0)
    }
}

impl<'a> Line<'a> {
    /// Its points on the front.
    pub fn front(&self) -> impl Iterator<Item = &Point<'a>> {
        self.points.iter().filter(|point| point.is_on_front)
    }

    /// Whether a stroke from point to point means something: no threshold twice.
    pub fn is_a_path(&self) -> bool {
        let thresholds: HashSet<_> =
            self.points.iter().map(|point| point.pooled.trials[0].threshold.map(f64::to_bits)).collect();
        thresholds.len() == self.points.len()
    }
}

impl<'a> Panel<'a> {
    /// Its points.
    pub fn points(&self) -> impl Iterator<Item = &Point<'a>> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// Marks the points that none beats. Without a better side of both quantities there is no front.
    fn mark_front(&mut self, x: Direction, y: Direction) {
        let sign = |direction| match direction {
            Direction::Higher => Some(-1.0),
            Direction::Lower => Some(1.0),
            Direction::Neither => None,
        };
        let Some((x, y)) = sign(x).zip(sign(y)) else { return };
        let points = self.lines.iter_mut().flat_map(|line| &mut line.points);
        let mut costs: Vec<_> = points.map(|point| (x * point.x.mean, y * point.y.mean, point)).collect();
        costs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // From the cheapest on, a point is on the front if it is better than all before it, or equal to the best.
        let mut best = (f64::NEG_INFINITY, f64::INFINITY);
        for (x, y, point) in costs {
            if y < best.1 || (x, y) == best {
                point.is_on_front = true;
                best = (x, y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::catalogue::Shelf;
    use evaluator::store::*;
    use serde_json::json;

    const X: MetricId = MetricId(1);
    const Y: MetricId = MetricId(2);

    /// Trials by strategy, threshold, seed, and their kept tokens and PSNR.
    fn catalogue(trials: &[(&str, f64, i64, f64, f64)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let trial = |(id, &(strategy, threshold, seed, x, y)): (usize, &(&str, f64, i64, f64, f64))| FinishedTrial {
            id: TrialId(id as i64),
            ordinal: id as u32,
            variant: "elastic".into(),
            config: json!({}),
            training_run_id: Some(TrainingRunId(1)),
            dataset_id: DatasetId(1),
            protocol_id: ProtocolId(1),
            strategy: strategy.into(),
            threshold: Some(threshold),
            seed,
            means: vec![
                Mean { metric_id: X, mean: x, low: None, high: None },
                Mean { metric_id: Y, mean: y, low: Some(y - 1.0), high: Some(y + 1.0) },
            ],
        };
        let trials: Vec<_> = trials.iter().enumerate().map(trial).collect();
        let holdings = Holdings { id: ExperimentId(1), name: "one".into(), trials: 1, done: 1, sum: 1 };
        catalogue.experiments = vec![Shelf::new(holdings, &trials, &mut catalogue.texts).into()];
        let metric = |id, name: &str, direction| MetricRow {
            id,
            name: name.into(),
            version: 1,
            unit: String::new(),
            direction,
            noisy: false,
        };
        catalogue.metrics =
            Catalogue::metrics(vec![metric(X, "kept_tokens", Direction::Lower), metric(Y, "psnr", Direction::Higher)]);
        catalogue
    }

    fn with_lines<T>(catalogue: &Catalogue, look: impl FnOnce(&Lines) -> T) -> T {
        let entries: Vec<&Entry> = catalogue.experiments[0].entries.iter().collect();
        let [x, y] = ["kept_tokens", "psnr"].map(|name| Quantity::find(catalogue, name).unwrap());
        let keys = [catalogue.texts.find("strategy").unwrap()];
        look(&Lines::new(catalogue, &entries, &keys, &x, &y))
    }

    #[test]
    fn seeds_are_pooled_and_their_intervals_cover_all_of_them() {
        let catalogue =
            catalogue(&[("full", 0.1, 0, 10.0, 20.0), ("full", 0.1, 1, 14.0, 24.0), ("full", 0.2, 0, 5.0, 10.0)]);
        with_lines(&catalogue, |lines| {
            let line = &lines.panels[0].lines[0];
            assert_eq!((lines.panels.len(), lines.panels[0].lines.len(), line.points.len()), (1, 1, 2));
            let pooled = &line.points[0];
            assert_eq!(pooled.x, Estimate { mean: 12.0, interval: Some((10.0, 14.0)) });
            assert_eq!(pooled.y, Estimate { mean: 22.0, interval: Some((19.0, 25.0)) });
            assert!(line.is_a_path());
        });
    }

    #[test]
    fn the_front_is_what_no_point_beats_by_brute_force() {
        let mut random = 7_u64;
        let mut draw = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 60) as f64
        };
        for _ in 0..50 {
            let trials: Vec<_> = (0..30).map(|at| ("full", f64::from(at), 0, draw(), draw())).collect();
            let catalogue = catalogue(&trials);
            with_lines(&catalogue, |lines| {
                let points: Vec<_> = lines.points().map(|p| (p.x.mean, p.y.mean, p.is_on_front)).collect();
                for (x, y, is_on_front) in &points {
                    let beats = |(a, b, _): &(f64, f64, bool)| a <= x && b >= y && (a < x || b > y);
                    assert_eq!(*is_on_front, !points.iter().any(beats), "{x} {y} in {points:?}");
                }
            });
        }
    }

    #[test]
    fn lines_on_the_front_come_first() {
        let catalogue =
            catalogue(&[("bad", 0.1, 0, 10.0, 5.0), ("good", 0.1, 0, 9.0, 6.0), ("good", 0.2, 0, 4.0, 2.0)]);
        with_lines(&catalogue, |lines| {
            let fronts: Vec<_> = lines.panels[0].lines.iter().map(|line| line.front().count()).collect();
            assert_eq!(fronts, [2, 0]);
        });
    }

    #[test]
    fn a_threshold_twice_is_no_path() {
        // Grouped by strategy alone, two variants would zigzag.
        let mut catalogue = catalogue(&[("full", 0.1, 0, 1.0, 1.0)]);
        let config = json!({ "window": 3 });
        let other = FinishedTrial {
            id: TrialId(9),
            ordinal: 9,
            variant: "elastic".into(),
            config,
            training_run_id: None,
            dataset_id: DatasetId(1),
            protocol_id: ProtocolId(1),
            strategy: "full".into(),
            threshold: Some(0.1),
            seed: 0,
            means: vec![Mean { metric_id: X, mean: 1.0, low: None, high: None }],
        };
        let lacking = other.clone();
        let complete = FinishedTrial {
            id: TrialId(10),
            config: json!({ "window": 4 }),
            means: [X, Y].map(|metric_id| Mean { metric_id, mean: 1.0, low: None, high: None }).into(),
            ..other
        };
        let holdings = catalogue.experiments[0].holdings.clone();
        let mut texts = std::mem::take(&mut catalogue.texts);
        let more = Shelf::new(holdings, &[lacking, complete], &mut texts);
        catalogue.texts = texts;
        let entries: Vec<&Entry> = catalogue.experiments[0].entries.iter().chain(&more.entries).collect();
        let [x, y] = ["kept_tokens", "psnr"].map(|name| Quantity::find(&catalogue, name).unwrap());
        let lines = Lines::new(&catalogue, &entries, &[catalogue.texts.find("strategy").unwrap()], &x, &y);
        let line = &lines.panels[0].lines[0];
        assert_eq!((line.points.len(), lines.without, line.is_a_path(), line.is_baseline), (2, 1, false, false));
    }
}
