//! Rows as CSV or JSON, written one by one.

use std::io::{self, Write};

use crate::csv;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A line of column names, then a line a row; an empty field is not available. Text is as it is stored, for programs:
    /// a spreadsheet may take it for a formula.
    Csv,
    /// An array of objects, one a line.
    Json,
}

/// One value of a row.
pub(super) enum Field<'a> {
    Missing,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Json(&'a str),
}

/// An export being written.
pub(super) struct Rows<'a> {
    out: &'a mut (dyn Write + Send),
    format: ExportFormat,
    columns: Vec<String>,
    written: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn begin(
        out: &'a mut (dyn Write + Send),
        format: ExportFormat,
        columns: Vec<String>,
    ) -> io::Result<Self> {
        match format {
            ExportFormat::Csv => writeln!(out, "{}", columns.join(","))?,
            ExportFormat::Json => write!(out, "[")?,
        }
        Ok(Self { out, format, columns, written: 0 })
    }

    pub(super) fn write(&mut self, fields: &[Field<'_>]) -> io::Result<()> {
        match self.format {
            ExportFormat::Csv => {
                let line: Vec<_> = fields.iter().map(Field::to_csv).collect();
                writeln!(self.out, "{}", line.join(","))?;
            }
            ExportFormat::Json => {
                let separator = if self.written == 0 { "\n" } else { ",\n" };
                let object = object(self.columns.iter().map(String::as_str).zip(fields));
                write!(self.out, "{separator}{object}")?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// How many rows were written.
    pub(super) fn end(self) -> io::Result<u64> {
        if self.format == ExportFormat::Json {
            writeln!(self.out, "\n]")?;
        }
        self.out.flush()?;
        Ok(self.written)
    }
}

/// Names and values as a JSON object.
pub(super) fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Field<'a>)>) -> String {
    let fields: Vec<String> = fields.map(|(name, field)| format!("{}:{}", quoted(name), field.to_json())).collect();
    format!("{{{}}}", fields.join(","))
}

impl Field<'_> {
    fn to_csv(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Integer(integer) => integer.to_string(),
            Self::Real(real) => number(*real),
            Self::Text(text) | Self::Json(text) => csv::field(text).into_owned(),
        }
    }

    fn to_json(&self) -> String {
        match self {
            Self::Missing => "null".into(),
            Self::Integer(integer) => integer.to_string(),
            Self::Real(real) => number(*real),
            Self::Text(text) => quoted(text),
            Self::Json(text) => (*text).to_owned(),
        }
    }
}

/// The shortest text that is read back as this number; the store holds finite ones only.
fn number(real: f64) -> String {
    format!("{real:?}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_to_the_last_bit() {
        for real in [0.1 + 0.2, 1e-300 / 3.0, -0.0, 6e9, f64::MAX, f64::MIN_POSITIVE] {
            assert_eq!(number(real).parse::<f64>().unwrap().to_bits(), real.to_bits());
            assert_eq!(serde_json::from_str::<f64>(&number(real)).unwrap().to_bits(), real.to_bits());
        }
    }

    #[test]
    fn both_formats_tell_text_numbers_and_missing_values_apart() {
        let fields = [Field::Text("a \"b\",\n夜"), Field::Missing, Field::Json("{\"c\":[1]}"), Field::Integer(-3)];
        let columns = || ["text", "missing", "json", "integer"].map(str::to_owned).to_vec();
        let written = |format| {
            let mut out = Vec::new();
            let mut rows = Rows::begin(&mut out, format, columns()).unwrap();
            rows.write(&fields).unwrap();
            rows.write(&fields).unwrap();
            assert_eq!(rows.end().unwrap(), 2);
            String::from_utf8(out).unwrap()
        };
        let line = "\"a \"\"b\"\",\n夜\",,\"{\"\"c\"\":[1]}\",-3\n";
        assert_eq!(written(ExportFormat::Csv), format!("text,missing,json,integer\n{line}{line}"));
        let read: serde_json::Value = serde_json::from_str(&written(ExportFormat::Json)).unwrap();
        let row = serde_json::json!({ "text": "a \"b\",\n夜", "missing": null, "json": { "c": [1] }, "integer": -3 });
        assert_eq!(read, serde_json::json!([row, row]));
    }
}
