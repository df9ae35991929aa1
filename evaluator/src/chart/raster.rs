//! From SVG to PNG, with resvg and only the embedded font: the same picture on every machine.

use super::text::FONT_BYTES;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{ImageHrefResolver, Options, Tree, fontdb};
use std::sync::{Arc, LazyLock};

/// Why a chart could not become a PNG.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The text is not an SVG document.
    #[error("the chart is not valid SVG")]
    Svg(#[from] resvg::usvg::Error),
    /// The picture would have no pixels, or too many.
    #[error("a chart of {width}×{height} at scale {scale} does not make a picture of 1 to {MOST_PIXELS} pixels a side")]
    Pixels {
        /// Width in CSS pixels.
        width: f32,
        /// Height in CSS pixels.
        height: f32,
        /// Pixels per CSS pixel.
        scale: f32,
    },
    /// The PNG encoder failed.
    #[error("encoding the chart as PNG: {0}")]
    Encode(String),
}

/// Pixels a side, at most.
const MOST_PIXELS: f32 = 16_384.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT_BYTES.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Paints an SVG as [`to_svg`](super::to_svg) writes it, with `scale` pixels for each CSS pixel.
pub fn to_png(svg: &str, scale: f32) -> Result<Vec<u8>, ChartError> {
    let options = Options {
        font_family: "DejaVu Sans".into(),
        fontdb: Arc::clone(&FONTS),
        // A chart holds no images, and a picture must never read a file that an address names.
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let pixels = |length: f32| Some((length * scale).round()).filter(|pixels| (1.0..=MOST_PIXELS).contains(pixels));
    let mut picture = pixels(width)
        .zip(pixels(height))
        .and_then(|(width, height)| Pixmap::new(width as u32, height as u32))
        .ok_or(ChartError::Pixels { width, height, scale })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut picture.as_mut());
    picture.encode_png().map_err(|error| ChartError::Encode(error.to_string()))
}
