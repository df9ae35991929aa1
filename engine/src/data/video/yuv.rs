//! Decoded pictures as luma and chroma planes, and the one conversion between them and RGB.
//!
//! The arithmetic is that of ffmpeg's swscale under `-sws_flags neighbor+accurate_rnd+full_chroma_int+bitexact`, bit for
//! bit: coefficients rounded to 1/8192, one rounding a channel, each chroma sample used for every pixel it covers (what
//! swscale's default does too; the default also truncates each product, which darkens a picture by 0.7 levels on
//! average, and differently on each kind of CPU). Where swscale's 32-bit sums overflow, on colours far outside of RGB,
//! it turns white into black; here they are clipped.

use crate::data::Picture;
use crate::patch::CHANNELS;

/// How many chroma samples there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chroma {
    /// None: grey.
    Mono,
    /// One for 2 × 2 pixels.
    Yuv420,
    /// One for 2 × 1 pixels.
    Yuv422,
    /// One a pixel.
    Yuv444,
}

impl Chroma {
    /// Columns and rows of each chroma plane of a picture of `width` × `height` pixels.
    pub(super) fn size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Mono => (0, 0),
            Self::Yuv420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::Yuv422 => (width.div_ceil(2), height),
            Self::Yuv444 => (width, height),
        }
    }
}

/// What the samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    /// `matrix_coefficients` of ITU-T H.273; those that are unknown or unspecified are read as BT.601, as ffmpeg does.
    pub matrix: u8,
    /// Whether luma uses 0..=255 instead of 16..=235.
    pub full_range: bool,
}

impl Colour {
    /// BT.601 in limited range: what a file means that says nothing.
    pub(super) const UNSPECIFIED: Self = Self { matrix: 2, full_range: false };

    /// Weights of red and blue in luma.
    fn weights(self) -> (f64, f64) {
        match self.matrix {
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        }
    }
}

/// One 8-bit picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    pub width: usize,
    pub height: usize,
    pub chroma: Chroma,
    /// height × width luma samples.
    pub y: Vec<u8>,
    /// Blue difference: `chroma.size` samples.
    pub u: Vec<u8>,
    /// Red difference, likewise.
    pub v: Vec<u8>,
}

/// Bits behind the binary point of the coefficients.
const PRECISION: u32 = 13;

impl Planes {
    /// To RGB.
    pub(super) fn to_rgb(&self, colour: Colour) -> Picture {
        let (red, blue) = colour.weights();
        let green = 1.0 - red - blue;
        let (black, luma_scale, chroma_scale) =
            if colour.full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |value: f64| (value * f64::from(1 << PRECISION)).round() as i32;
        let luma = fixed(luma_scale);
        let v_to_red = fixed(2.0 * (1.0 - red) * chroma_scale);
        let u_to_blue = fixed(2.0 * (1.0 - blue) * chroma_scale);
        let u_to_green = -fixed(2.0 * (1.0 - blue) * blue / green * chroma_scale);
        let v_to_green = -fixed(2.0 * (1.0 - red) * red / green * chroma_scale);

        let (columns, _) = self.chroma.size(self.width, self.height);
        let (across, down) = match self.chroma {
            Chroma::Mono | Chroma::Yuv444 => (0, 0),
            Chroma::Yuv420 => (1, 1),
            Chroma::Yuv422 => (1, 0),
        };
        let clip = |sum: i32| ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8;
        let mut pixels = Vec::with_capacity(self.width * self.height * CHANNELS);
        for (row, line) in self.y.chunks_exact(self.width).enumerate() {
            let chroma_row = (row >> down) * columns;
            for (column, y) in line.iter().enumerate() {
                let y = (i32::from(*y) - black) * luma;
                let (u, v) = if self.chroma == Chroma::Mono {
                    (0, 0)
                } else {
                    let at = chroma_row + (column >> across);
                    (i32::from(self.u[at]) - 128, i32::from(self.v[at]) - 128)
                };
                let green = y + u * u_to_green + v * v_to_green;
                pixels.extend([clip(y + v * v_to_red), clip(green), clip(y + u * u_to_blue)]);
            }
        }
        Picture { width: self.width, height: self.height, pixels }
    }

    /// From RGB, with chroma for every pixel (BT.601, limited range).
    pub(super) fn from_rgb(picture: &Picture) -> Self {
        let (red, blue) = Colour::UNSPECIFIED.weights();
        let samples = picture.width * picture.height;
        let mut planes = Self {
            width: picture.width,
            height: picture.height,
            chroma: Chroma::Yuv444,
            y: Vec::with_capacity(samples),
            u: Vec::with_capacity(samples),
            v: Vec::with_capacity(samples),
        };
        for pixel in picture.pixels.chunks_exact(CHANNELS) {
            let [r, g, b] = [0, 1, 2].map(|channel| f64::from(pixel[channel]) / 255.0);
            let luma = red * r + (1.0 - red - blue) * g + blue * b;
            planes.y.push((16.0 + 219.0 * luma).round() as u8);
            planes.u.push((128.0 + 112.0 * (b - luma) / (1.0 - blue)).round() as u8);
            planes.v.push((128.0 + 112.0 * (r - luma) / (1.0 - red)).round() as u8);
        }
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(y: u8, u: u8, v: u8, colour: Colour) -> Vec<u8> {
        let planes = Planes { width: 1, height: 1, chroma: Chroma::Yuv444, y: vec![y], u: vec![u], v: vec![v] };
        planes.to_rgb(colour).pixels
    }

    #[test]
    fn the_standards_corners_are_the_corners_of_rgb() {
        let bt601 = Colour::UNSPECIFIED;
        assert_eq!(one(16, 128, 128, bt601), [0, 0, 0]);
        assert_eq!(one(235, 128, 128, bt601), [255, 255, 255]);
        // Red in BT.601 limited: Y = 16 + 219 · 0.299 = 81.5, Cb = 128 − 112 · 0.299 / 0.886 = 90.2, Cr = 240.
        assert_eq!(one(81, 90, 240, bt601), [254, 0, 0]);
        // Red in BT.709 limited: Y = 62.6, Cb = 102.3, Cr = 240.
        assert_eq!(one(63, 102, 240, Colour { matrix: 1, full_range: false }), [255, 1, 0]);
        assert_eq!(one(200, 128, 128, Colour { matrix: 1, full_range: true }), [200, 200, 200]);
        // Far outside of RGB: clipped, where 32-bit sums at swscale's scale would overflow.
        assert_eq!(one(255, 255, 128, bt601)[2], 255);
    }

    #[test]
    fn rgb_survives_the_way_there_and_back_to_two_levels() {
        let pixels: Vec<u8> = (0..64 * 64 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let picture = Picture { width: 64, height: 64, pixels };
        let back = Planes::from_rgb(&picture).to_rgb(Colour::UNSPECIFIED);
        let worst = back.pixels.iter().zip(&picture.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert_eq!(worst, Some(2));
    }
}
