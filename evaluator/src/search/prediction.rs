//! What can be known of a block before the model is asked: the counts that predictors expect it to need.
use super::SearchError;

/// Something that looks at a block's pixels and expects a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Predictor {
    /// The regressor: a transformer trained on distortion curves of the training pictures.
    Network,
    /// A straight line through one feature, fitted to the same curves: what the regressor must beat.
    Line(Feature),
}

/// One number about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Nothing: the mean count of the training pictures.
    Mean,
    /// The count of the block before, or of the previous crop of the same photograph.
    Previous,
    /// Energy above the patch's scale.
    HighFrequency,
    /// Bytes of the block as JPEG.
    Jpeg,
    /// Change from frame to frame.
    FrameDifference,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mean, Self::Previous, Self::HighFrequency, Self::Jpeg, Self::FrameDifference];

    /// Its name in experiment files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Previous => "previous",
            Self::HighFrequency => "high-frequency",
            Self::Jpeg => "jpeg",
            Self::FrameDifference => "frame-difference",
        }
    }
}

/// What a strategy wants to know of a block beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// By whom.
    pub predictor: Predictor,
    /// How sure the predicted count must be to meet the threshold, 0 to 1: the safety margin. 0.5 has none.
    pub confidence: f64,
}

/// What a predictor expects of one block.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The fewest tokens that meet the threshold with the confidence asked for.
    pub kept_tokens: usize,
    /// Natural logarithm of the distortion it expects at counts, rising; empty if it expects only a count.
    pub log_distortions: Vec<(usize, f64)>,
    /// FLOPs it cost.
    pub flops: f64,
    /// Seconds it took; `None` when the search is replayed.
    pub seconds: Option<f64>,
}

/// Distortions below this are taken for it: zero has no logarithm.
const SMALLEST_DISTORTION: f64 = 1e-12;

/// The natural logarithm of a distortion: what predictors expect and searches interpolate.
pub fn ln_distortion(distortion: f64) -> f64 {
    distortion.max(SMALLEST_DISTORTION).ln()
}

/// Reads a confidence.
pub(super) fn confidence(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(confidence) if confidence > 0.0 && confidence < 1.0 => Ok(confidence),
        _ => Err(format!("the confidence is {text:?}, but must be a number between 0 and 1, like 0.9")),
    }
}

/// A prediction's expected log distortion at a count, between the counts it names linear in the count.
///
/// # Errors
/// [`SearchError::NoCurve`] if it expects only a count.
pub(super) fn expected(prediction: &Prediction, count: usize) -> Result<f64, SearchError> {
    let points = &prediction.log_distortions;
    let after = points.partition_point(|(at, _)| *at < count);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after).copied()) {
        (None, None) => Err(SearchError::NoCurve),
        (_, Some((at, value))) if at == count => Ok(value),
        (None, Some((_, value))) | (Some((_, value)), None) => Ok(value),
        (Some((n0, d0)), Some((n1, d1))) => Ok(d0 + (d1 - d0) * (count - n0) as f64 / (n1 - n0) as f64),
    }
}
