//! What an address asks the first view for. All that a view is stands in its address, in under 300 characters.

use std::fmt::Write as _;

use evaluator::store::ExperimentId;

use super::catalogue::{Catalogue, Entry, Shelf};
use super::quantity::Quantity;
use super::settings::{STRATEGY, ShortId, Symbol, VARIANT};
use crate::error::Problem;
use crate::extract::MOST_CHARACTERS;

const MOST_EXPERIMENTS: usize = 10;
const MOST_KEYS: usize = 4;
const MOST_VALUES: usize = 20;
/// No store has as many lines.
const MOST_CHARTS: usize = 10_000;

/// What an address may say: name, meaning, example.
pub const PARAMETERS: [(&str, &str, &str); 10] = [
    (
        "e",
        "Experiments by their numbers, with commas between, or `all`; without it, the newest with finished trials.",
        "1",
    ),
    ("x", "The metric to the right, by its name.", "kept_tokens"),
    ("y", "The metric upwards, by its name.", "psnr"),
    ("lx", "1: the axis to the right is logarithmic.", "1"),
    ("ly", "1: the axis upwards is logarithmic.", "1"),
    (
        "by",
        "The keys whose values make a line, by their ids, with commas between; without it, variant and strategy.",
        "ab12",
    ),
    (
        "f",
        "Filters, with commas between: the id of a key and those of the values that are wanted, with dots between.",
        "ab12.cd34",
    ),
    (
        "sort",
        "What the table of the page is sorted by: a metric's name or a key's id, behind `-` from the largest.",
        "-psnr",
    ),
    ("l", "Which lines the chart of the page shows, from 0.", "0"),
    ("page", "Which page of the table the page shows, from 1.", "1"),
];

/// Which experiments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// The newest that has finished trials.
    #[default]
    Newest,
    /// All of them.
    All,
    /// These.
    These(Vec<ExperimentId>),
}

/// A choice of trials, and how to look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which experiments.
    pub scope: Scope,
    /// The metric to the right.
    pub x: String,
    /// The metric upwards.
    pub y: String,
    /// Whether the axes are logarithmic.
    pub log: (bool, bool),
    /// Keys whose values make a line; empty: variant and strategy.
    pub by: Vec<ShortId>,
    /// Keys with the values that are wanted: of a key, any; of several keys, all.
    pub filters: Vec<(ShortId, Vec<ShortId>)>,
    /// What the table is sorted by: a metric's name or a key's id, and whether the largest comes first.
    pub sort: Option<(String, bool)>,
    /// Which lines are drawn, from 0: a chart holds few.
    pub lines: usize,
    /// Which page of the table, from 1.
    pub page: usize,
}

impl Default for View {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            x: "kept_tokens".to_owned(),
            y: "psnr".to_owned(),
            log: (false, false),
            by: Vec::new(),
            filters: Vec::new(),
            sort: None,
            lines: 0,
            page: 1,
        }
    }
}

impl View {
    /// Of what follows the question mark, names and values as browsers decode them.
    pub fn parse(asked: &[(String, String)]) -> Result<Self, Problem> {
        let mut view = Self::default();
        for (name, value) in asked {
            let wrong = |what: &str| Problem::bad_request(format!("{name}={value}: {what}"));
            let number = || value.parse::<usize>().map_err(|_| wrong("a whole number is wanted"));
            match name.as_str() {
                "e" if value.is_empty() => {}
                "e" if value == "all" => view.scope = Scope::All,
                "e" => {
                    let ids = value.split(',').map(|id| id.parse().map_err(|_| wrong("experiments have numbers")));
                    let ids: Vec<ExperimentId> = ids.collect::<Result<_, _>>()?;
                    match &mut view.scope {
                        Scope::These(these) => these.extend(ids),
                        scope => *scope = Scope::These(ids),
                    }
                }
                "x" => view.x = metric(value).ok_or_else(|| wrong("no name of a metric"))?,
                "y" => view.y = metric(value).ok_or_else(|| wrong("no name of a metric"))?,
                "lx" => view.log.0 = value == "1",
                "ly" => view.log.1 = value == "1",
                "by" => {
                    let ids = value.split(',').filter(|id| !id.is_empty());
                    let ids = ids.map(|id| id.parse().map_err(|()| wrong("keys have names of four letters or digits")));
                    for id in ids.collect::<Result<Vec<_>, _>>()? {
                        if !view.by.contains(&id) {
                            view.by.push(id);
                        }
                    }
                }
                "f" => {
                    for filter in value.split(',').filter(|filter| !filter.is_empty()) {
                        let ids = filter.split('.').map(str::parse).collect::<Result<Vec<ShortId>, ()>>();
                        match ids.as_deref() {
                            Ok([key, values @ ..]) if !values.is_empty() => view.want(*key, values),
                            _ => return Err(wrong("a filter is KEY.VALUE, each of four letters or digits")),
                        }
                    }
                }
                "sort" if value.is_empty() => {}
                "sort" => {
                    let (column, falling) = value.strip_prefix('-').map_or((&**value, false), |column| (column, true));
                    view.sort = Some((metric(column).ok_or_else(|| wrong("no column"))?, falling));
                }
                "l" => view.lines = number()?.min(MOST_CHARTS),
                "page" => view.page = number()?.max(1),
                _ => {
                    let known = PARAMETERS.map(|(name, ..)| name).join(", ");
                    return Err(Problem::bad_request(format!("{name}: this page knows {known}")));
                }
            }
        }
        // In a form they come in another order.
        let usual = [VARIANT, STRATEGY].map(ShortId::of);
        if view.by.len() == usual.len() && usual.iter().all(|key| view.by.contains(key)) {
            view.by.clear();
        }
        view.check()?;
        Ok(view)
    }

    fn want(&mut self, key: ShortId, values: &[ShortId]) {
        let known = self.filters.iter().position(|(known, _)| *known == key);
        let index = known.unwrap_or_else(|| {
            self.filters.push((key, Vec::new()));
            self.filters.len() - 1
        });
        let wanted = &mut self.filters[index].1;
        for value in values {
            if !wanted.contains(value) {
                wanted.push(*value);
            }
        }
    }

    /// Refuses what an address does not hold.
    pub fn check(&self) -> Result<(), Problem> {
        let values: usize = self.filters.iter().map(|(_, values)| 1 + values.len()).sum();
        let experiments = if let Scope::These(these) = &self.scope { these.len() } else { 0 };
        for (what, count, most) in [
            ("experiments", experiments, MOST_EXPERIMENTS),
            ("keys of lines", self.by.len(), MOST_KEYS),
            ("keys and values of filters", values, MOST_VALUES),
            ("characters", self.query().len() + 20, MOST_CHARACTERS),
        ] {
            if count > most {
                return Err(Problem::bad_request(format!(
                    "{count} {what} are more than the {most} that an address holds: choose fewer, or all of a kind."
                )));
            }
        }
        Ok(())
    }

    /// What follows the question mark in this view's address, without what is as usual.
    pub fn query(&self) -> String {
        let usual = Self::default();
        let mut query = String::new();
        let mut add = |name: &str, value: String| {
            let separator = if query.is_empty() { "" } else { "&" };
            let _ = write!(query, "{separator}{name}={value}");
        };
        match &self.scope {
            Scope::Newest => {}
            Scope::All => add("e", "all".to_owned()),
            Scope::These(these) => add("e", join(these)),
        }
        if self.x != usual.x {
            add("x", self.x.clone());
        }
        if self.y != usual.y {
            add("y", self.y.clone());
        }
        for (name, is_log) in [("lx", self.log.0), ("ly", self.log.1)] {
            if is_log {
                add(name, "1".to_owned());
            }
        }
        if !self.by.is_empty() {
            add("by", join(&self.by));
        }
        if !self.filters.is_empty() {
            let filter = |(key, values): &(ShortId, Vec<ShortId>)| {
                values.iter().fold(key.to_string(), |filter, value| format!("{filter}.{value}"))
            };
            add("f", self.filters.iter().map(filter).collect::<Vec<_>>().join(","));
        }
        if let Some(sort) = self.sort_key() {
            add("sort", sort);
        }
        if self.lines > 0 {
            add("l", self.lines.to_string());
        }
        if self.page > 1 {
            add("page", self.page.to_string());
        }
        query
    }

    /// What the table is sorted by, as the address says it.
    pub fn sort_key(&self) -> Option<String> {
        let (column, falling) = self.sort.as_ref()?;
        Some(format!("{}{column}", if *falling { "-" } else { "" }))
    }

    /// The path and query of this view.
    pub fn address(&self) -> String {
        match self.query() {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }

    /// The same view of other lines.
    pub fn with_lines(&self, lines: usize) -> Self {
        Self { lines, ..self.clone() }
    }

    /// The same view, sorted by this column: falling if it was rising already.
    pub fn sorted_by(&self, column: &str) -> Self {
        let falling = self.sort == Some((column.to_owned(), false));
        Self { sort: Some((column.to_owned(), falling)), page: 1, ..self.clone() }
    }

    /// The experiments in sight.
    ///
    /// # Errors
    /// If one is not there.
    pub fn shelves<'a>(&self, catalogue: &'a Catalogue) -> Result<Vec<&'a Shelf>, Problem> {
        let all = catalogue.experiments.iter().map(|shelf| &**shelf);
        Ok(match &self.scope {
            Scope::Newest => all.filter(|shelf| !shelf.entries.is_empty()).take(1).collect(),
            Scope::All => all.collect(),
            Scope::These(these) => {
                let find = |id: &ExperimentId| all.clone().find(|shelf| shelf.holdings.id == *id);
                let shelves =
                    these.iter().map(|id| find(id).ok_or_else(|| Problem::not_found(format_args!("experiment {id}"))));
                shelves.collect::<Result<_, _>>()?
            }
        })
    }

    /// Those that the filters let through.
    pub fn wanted<'a>(&self, catalogue: &Catalogue, shelves: &[&'a Shelf]) -> Vec<&'a Entry> {
        let named = |id: &ShortId| catalogue.texts.named(*id);
        let symbols = |(key, values): &(ShortId, Vec<ShortId>)| (named(key), values.iter().flat_map(named).collect());
        // Names are looked up once, not for every setting of every trial.
        let filters: Vec<(Vec<Symbol>, Vec<Symbol>)> = self.filters.iter().map(symbols).collect();
        let wants = |entry: &&Entry| {
            filters.iter().all(|(keys, values)| {
                let mut settings = keys.iter().filter_map(|key| entry.setting(*key));
                settings.any(|value| values.contains(&value))
            })
        };
        shelves.iter().flat_map(|shelf| &shelf.entries).filter(wants).collect()
    }

    /// The keys that make a line.
    pub fn line_keys(&self, catalogue: &Catalogue, entries: &[&Entry]) -> Vec<Symbol> {
        let texts = &catalogue.texts;
        if self.by.is_empty() {
            return [VARIANT, STRATEGY].into_iter().filter_map(|key| texts.find(key)).collect();
        }
        let Some(first) = entries.first() else { return Vec::new() };
        let keys = first.settings().iter().map(|(key, _)| *key);
        // A key that the first trial lacks makes no lines of it, but may of others.
        let others = entries.iter().flat_map(|entry| entry.settings()).map(|(key, _)| *key);
        let find = |id: &ShortId| keys.clone().chain(others.clone()).find(|key| texts.id(*key) == *id);
        self.by.iter().filter_map(find).collect()
    }

    /// Its two axes.
    ///
    /// # Errors
    /// If the store has no such metric.
    pub fn axes<'a>(&self, catalogue: &'a Catalogue) -> Result<(Quantity<'a>, Quantity<'a>), Problem> {
        let find = |name: &str| {
            Quantity::find(catalogue, name).ok_or_else(|| {
                let known = catalogue.metrics.keys().cloned().collect::<Vec<_>>().join(", ");
                Problem::bad_request(format!("Nobody measured «{name}» in this store. There are: {known}."))
            })
        };
        Ok((find(&self.x)?, find(&self.y)?))
    }
}

/// A name that may be a metric's or a key's: nothing else gets into a page or an address.
fn metric(name: &str) -> Option<String> {
    let fits = (1..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then(|| name.to_owned())
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<View, Problem> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        View::parse(&pairs.collect::<Vec<_>>())
    }

    #[test]
    fn every_parameter_is_known_with_its_example() {
        for (name, _, example) in PARAMETERS {
            assert!(View::parse(&[(name.to_owned(), example.to_owned())]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_view_is_what_its_address_says() {
        for query in [
            "",
            "e=all&x=flops&lx=1&sort=-psnr&l=2&page=7",
            "e=4,17&y=ssim&ly=1&by=ab12,zz09,0000&f=aaaa.bbbb.cccc,dddd.eeee&sort=ab12",
        ] {
            let view = parsed(query).unwrap();
            assert_eq!(view.query(), query);
            assert_eq!(parsed(&view.query()).unwrap(), view);
        }
    }

    #[test]
    fn what_a_form_says_at_length_is_the_same_view() {
        let usual: String = [VARIANT, STRATEGY].map(|key| format!("&by={}", ShortId::of(key))).concat();
        let form = format!("y=psnr&x=kept_tokens&e=3&e=5&f=aaaa.bbbb&f=&f=aaaa.cccc&f=aaaa.bbbb{usual}");
        assert_eq!(parsed(&form).unwrap().query(), "e=3,5&f=aaaa.bbbb.cccc");
    }

    #[test]
    fn an_address_is_short_or_refused() {
        let values: String = (0..MOST_VALUES - 1).map(|value| format!(".{value:04}")).collect();
        let ids: Vec<_> = (0..MOST_EXPERIMENTS).map(|id| (100_000 + id).to_string()).collect();
        let name = "a_metric_with_a_long_name";
        let most = format!("e={}&x={}&by=aaaa,bbbb,cccc,dddd&f=kkkk{values}&sort=-psnr", ids.join(","), &name[..24]);
        let address = parsed(&most).unwrap().address();
        assert!(address.len() + "http://localhost:65535".len() <= MOST_CHARACTERS, "{}", address.len());
        let refused = [
            format!("f=kkkk{values}.9999"),
            format!("e={},7", ids.join(",")),
            "by=aaaa,bbbb,cccc,dddd,eeee".to_owned(),
            format!("{most}&y={}&lx=1&ly=1&l=100000&page=100000", &name[..24]),
        ];
        refused.iter().for_each(|query| assert!(parsed(query).is_err(), "{query}"));
    }

    #[test]
    fn nothing_else_is_understood() {
        for query in ["e=x", "x=<b>", "y=", "by=abc", "f=aaaa", "f=aaaa.b", "sort=--x", "l=-1", "page=x", "colour=red"]
        {
            assert!(parsed(query).is_err(), "{query}");
        }
    }

    #[test]
    fn sorting_twice_by_a_column_turns_it() {
        let once = View::default().sorted_by("psnr");
        assert_eq!((once.query().as_str(), once.sorted_by("psnr").query().as_str()), ("sort=psnr", "sort=-psnr"));
        assert_eq!(once.sorted_by("ssim").query(), "sort=ssim");
    }
}
