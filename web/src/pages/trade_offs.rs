//! `/`: what quality costs, over any choice of the finished trials, as chart and table; and both as files.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use evaluator::report::{Cell, Column};
use evaluator::store::Reader;

use super::{compute, render};
use crate::charts::Figure;
use crate::download::{File, Format};
use crate::error::Problem;
use crate::explore::{
    Catalogue, Entry, Facet, Keeper, LINES, Lines, Pooled, Quantity, Rows, Scope, ShortId, Symbol, View, chart, facets,
    line_page,
};
use crate::extract::{Path, Query};
use crate::live::Section;
use crate::paging::Pager;
use crate::saved::FigureFile;

const ROWS_ON_A_PAGE: usize = 50;
const EXPERIMENTS_IN_THE_FORM: usize = 40;
/// More values than this are a list to choose from, not boxes to tick.
const BOXES: usize = 12;
/// The figure's name in its address.
const FIGURE: &str = "trade-offs";

/// Where the first view comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(crate) reader: Reader,
    pub(crate) keeper: Keeper,
}

impl Sources {
    /// Of a store.
    pub fn new(reader: Reader) -> Self {
        Self { keeper: Keeper::new(reader.clone()), reader }
    }

    /// A catalogue with all that the view shows.
    pub async fn catalogue(&self, view: &View) -> Result<Arc<Catalogue>, Problem> {
        Ok(match view.scope {
            Scope::Newest => self.keeper.newest().await?,
            Scope::All | Scope::These(_) => self.keeper.catalogue().await?,
        })
    }
}

#[derive(Template)]
#[template(path = "trade_offs.html")]
struct Page {
    title: String,
    running_now: Option<Section>,
    experiments: Vec<Experiment>,
    /// How many the store has, with or without finished trials.
    stored: usize,
    all_chosen: bool,
    metrics: Vec<Metric>,
    log: (bool, bool),
    facets: Vec<Facet>,
    is_filtered: bool,
    /// What links of the page begin with.
    query: String,
    /// The table's files: heading and address.
    files: Vec<(&'static str, String)>,
    found: Option<Found>,
    sort: String,
}

struct Experiment {
    id: i64,
    name: String,
    finished: i64,
    trials: i64,
    is_chosen: bool,
}

struct Metric {
    name: String,
    label: String,
    is_x: bool,
    is_y: bool,
}

/// What the finished trials show.
struct Found {
    figure: Figure,
    /// Pages of lines: which are drawn, and the links to others.
    lines: Option<LinePages>,
    without: usize,
    caption: String,
    headings: Vec<Heading>,
    rows: Vec<Row>,
    pager: Pager,
}

struct LinePages {
    first: usize,
    last: usize,
    total: usize,
    previous: Option<String>,
    next: Option<String>,
}

struct Heading {
    text: String,
    numeric: bool,
    address: Option<String>,
    sorted: &'static str,
}

struct Row {
    trial: i64,
    experiment: i64,
    is_on_front: bool,
    fields: Vec<(String, bool)>,
}

/// The one table of the view.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tabled {
    /// Its points.
    Table,
}

/// The first view. A form's address says what is as usual too: it leads to the short one, so that a view has one.
pub async fn page(
    State(sources): State<Sources>,
    RawQuery(raw): RawQuery,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let view = View::parse(&asked)?;
    if raw.is_some_and(|raw| raw != view.query()) {
        return Ok(Redirect::to(&view.address()).into_response());
    }
    let catalogue = sources.catalogue(&view).await?;
    let watched = match &view.scope {
        Scope::These(these) if these.len() == 1 => Some(these[0]),
        Scope::Newest => catalogue.experiments.first().map(|shelf| shelf.holdings.id),
        _ => None,
    };
    let running_now = match watched {
        Some(experiment) => Some(Section::read(&sources.reader, experiment).await?),
        None => None,
    };
    let mut page = compute(move || Page::new(&catalogue, &view)).await?;
    page.running_now = running_now;
    Ok(render(&page)?.into_response())
}

/// The view's table as a file.
pub async fn table(
    State(sources): State<Sources>,
    Path(file): Path<File<Tabled>>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let listed = made(&sources, &asked, |catalogue, view, entries, axes| {
        let rows = Rows::new(catalogue, entries, view, axes);
        rows.table(rows.all())
    });
    Ok(file.format.answer(&listed.await?, "trade-offs"))
}

/// The view's figure as a file.
pub async fn figure(
    State(sources): State<Sources>,
    Path(file): Path<FigureFile>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    if file.name != FIGURE {
        return Err(Problem::not_found(format_args!("figure {}: this one is called {FIGURE}", file.name)));
    }
    let drawn = made(&sources, &asked, |catalogue, view, entries, (x, y)| {
        let lines = Lines::new(catalogue, entries, &view.line_keys(catalogue, entries), &x, &y);
        chart(catalogue, &lines, view, (&x, &y))
    });
    let drawn = drawn.await?;
    file.answer("trade-offs", move || drawn).await
}

/// Makes something of a view's finished trials and its two axes.
async fn made<T: Send + 'static>(
    sources: &Sources,
    asked: &[(String, String)],
    make: impl FnOnce(&Catalogue, &View, &[&Entry], (Quantity<'_>, Quantity<'_>)) -> T + Send + 'static,
) -> Result<T, Problem> {
    let view = View::parse(asked)?;
    let catalogue = sources.catalogue(&view).await?;
    let work = move || {
        let shelves = view.shelves(&catalogue)?;
        let entries = view.wanted(&catalogue, &shelves);
        if entries.is_empty() {
            return Err(Problem::not_found("finished trial of this kind"));
        }
        Ok(make(&catalogue, &view, &entries, view.axes(&catalogue)?))
    };
    compute(work).await
}

impl Page {
    fn new(catalogue: &Catalogue, view: &View) -> Result<Self, Problem> {
        let shelves = view.shelves(catalogue)?;
        let entries = view.wanted(catalogue, &shelves);
        let keys = view.line_keys(catalogue, &entries);
        let names: Vec<&str> = shelves.iter().map(|shelf| shelf.holdings.name.as_str()).collect();
        let title = match (&view.scope, names.as_slice()) {
            (_, []) => "Trade-offs".to_owned(),
            (Scope::All, _) => "Trade-offs of all experiments".to_owned(),
            (_, names) => format!("Trade-offs: {}", names.join(", ")),
        };
        let is_chosen = |id| shelves.iter().any(|shelf| shelf.holdings.id == id);
        let experiments = catalogue.experiments.iter().map(|shelf| Experiment {
            id: shelf.holdings.id.0,
            name: shelf.holdings.name.clone(),
            finished: shelf.holdings.done,
            trials: shelf.holdings.trials,
            is_chosen: view.scope != Scope::All && is_chosen(shelf.holdings.id),
        });
        let mut experiments: Vec<Experiment> = experiments.collect();
        let (stored, mut place) = (experiments.len(), 0);
        // What is chosen stays in the form, however old.
        experiments.retain(|experiment| {
            place += 1;
            place <= EXPERIMENTS_IN_THE_FORM || experiment.is_chosen
        });
        let all = shelves.iter().flat_map(|shelf| &shelf.entries);
        let metrics = Quantity::all(catalogue, all);
        let metrics = metrics.iter().map(|quantity| Metric {
            name: quantity.name.to_owned(),
            label: quantity.label(),
            is_x: quantity.name == view.x,
            is_y: quantity.name == view.y,
        });
        let query = view.query();
        Ok(Self {
            title,
            running_now: None,
            all_chosen: view.scope == Scope::All,
            experiments,
            stored,
            metrics: metrics.collect(),
            log: view.log,
            is_filtered: !view.filters.is_empty(),
            facets: facets(catalogue, &shelves, view, &keys),
            files: Format::links("/trade-offs/table", &after_address(&query)),
            found: if entries.is_empty() { None } else { Some(Found::new(catalogue, view, &entries, &keys)?) },
            sort: view.sort_key().unwrap_or_default(),
            query,
        })
    }
}

/// A query with its question mark, if there is one.
fn after_address(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

impl Found {
    fn new(catalogue: &Catalogue, view: &View, entries: &[&Entry], keys: &[Symbol]) -> Result<Self, Problem> {
        let (x, y) = view.axes(catalogue)?;
        let lines = Lines::new(catalogue, entries, keys, &x, &y);
        let rows = Rows::new(catalogue, entries, view, (x, y));
        let pager = Pager::new("rows", rows.all().len(), ROWS_ON_A_PAGE, view.page);
        let pager = pager.keeping(&View { page: 1, ..view.clone() }.query(), "#points");
        let shown = pager.slice(rows.all());
        let listed = rows.table(shown);
        let front = lines.points().filter(|point| point.is_on_front);
        let front: HashSet<u64> = front.map(|point| point.pooled.trials[0].pool).collect();
        let is_numeric = |column: usize| {
            listed.rows.iter().all(|row| row[column].is_number() || row[column].to_text(0).parse::<f64>().is_ok())
        };
        let numeric: Vec<bool> = (0..listed.columns.len()).map(is_numeric).collect();
        let heading = |(index, column): (usize, &Column)| {
            let is_metric = catalogue.metrics.contains_key(&*column.name);
            let id = if is_metric { column.name.to_string() } else { ShortId::of(&column.name).to_string() };
            let sorted = match &view.sort {
                Some((sorted, true)) if *sorted == id => "descending",
                Some((sorted, false)) if *sorted == id => "ascending",
                _ => "none",
            };
            let address = (column.name != "seeds").then(|| format!("{}#points", view.sorted_by(&id).address()));
            Heading { text: column.heading.to_string(), numeric: numeric[index], address, sorted }
        };
        let row = |(cells, pooled): (&Vec<Cell>, &Pooled)| Row {
            trial: pooled.trials[0].trial.0,
            experiment: pooled.trials[0].experiment.0,
            is_on_front: front.contains(&pooled.trials[0].pool),
            fields: cells
                .iter()
                .zip(&listed.columns)
                .zip(&numeric)
                .map(|((cell, column), numeric)| (cell.to_text(column.digits), *numeric))
                .collect(),
        };
        Ok(Self {
            figure: Figure::of(&chart(catalogue, &lines, view, (&x, &y)))
                .with_files(&format!("/trade-offs/figures/{FIGURE}"), &after_address(&view.query())),
            lines: LinePages::new(view, &lines),
            without: lines.without,
            headings: listed.columns.iter().enumerate().map(heading).collect(),
            rows: listed.rows.iter().zip(shown).map(row).collect(),
            caption: listed.caption,
            pager,
        })
    }
}

impl LinePages {
    fn new(view: &View, lines: &Lines) -> Option<Self> {
        let total = lines.most_lines();
        let (page, pages) = (line_page(lines, view), total.div_ceil(LINES));
        let address = |page: usize| view.with_lines(page).address();
        (pages > 1).then(|| Self {
            first: page * LINES + 1,
            last: ((page + 1) * LINES).min(total),
            total,
            previous: page.checked_sub(1).map(address),
            next: (page + 1 < pages).then(|| address(page + 1)),
        })
    }
}
