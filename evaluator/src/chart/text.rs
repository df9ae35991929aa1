//! Text: measured with the embedded font, wrapped to a width, made safe for XML.
//!
//! Browsers and resvg lay the text out again, with kerning or another font; the widths here are a little generous, so
//! that what fits by them fits there too.

use ab_glyph::{Font, FontRef, GlyphId};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// DejaVu Sans, reduced to the characters that labels need; see `fonts/LICENSE-DejaVu.txt`.
pub(super) const FONT_BYTES: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");
/// The family to ask for, with what a browser without it should take.
pub(super) const FONT_FAMILY: &str = "'DejaVu Sans', sans-serif";

const UNITS_PER_EM: f64 = 2048.0;

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FONT_BYTES).expect("the embedded font is a valid TrueType file"));

/// Width of a line in the unit of `font_size`.
pub(super) fn width(text: &str, font_size: f64) -> f64 {
    // Advances are whole font units: their sum is exact, hence the same on every machine.
    let units: f64 = text.chars().map(advance).sum();
    units * font_size / UNITS_PER_EM
}

fn advance(character: char) -> f64 {
    match FONT.glyph_id(character) {
        GlyphId(0) => UNITS_PER_EM, // not in the font: allow for a wide script such as Chinese
        glyph => f64::from(FONT.h_advance_unscaled(glyph)),
    }
}

/// Breaks a text into at most `most_lines` lines no wider than `max_width`: between words where possible, inside a
/// word where one is too long, ending in «…» where the lines run out. A blank text has no lines.
pub(super) fn wrap(text: &str, font_size: f64, max_width: f64, most_lines: usize) -> Vec<String> {
    let fits = |line: &str| width(line, font_size) <= max_width;
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} {word}");
            if fits(&longer) {
                *line = longer;
                continue;
            }
        }
        lines.push(String::new());
        for character in word.chars() {
            let line = lines.last_mut().expect("a line was just pushed");
            line.push(character);
            if !fits(line) && line.chars().nth(1).is_some() {
                line.pop();
                lines.push(character.to_string());
            }
        }
    }
    if lines.len() > most_lines {
        lines.truncate(most_lines);
        if let Some(line) = lines.last_mut() {
            while !line.is_empty() && !fits(&format!("{line}…")) {
                line.pop();
            }
            line.push('…');
        }
    }
    lines
}

/// The widest of some lines.
pub(super) fn widest(lines: &[String], font_size: f64) -> f64 {
    lines.iter().map(|line| width(line, font_size)).fold(0.0, f64::max)
}

/// Replaces what XML 1.0 cannot hold, even escaped: control characters and two non-characters.
fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' => ' ',
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            control if control.is_control() => '\u{fffd}',
            other => other,
        })
        .collect()
}

/// Text for an XML element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in clean(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The address if following it cannot run a script: relative, or http(s).
pub(super) fn safe_address(address: &str) -> Option<&str> {
    let before_path = address.split(['/', '?', '#']).next().unwrap_or_default();
    let scheme = before_path.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    // Browsers drop tabs and line ends before they look for the scheme: «java\tscript:».
    let hidden = address.chars().any(char::is_control);
    (!hidden && matches!(scheme.as_deref(), None | Some("http" | "https"))).then_some(address)
}

/// Where a line of text is anchored.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A style for lines of text.
#[derive(Clone, Copy)]
pub(super) struct TextStyle<'a> {
    pub size: f64,
    pub colour: &'a str,
    pub anchor: Anchor,
}

impl TextStyle<'_> {
    /// Distance from one baseline to the next.
    pub(super) fn line_height(size: f64) -> f64 {
        (size * 1.25).ceil()
    }

    /// Writes one line whose vertical middle (that of the capitals) is at `y`.
    pub(super) fn write(&self, svg: &mut String, (x, y): (f64, f64), line: &str) {
        self.write_with(svg, (x, y), line, "");
    }

    /// Writes lines one below the other, the first with its top at `top`.
    pub(super) fn write_lines(&self, svg: &mut String, (x, top): (f64, f64), lines: &[String]) {
        let line_height = Self::line_height(self.size);
        for (row, line) in lines.iter().enumerate() {
            self.write(svg, (x, top + line_height * (row as f64 + 0.5)), line);
        }
    }

    /// Writes lines that read upwards, the first with its top at `left`, centred on `middle`.
    pub(super) fn write_upwards(&self, svg: &mut String, (left, middle): (f64, f64), lines: &[String]) {
        let line_height = Self::line_height(self.size);
        for (row, line) in lines.iter().enumerate() {
            let x = left + line_height * (row as f64 + 0.5);
            let turn = format!(" transform=\"rotate(-90 {} {})\"", number(x), number(middle));
            self.write_with(svg, (x, middle), line, &turn);
        }
    }

    fn write_with(&self, svg: &mut String, (x, y): (f64, f64), line: &str, turn: &str) {
        let anchor = match self.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        // Capitals are 0.73 em high in DejaVu Sans. `dy` keeps the middle at `y` when the text is turned.
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" dy=\"{}\" font-size=\"{}\" fill=\"{}\"{anchor}{turn}>{}</text>",
            number(x),
            number(y),
            number(self.size * 0.365),
            number(self.size),
            self.colour,
            escape(line)
        )
        .expect("writing to a String cannot fail");
    }
}

/// A coordinate to a hundredth of a pixel, without trailing zeros.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_is_the_sum_of_the_advances_in_the_font() {
        // DejaVu Sans: «M» is 1767 and «i» 569 units of 1/2048 em.
        assert_eq!(width("Mi", 2048.0), 1767.0 + 569.0);
        assert_eq!(width("漢", 12.0), 12.0);
    }

    #[test]
    fn the_font_holds_what_labels_need() {
        for character in "abcXYZ0189−×·±≤≥≈→←↑↓∞√∑∂ΔλμσβΩéäñ⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂…–—«»°".chars()
        {
            assert_ne!(FONT.glyph_id(character), GlyphId(0), "{character} is missing from the embedded font");
        }
    }

    #[test]
    fn wrapped_lines_keep_all_words_and_the_width() {
        let text = "bits per pixel of the whole film, counted with headers";
        let lines = wrap(text, 12.0, 120.0, 99);
        assert!(lines.len() > 2);
        assert!(lines.iter().all(|line| width(line, 12.0) <= 120.0));
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn a_word_longer_than_the_line_is_broken_and_nothing_is_lost() {
        let lines = wrap(&"x".repeat(100), 12.0, 60.0, 99);
        assert!(lines.iter().all(|line| width(line, 12.0) <= 60.0));
        assert_eq!(lines.concat().len(), 100);
    }

    #[test]
    fn lines_past_the_limit_end_in_an_ellipsis() {
        let lines = wrap("one two three four five six", 12.0, 60.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && width(&lines[1], 12.0) <= 60.0);
        assert!(wrap("  \n ", 12.0, 60.0, 2).is_empty());
    }

    #[test]
    fn text_that_xml_cannot_hold_is_replaced() {
        assert_eq!(escape("a\0\u{1b}<'\u{ffff}\n"), "a\u{fffd}\u{fffd}&lt;&#39;\u{fffd} ");
    }

    #[test]
    fn addresses_that_could_run_a_script_are_refused() {
        for good in ["/trials/3", "trials/3?x=a:b", "#row", "https://example.org/a:b", "HTTP://example.org", "../a"] {
            assert_eq!(safe_address(good), Some(good));
        }
        for bad in ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:x", "java\tscript:x", "data:text/html,x"]
        {
            assert_eq!(safe_address(bad), None, "{bad}");
        }
    }
}
