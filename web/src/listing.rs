//! A report's table as a page shows it.

use askama::Template;
use evaluator::report::{Cell, Column, Table};

use crate::download::Format;

/// A table with its caption and, if it has files, the links to them.
#[derive(Debug, Template)]
#[template(path = "listing.html")]
pub struct Listing {
    caption: String,
    headings: Vec<Heading>,
    rows: Vec<Row>,
    files: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Heading {
    text: String,
    numeric: bool,
}

#[derive(Debug)]
struct Row {
    /// Where its first field leads.
    address: Option<String>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    text: String,
    numeric: bool,
}

impl Listing {
    /// All of a table.
    pub fn of(table: &Table) -> Self {
        let field =
            |(cell, column): (&Cell, &Column)| Field { text: cell.to_text(column.digits), numeric: cell.is_number() };
        let row =
            |cells: &Vec<Cell>| Row { address: None, fields: cells.iter().zip(&table.columns).map(field).collect() };
        let rows: Vec<Row> = table.rows.iter().map(row).collect();
        let heading = |(index, column): (usize, &Column)| Heading {
            text: column.heading.to_string(),
            numeric: rows.iter().all(|row| row.fields[index].numeric),
        };
        let headings = table.columns.iter().enumerate().map(heading).collect();
        Self { caption: table.caption.clone(), headings, rows, files: Vec::new() }
    }

    /// The first field of each row leads to one of these addresses.
    pub fn leading_to(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        for (row, address) in self.rows.iter_mut().zip(addresses) {
            row.address = Some(address);
        }
        self
    }

    /// Offers the table as files too, at addresses that begin so.
    pub fn with_files(self, base: &str) -> Self {
        Self { files: Format::links(base, ""), ..self }
    }
}
