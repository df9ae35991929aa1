//! Tables as Markdown, LaTeX and CSV: one set of cells, three ways to write it.

use super::{Report, Row};
use crate::csv;
use crate::experiment::Criterion;
use crate::store::TrialId;
use serde_json::json;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A table to be read by people or programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it shows, on how many samples.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// One cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// The trials that each row was made of; none for a row of reported numbers. Empty if nothing was noted.
    pub trials: Vec<Vec<TrialId>>,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its heading with the unit, for people.
    pub heading: Cow<'static, str>,
    /// Its name in CSV.
    pub name: Cow<'static, str>,
    /// Digits after the point, for people; CSV is exact.
    pub digits: usize,
    /// Another run may give other numbers: times.
    pub noisy: bool,
}

impl Column {
    /// Of what is the same in every run.
    pub fn new(heading: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>, digits: usize) -> Self {
        Self { heading: heading.into(), name: name.into(), digits, noisy: false }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number.
    Number(f64),
    /// A number with the ends of its 95 % interval.
    Estimate(f64, f64, f64),
    /// Not available.
    Missing,
}

impl Cell {
    /// As people read it; `digits` after the point.
    pub fn to_text(&self, digits: usize) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => format!("{number:.digits$}"),
            Self::Estimate(number, low, high) => format!("{number:.digits$} [{low:.digits$}, {high:.digits$}]"),
            Self::Missing => "–".to_owned(),
        }
    }

    /// Whether it is set to the right.
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

const COLUMNS: [Column; 10] = [
    column("variant", "variant", 0),
    column("strategy", "strategy", 0),
    column("τ (MSE)", "threshold", 4),
    column("met (%)", "threshold_met_percent", 1),
    column("kept tokens", "kept_tokens", 2),
    column("tokens (%)", "token_percent", 1),
    column("PSNR (dB)", "psnr", 2),
    column("SSIM", "ssim", 4),
    column("evaluations/block", "evaluations", 2),
    noisy_column("search s/block", "search_seconds", 4),
];

pub(super) const fn column(heading: &'static str, name: &'static str, digits: usize) -> Column {
    Column { heading: Cow::Borrowed(heading), name: Cow::Borrowed(name), digits, noisy: false }
}

/// A column of what another run may measure otherwise.
pub(super) const fn noisy_column(heading: &'static str, name: &'static str, digits: usize) -> Column {
    Column { heading: Cow::Borrowed(heading), name: Cow::Borrowed(name), digits, noisy: true }
}

impl Report {
    /// Variant, strategy, threshold and what came of it: the experiment's main table.
    pub fn table(&self) -> Table {
        let samples = self.rows.first().map_or(0, |row| row.samples);
        let seeds = self.rows.first().map_or(0, |row| row.seeds);
        let cut = if self.is_of_clips() { "clips" } else { "crops" };
        let mut caption = format!("{}: means over {samples} held-out {cut}", self.experiment.name);
        if seeds > 1 {
            let _ = write!(caption, ", {seeds} seeds");
        }
        if let Some(floor) = self.rows.first().and_then(|row| row.mean("mean_colour_psnr")) {
            let _ = write!(caption, "; painting each patch in its mean colour gives {floor:.2} dB");
        }
        if self.rows.iter().any(|row| row.replayed) {
            caption.push_str("; searches without seconds were replayed from stored curves");
        }
        let rows = self.rows.iter().map(cells).collect();
        let trials = self.rows.iter().map(|row| row.trials.clone()).collect();
        let mut columns = COLUMNS.to_vec();
        if self.criterion() == Criterion::Ssim {
            columns[2].heading = "τ (SSIM)".into();
        }
        Table { caption, columns, rows, trials }
    }
}

fn cells(row: &Row) -> Vec<Cell> {
    let number = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
    vec![
        Cell::Text(row.variant.clone()),
        Cell::Text(row.strategy.clone()),
        number(row.threshold),
        number(row.mean("threshold_met").map(|share| 100.0 * share)),
        number(row.mean("kept_tokens")),
        number(row.share().map(|share| 100.0 * share)),
        number(row.mean("psnr")),
        number(row.mean("ssim")),
        number(row.mean("evaluations")),
        number(row.mean("search_seconds")),
    ]
}

impl Table {
    /// The cells as people read them.
    fn texts(&self) -> Vec<Vec<String>> {
        let row = |row: &Vec<Cell>| row.iter().zip(&self.columns).map(|(cell, c)| cell.to_text(c.digits)).collect();
        self.rows.iter().map(row).collect()
    }

    fn is_numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row[column].is_number())
    }

    /// A Markdown table, columns padded so that it reads well as plain text too.
    pub fn to_markdown(&self) -> String {
        let texts: Vec<Vec<String>> =
            self.texts().iter().map(|row| row.iter().map(|t| escape_markdown(t)).collect()).collect();
        let width = |column: usize| {
            let cells = texts.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].heading.chars().count(), 3]).max().unwrap_or(3)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().enumerate().map(|(column, cell)| match self.is_numeric(column) {
                true => format!("{cell:>width$}", width = widths[column]),
                false => format!("{cell:<width$}", width = widths[column]),
            });
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let mut markdown = line(self.columns.iter().map(|column| &*column.heading).collect());
        for (column, width) in widths.iter().enumerate() {
            let dashes = "-".repeat(width + 1);
            markdown += &if self.is_numeric(column) { format!("|{dashes}:") } else { format!("|{dashes}-") };
        }
        markdown.push_str("|\n");
        texts.iter().for_each(|row| markdown += &line(row.iter().map(String::as_str).collect()));
        markdown
    }

    /// A LaTeX `table` with `booktabs` rules.
    pub fn to_latex(&self) -> String {
        let alignment: String = (0..self.columns.len()).map(|c| if self.is_numeric(c) { 'r' } else { 'l' }).collect();
        let mut latex = format!(
            "% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\
             \\begin{{tabular}}{{{alignment}}}\n\\toprule\n",
            escape_latex(&self.caption)
        );
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        latex += &line(self.columns.iter().map(|column| escape_latex(&column.heading)).collect());
        latex += "\\midrule\n";
        self.texts().iter().for_each(|row| latex += &line(row.iter().map(|cell| escape_latex(cell)).collect()));
        latex + "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    }

    /// Comma-separated values with every digit; an empty field is not available. Text that a spreadsheet would take for a
    /// formula is marked as text with an apostrophe.
    pub fn to_csv(&self) -> String {
        let exact = |number: f64| number.to_string();
        let intervals: Vec<bool> = (0..self.columns.len()).map(|column| self.has_interval(column)).collect();
        let value = |column: usize, cell: &Cell| {
            let mut fields = match cell {
                Cell::Text(text) => vec![csv::cell(text).into_owned()],
                Cell::Number(number) => vec![exact(*number)],
                Cell::Estimate(number, low, high) => [*number, *low, *high].map(exact).into(),
                Cell::Missing => vec![String::new()],
            };
            fields.resize(if intervals[column] { 3 } else { 1 }, String::new());
            fields.join(",")
        };
        let heads = self.columns.iter().enumerate().map(|(index, column)| {
            let endings = if intervals[index] { &["", "_low", "_high"][..] } else { &[""] };
            let heads = endings.iter().map(|ending| csv::cell(&format!("{}{ending}", column.name)).into_owned());
            heads.collect::<Vec<_>>().join(",")
        });
        let rows = self.rows.iter().map(|row| {
            let fields = row.iter().enumerate().map(|(column, cell)| value(column, cell));
            fields.collect::<Vec<_>>().join(",")
        });
        std::iter::once(heads.collect::<Vec<_>>().join(",")).chain(rows).map(|line| line + "\n").collect()
    }

    /// Whether any cell of the column is an estimate: then CSV has its ends in columns of their own.
    fn has_interval(&self, column: usize) -> bool {
        self.rows.iter().any(|row| matches!(row[column], Cell::Estimate(..)))
    }

    /// One JSON object: the caption, the columns, and the rows as objects by column name; estimates are
    /// `{"value", "low", "high"}`, what is not available is null.
    pub fn to_json(&self) -> String {
        let value = |cell: &Cell| match cell {
            Cell::Text(text) => json!(text),
            Cell::Number(number) => json!(number),
            Cell::Estimate(value, low, high) => json!({ "value": value, "low": low, "high": high }),
            Cell::Missing => json!(null),
        };
        let row = |row: &Vec<Cell>| -> serde_json::Map<String, serde_json::Value> {
            self.columns.iter().zip(row).map(|(column, cell)| (column.name.to_string(), value(cell))).collect()
        };
        let columns: Vec<_> = self.columns.iter().map(|c| json!({ "name": c.name, "heading": c.heading })).collect();
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let table = json!({ "caption": self.caption, "columns": columns, "rows": rows });
        serde_json::to_string_pretty(&table).expect("a table is plain data") + "\n"
    }
}

fn escape_markdown(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn escape_latex(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            'τ' => escaped.push_str("$\\tau$"),
            '–' => escaped.push_str("--"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            caption: "50 % of A&B".to_owned(),
            columns: vec![column("name", "name", 0), column("τ (MSE)", "threshold", 3)],
            rows: vec![
                vec![Cell::Text("a_b".to_owned()), Cell::Number(0.02)],
                vec![Cell::Text("with, comma | bar".to_owned()), Cell::Missing],
            ],
            trials: Vec::new(),
        }
    }

    #[test]
    fn markdown() {
        let expected = "| name               | τ (MSE) |\n|--------------------|--------:|\n\
                        | a_b                |   0.020 |\n| with, comma \\| bar |       – |\n";
        assert_eq!(table().to_markdown(), expected);
    }

    #[test]
    fn csv_is_exact_and_quoted_where_needed() {
        assert_eq!(table().to_csv(), "name,threshold\na_b,0.02\n\"with, comma | bar\",\n");
    }

    #[test]
    fn csv_holds_no_formulas_and_negative_numbers_as_they_are() {
        let mut table = table();
        table.rows[0] = vec![Cell::Text("=1+1".to_owned()), Cell::Number(-3.5)];
        table.columns[1].name = "=A,B".into();
        assert_eq!(table.to_csv(), "name,\"'=A,B\"\n'=1+1,-3.5\n\"with, comma | bar\",\n");
    }

    #[test]
    fn an_estimate_has_its_ends_in_csv_and_json_too() {
        let mut table = table();
        table.rows[0][1] = Cell::Estimate(0.5, 0.25, 0.75);
        assert_eq!(table.rows[0][1].to_text(2), "0.50 [0.25, 0.75]");
        let csv = table.to_csv();
        assert_eq!(csv, "name,threshold,threshold_low,threshold_high\na_b,0.5,0.25,0.75\n\"with, comma | bar\",,,\n");
        let json: serde_json::Value = serde_json::from_str(&table.to_json()).unwrap();
        assert_eq!(json["rows"][0]["threshold"], json!({ "value": 0.5, "low": 0.25, "high": 0.75 }));
        assert_eq!(json["rows"][1]["threshold"], json!(null));
    }

    #[test]
    fn latex_is_escaped() {
        let latex = table().to_latex();
        assert!(latex.contains("\\caption{50 \\% of A\\&B}"), "{latex}");
        assert!(latex.contains("\\begin{tabular}{lr}"), "{latex}");
        assert!(latex.contains("a\\_b & 0.020 \\\\\n"), "{latex}");
    }
}
