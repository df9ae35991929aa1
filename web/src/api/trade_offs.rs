//! `/api/trade-offs`: what the first view shows, whole: its lines with their points and bands, and the front.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};
use utoipa::{IntoParams, ToSchema};

use super::endpoint::Nothing;
use super::states::Better;
use crate::error::Problem;
use crate::explore::{self, Catalogue, Facet, Lines, PARAMETERS, Quantity, Symbol, View, facets};
use crate::pages::compute;
use crate::pages::trade_offs::Sources;

/// The query of the first view: names and values, some of them several times.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Asked(Vec<(String, String)>);

impl IntoParams for Asked {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |(name, meaning, example): (&str, &str, &str)| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(meaning))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .example(Some(example.into()))
                .build()
        };
        PARAMETERS.map(parameter).into()
    }
}

/// Finished trials as lines: what quality costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct TradeOffs {
    /// The query of this view, without what is as usual: that of `/` shows the same.
    #[schema(example = "x=flops&lx=1")]
    query: String,
    /// To the right.
    x: Axis,
    /// Upwards.
    y: Axis,
    /// How many finished trials the view has.
    #[schema(example = 24)]
    trials: usize,
    /// How many points lack one of the two quantities and are in no line.
    #[schema(example = 0)]
    without: usize,
    /// Trials that can be compared, one panel for each test set and protocol; that with most points first.
    panels: Vec<Panel>,
    /// What trials of the view's experiments differ in: what `by` and `f` can name.
    keys: Vec<Key>,
}

/// A quantity.
#[derive(Debug, Serialize, ToSchema)]
pub struct Axis {
    /// The metric's name.
    #[schema(example = "kept_tokens")]
    metric: String,
    /// What it is and the unit of the view's numbers. Shares are in per cent.
    #[schema(example = "kept tokens per block")]
    label: String,
    /// Which values are better.
    better: Better,
    /// Whether the chart of the page shows its logarithm; the numbers here are the same.
    #[schema(example = false)]
    log: bool,
}

/// Trials of the same test set, measured in the same way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Panel {
    /// The test set: `#` and its number.
    #[schema(required, example = "#1")]
    test_data: Option<String>,
    /// The protocol: `#` and its number.
    #[schema(required, example = "#1")]
    protocol: Option<String>,
    /// Its lines, those with most points on the front first.
    lines: Vec<Line>,
}

/// Points that belong together.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    /// Its name in the legend.
    #[schema(example = "elastic, binary")]
    name: String,
    /// The values that make it, by key; null where its trials lack the key.
    #[schema(example = json!({ "variant": "elastic", "strategy": "binary" }))]
    settings: BTreeMap<String, Option<String>>,
    /// Whether all of it is what elastic budgets are compared with: a fixed budget, or a codec.
    #[schema(example = false)]
    is_baseline: bool,
    /// Its points, rising in their thresholds.
    points: Vec<Point>,
}

/// Trials that differ in their seed alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TradeOff)]
pub struct Point {
    /// Their experiment's number.
    #[schema(example = 1)]
    experiment: i64,
    /// Their numbers, one a seed.
    #[schema(example = json!([1, 2]))]
    trials: Vec<i64>,
    /// The threshold; null if the strategy asks for none.
    #[schema(required, example = 0.01)]
    threshold: Option<f64>,
    /// To the right.
    x: Estimate,
    /// Upwards.
    y: Estimate,
    /// Whether it is on the Pareto front of its panel: no other point is better in one quantity and as good in the other.
    #[schema(example = true)]
    is_on_front: bool,
}

/// A mean over samples and seeds with its band.
#[derive(Debug, Serialize, ToSchema)]
pub struct Estimate {
    /// The mean.
    #[schema(example = 27.31)]
    mean: f64,
    /// Lower end of the 95 % interval over sources, the lowest of all seeds; null if there is none.
    #[schema(required, example = 26.4)]
    low: Option<f64>,
    /// Its upper end, the highest of all seeds.
    #[schema(required, example = 28.2)]
    high: Option<f64>,
}

/// A key that trials differ in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    /// Its id, the same in every store.
    #[schema(example = "ab12")]
    id: String,
    /// Its name.
    #[schema(example = "strategy")]
    name: String,
    /// Whether its values make lines here.
    #[schema(example = true)]
    makes_lines: bool,
    /// Its values.
    values: Vec<KeyValue>,
}

/// A value of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyValue {
    /// Its id, the same in every store.
    #[schema(example = "cd34")]
    id: String,
    /// The value, as the experiment's file has it.
    #[schema(example = "binary")]
    text: String,
    /// How many trials have it, filtered or not.
    #[schema(example = 8)]
    trials: usize,
    /// Whether the view filters by it.
    #[schema(example = false)]
    is_wanted: bool,
}

/// The view.
pub async fn find(sources: Sources, _: Nothing, asked: Asked) -> Result<TradeOffs, Problem> {
    let view = View::parse(&asked.0)?;
    let catalogue = sources.catalogue(&view).await?;
    compute(move || TradeOffs::new(&catalogue, &view)).await
}

impl TradeOffs {
    fn new(catalogue: &Catalogue, view: &View) -> Result<Self, Problem> {
        let shelves = view.shelves(catalogue)?;
        let entries = view.wanted(catalogue, &shelves);
        let line_keys = view.line_keys(catalogue, &entries);
        let (x, y) = view.axes(catalogue)?;
        let lines = Lines::new(catalogue, &entries, &line_keys, &x, &y);
        Ok(Self {
            query: view.query(),
            x: Axis::new(&x, view.log.0),
            y: Axis::new(&y, view.log.1),
            trials: entries.len(),
            without: lines.without,
            panels: lines.panels.iter().map(|panel| Panel::new(catalogue, panel, &line_keys)).collect(),
            keys: facets(catalogue, &shelves, view, &line_keys).into_iter().map(Key::from).collect(),
        })
    }
}

impl Axis {
    fn new(quantity: &Quantity, log: bool) -> Self {
        let better = quantity.direction().into();
        Self { metric: quantity.name.to_owned(), label: quantity.label(), better, log }
    }
}

impl Panel {
    fn new(catalogue: &Catalogue, panel: &explore::Panel, keys: &[Symbol]) -> Self {
        let text = |symbol: Symbol| catalogue.texts.text(symbol).to_owned();
        let line = |line: &explore::Line| {
            let values = line.values.iter().map(|value| value.map(text));
            Line {
                name: explore::name(catalogue, line),
                settings: keys.iter().map(|key| text(*key)).zip(values).collect(),
                is_baseline: line.is_baseline,
                points: line.points.iter().map(Point::from).collect(),
            }
        };
        Self {
            test_data: panel.of.0.map(text),
            protocol: panel.of.1.map(text),
            lines: panel.lines.iter().map(line).collect(),
        }
    }
}

impl From<&explore::Point<'_>> for Point {
    fn from(point: &explore::Point) -> Self {
        let first = point.pooled.trials[0];
        Self {
            experiment: first.experiment.0,
            trials: point.pooled.trials.iter().map(|entry| entry.trial.0).collect(),
            threshold: first.threshold,
            x: point.x.into(),
            y: point.y.into(),
            is_on_front: point.is_on_front,
        }
    }
}

impl From<explore::Estimate> for Estimate {
    fn from(estimate: explore::Estimate) -> Self {
        let (low, high) = estimate.interval.unzip();
        Self { mean: estimate.mean, low, high }
    }
}

impl From<Facet> for Key {
    fn from(facet: Facet) -> Self {
        let value = |choice: explore::Choice| KeyValue {
            id: choice.id.to_string(),
            text: choice.text,
            trials: choice.trials,
            is_wanted: choice.is_wanted,
        };
        Self {
            id: facet.id.to_string(),
            name: facet.name,
            makes_lines: facet.makes_lines,
            values: facet.values.into_iter().map(value).collect(),
        }
    }
}
