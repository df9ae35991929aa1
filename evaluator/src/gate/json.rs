//! JSON for reviews: objects over several lines, lists on one, so that a diff shows which metric of which trial changed.

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{Result, Write};

/// Objects as [`PrettyFormatter`] writes them.
struct ListsOnOneLine(PrettyFormatter<'static>);

impl Formatter for ListsOnOneLine {
    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.0.end_object_value(writer)
    }
}

/// The value as text, with a line end behind it.
pub(super) fn to_json(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, ListsOnOneLine(PrettyFormatter::new()));
    value.serialize(&mut serializer).expect("plain data is JSON");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn numbers_of_a_list_share_a_line_and_objects_do_not() {
        let text = super::to_json(&json!({ "a": [1, 2.5], "b": { "c": [{ "d": [] }] } }));
        assert_eq!(text, "{\n  \"a\": [1, 2.5],\n  \"b\": {\n    \"c\": [{\n      \"d\": []\n    }]\n  }\n}\n");
    }
}
