//! Fields of comma-separated values: RFC 4180, with lines that end in `\n` as everything else on this system.

use std::borrow::Cow;

/// The text as one field, in quotes only if it needs them.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_would_break_a_line_is_quoted() {
        for (text, field) in
            [("", ""), ("a b", "a b"), ("a,b", "\"a,b\""), ("\"a\"", "\"\"\"a\"\"\""), ("a\nb", "\"a\nb\"")]
        {
            assert_eq!(super::field(text), field);
        }
    }
}
