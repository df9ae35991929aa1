//! Figures as files: they stand alone, with title, legend and caption.

use axum::response::Response;
use evaluator::EvaluatorError;
use evaluator::chart::{Chart, Size, Theme, to_png, to_svg};
use serde::Deserialize;

use crate::charts::{WIDE, size};
use crate::error::Problem;
use crate::pages::{compute, file};

/// Pixels of a saved picture for each CSS pixel: sharp in print.
const PIXELS: f32 = 2.0;

/// The last part of a figure's address: `NAME.svg`, `NAME-dark.svg` or `NAME.png`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FigureFile {
    /// Which figure.
    pub name: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    DarkSvg,
    Png,
}

impl Format {
    const ALL: [Self; 3] = [Self::Svg, Self::DarkSvg, Self::Png];

    /// What follows the name.
    fn ending(self) -> &'static str {
        match self {
            Self::Svg => ".svg",
            Self::DarkSvg => "-dark.svg",
            Self::Png => ".png",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Svg => "SVG",
            Self::DarkSvg => "SVG, dark",
            Self::Png => "PNG",
        }
    }

    fn write(self, mut chart: Chart) -> Result<(Vec<u8>, &'static str), Problem> {
        // Links into the dashboard lead nowhere from a file.
        let points = chart.panels.iter_mut().flat_map(|panel| &mut panel.series).flat_map(|series| &mut series.points);
        points.for_each(|point| point.href = None);
        let theme = if self == Self::DarkSvg { Theme::Dark } else { Theme::Light };
        let svg = to_svg(&chart, theme, Size { with_caption: true, ..size(&chart, WIDE) });
        match self {
            Self::Svg | Self::DarkSvg => Ok((svg.into_bytes(), "image/svg+xml")),
            Self::Png => Ok((to_png(&svg, PIXELS).map_err(EvaluatorError::from)?, "image/png")),
        }
    }
}

impl TryFrom<String> for FigureFile {
    type Error = String;

    fn try_from(file: String) -> Result<Self, String> {
        // «-dark.svg» ends as «.svg» does: it is looked for before that.
        let mut formats = Format::ALL.into_iter().rev();
        let found = formats.find_map(|format| Some((file.strip_suffix(format.ending())?, format)));
        match found {
            Some((name, format)) if !name.is_empty() => Ok(Self { name: name.to_owned(), format }),
            _ => Err(format!("{file}: a figure is NAME.svg, NAME-dark.svg or NAME.png")),
        }
    }
}

impl FigureFile {
    /// The links to a figure's files: heading and address. `base` is the address up to the name, `query` what follows the
    /// ending, with its question mark.
    pub fn links(base: &str, query: &str) -> Vec<(&'static str, String)> {
        Format::ALL.map(|format| (format.heading(), format!("{base}{}{query}", format.ending()))).into()
    }

    /// The figure as an answer that a browser shows, and saves under the name `saved` and its ending.
    pub async fn answer(
        &self,
        saved: &str,
        draw: impl FnOnce() -> Chart + Send + 'static,
    ) -> Result<Response, Problem> {
        let format = self.format;
        let name = format!("{saved}{}", format.ending());
        let (bytes, media_type) = compute(move || format.write(draw())).await?;
        Ok(file(true, &name, media_type, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_name_and_an_ending() {
        let parse = |file: &str| FigureFile::try_from(file.to_owned());
        for (file, name, format) in [
            ("quality.svg", "quality", Format::Svg),
            ("over-time-dark.svg", "over-time", Format::DarkSvg),
            ("a.b.png", "a.b", Format::Png),
        ] {
            assert_eq!(parse(file), Ok(FigureFile { name: name.to_owned(), format }));
        }
        for wrong in ["", ".svg", "-dark.svg", "quality", "quality.pdf", "quality.SVG"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
