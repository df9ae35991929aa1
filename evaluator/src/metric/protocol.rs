//! Everything that must be equal for two numbers to share a table.
//!
//! The same reconstruction has another PSNR after another crop, rounding or averaging. So a number is stored with the
//! key of its protocol, and a table refuses numbers whose keys differ, naming the field ([`Protocol::difference`]).
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::perceptual::PerceptualJudge;
use super::ssim::{SIGMA, WINDOW};

/// How pictures were made and compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// How a file's pictures were scaled.
    pub resize: Resize,
    /// Which part of them was kept.
    pub crop: Crop,
    /// Range in which mean squared errors (and thresholds) are meant.
    pub value_range: ValueRange,
    /// How reconstructions became bytes for PSNR and SSIM.
    pub rounding: Rounding,
    /// SSIM's window, on every scale of multi-scale SSIM too.
    pub ssim_window: SsimWindow,
    /// How frames were put together.
    pub averaging: Averaging,
    /// The network of the perceptual distance, where one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<PerceptualJudge>,
    /// Of curves: how many blocks before it a block of a clip saw, where not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
}

/// How a file's pictures are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Not at all.
    None,
    /// The shortest side to this many pixels, as Pillow's bilinear filter does: antialiased, 8 bits between passes.
    ShortestSidePillowBilinear(usize),
}

/// Which part of a picture is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// All of it.
    None,
    /// Its centre.
    Centre {
        /// Columns kept.
        width: usize,
        /// Rows kept.
        height: usize,
    },
    /// Several squares: the centre first, then spread evenly (the R2 sequence).
    Spread {
        /// Side in pixels.
        side: usize,
        /// How many.
        count: usize,
    },
    /// The centre of frames picked from a second of video.
    CentreOfClips {
        /// Side in pixels.
        side: usize,
        /// Frames picked from a second.
        frames_per_second: u32,
    },
    /// Squares at random places: training pictures, on which predictors are trained.
    Random {
        /// Side in pixels.
        side: usize,
    },
    /// Squares at random places of frames picked from a second of training video.
    RandomOfClips {
        /// Side in pixels.
        side: usize,
        /// Frames picked from a second.
        frames_per_second: u32,
    },
}

/// Range in which squared errors are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRange {
    /// [-1, 1], reconstructions clipped to it.
    MinusOneToOneClipped,
}

/// How values become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest byte (the released ElasticTok code truncates).
    Nearest,
}

/// The weights of SSIM's neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsimWindow {
    /// A Gaussian, normalised by its own sum (no sample covariance).
    Gaussian {
        /// Side in pixels.
        side: usize,
        /// Standard deviation in pixels.
        sigma: f64,
    },
}

/// How the frames of a video become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// PSNR from the squared error of all frames; SSIM and multi-scale SSIM as the mean of the frames'.
    PooledPsnrMeanSsim,
}

impl Protocol {
    /// What this project's metrics do, on `count` squares of `crop` pixels cut from pictures scaled to `resize`.
    pub fn fixed_crops(resize: usize, crop: usize, count: usize) -> Self {
        Self {
            resize: Resize::ShortestSidePillowBilinear(resize),
            crop: if count == 1 {
                Crop::Centre { width: crop, height: crop }
            } else {
                Crop::Spread { side: crop, count }
            },
            value_range: ValueRange::MinusOneToOneClipped,
            rounding: Rounding::Nearest,
            ssim_window: SsimWindow::Gaussian { side: WINDOW, sigma: SIGMA },
            averaging: Averaging::PooledPsnrMeanSsim,
            perceptual: None,
            window: None,
        }
    }

    /// The same on the centre of `frames_per_second` frames of a second of video.
    pub fn clips(resize: usize, crop: usize, frames_per_second: u32) -> Self {
        let crop_of = Crop::CentreOfClips { side: crop, frames_per_second };
        Self { crop: crop_of, ..Self::fixed_crops(resize, crop, 1) }
    }

    /// The same on random squares, as predictors are trained on.
    pub fn random_crops(resize: usize, crop: usize) -> Self {
        Self { crop: Crop::Random { side: crop }, ..Self::fixed_crops(resize, crop, 1) }
    }

    /// The same on random squares of clips.
    pub fn random_clips(resize: usize, crop: usize, frames_per_second: u32) -> Self {
        let crop_of = Crop::RandomOfClips { side: crop, frames_per_second };
        Self { crop: crop_of, ..Self::fixed_crops(resize, crop, 1) }
    }

    /// That of distortion curves behind at most `window` earlier blocks; `None`: behind all. They hold no perceptual
    /// distance: the same serve whatever network judges the trials.
    pub fn of_curves(self, window: Option<usize>) -> Self {
        Self { perceptual: None, window, ..self }
    }

    /// Its stable JSON, fields in the order of the struct.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a protocol holds only names and finite numbers")
    }

    /// The blake3 hash of [`json`](Self::json): 64 hex digits.
    pub fn key(&self) -> String {
        blake3::hash(self.json().as_bytes()).to_hex().to_string()
    }

    /// The fields in which the two differ, each with both values; `None` if they are the same protocol.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let (left, right) = (self.fields(), other.fields());
        let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
        names.sort();
        names.dedup();
        let of = |fields: &Map<String, Value>, name| fields.get(name).unwrap_or(&Value::Null).clone();
        let differing: Vec<String> = names
            .into_iter()
            .map(|name| (name, of(&left, name), of(&right, name)))
            .filter(|(_, left, right)| left != right)
            .map(|(name, left, right)| format!("{name}: {left} against {right}"))
            .collect();
        (!differing.is_empty()).then(|| differing.join("; "))
    }

    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            other => unreachable!("a struct of names and finite numbers is a JSON object, not {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_and_key_never_change_by_accident() {
        // Stored results are found by this key. A deliberate change belongs in a new field or variant.
        let protocol = Protocol::fixed_crops(256, 256, 1);
        assert_eq!(
            protocol.json(),
            concat!(
                r#"{"resize":{"shortest_side_pillow_bilinear":256},"crop":{"centre":{"width":256,"height":256}},"#,
                r#""value_range":"minus_one_to_one_clipped","rounding":"nearest","#,
                r#""ssim_window":{"gaussian":{"side":11,"sigma":1.5}},"averaging":"pooled_psnr_mean_ssim"}"#
            )
        );
        assert_eq!(protocol.key(), "ae9400d3e671b4362d013b69f8486188c6f69dba9e69af8115640e4517f8e8f3");
    }

    #[test]
    fn it_is_read_back_from_its_json() {
        let protocol = Protocol { resize: Resize::None, crop: Crop::None, ..Protocol::fixed_crops(64, 64, 1) };
        assert_eq!(serde_json::from_str::<Protocol>(&protocol.json()).unwrap(), protocol);
    }

    #[test]
    fn a_difference_names_the_fields_and_both_values() {
        let protocol = Protocol::fixed_crops(256, 256, 1);
        assert_eq!(protocol.difference(&protocol), None);
        let other = Protocol { crop: Crop::None, resize: Resize::None, ..protocol };
        assert_eq!(
            protocol.difference(&other).unwrap(),
            concat!(
                r#"crop: {"centre":{"height":256,"width":256}} against "none"; "#,
                r#"resize: {"shortest_side_pillow_bilinear":256} against "none""#
            )
        );
        assert_ne!(protocol.key(), other.key());
        let judge = PerceptualJudge {
            architecture: engine::perceptual::Architecture::StLpipsAlex,
            weights: crate::store::ContentHash::of(b"weights"),
        };
        let judged = Protocol { perceptual: Some(judge), ..protocol };
        let difference = protocol.difference(&judged).unwrap();
        assert!(difference.starts_with(r#"perceptual: null against {"architecture":"st_lpips_alex""#), "{difference}");
        assert_eq!(judged.difference(&protocol).unwrap().matches("null").count(), 1);
        assert_eq!(serde_json::from_str::<Protocol>(&judged.json()).unwrap(), judged);
    }
}
