//! Perceptual distance: what a network trained on people's judgements makes of the difference.
//!
//! Which network, and with which weights, decides every digit: both stand in the
//! [`Protocol`](super::Protocol) of a trial that was measured so. The arithmetic is [`engine::perceptual`]'s.
use super::{Direction, MetricDef, MetricError, Pictures};
use crate::store::ContentHash;
use engine::PerceptualNetwork;
use engine::patch::normalize;
use engine::perceptual::Architecture;
use serde::{Deserialize, Serialize};

/// [`perceptual`] by LPIPS.
pub const LPIPS: MetricDef = MetricDef {
    name: "lpips",
    version: 1,
    unit: "",
    direction: Direction::Lower,
    noisy: false,
    description: "LPIPS (Zhang et al. 2018) of 8-bit pictures at their own size, mean over frames; its network is in the \
                  protocol.",
};

/// [`perceptual`] by ST-LPIPS.
pub const ST_LPIPS: MetricDef = MetricDef {
    name: "st_lpips",
    version: 1,
    unit: "",
    direction: Direction::Lower,
    noisy: false,
    description: "Shift-tolerant LPIPS (Ghildyal & Liu 2022) of 8-bit pictures at their own size, mean over frames; its \
                  network is in the protocol.",
};

/// The network of a perceptual metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerceptualJudge {
    /// Its layers.
    pub architecture: Architecture,
    /// [`PerceptualNetwork::key`]: its weights by their content.
    pub weights: ContentHash,
}

impl From<&PerceptualNetwork> for PerceptualJudge {
    fn from(network: &PerceptualNetwork) -> Self {
        Self { architecture: network.architecture(), weights: network.key().into() }
    }
}

/// The metric that a network measures.
pub fn perceptual_metric(network: &PerceptualNetwork) -> MetricDef {
    match network.architecture() {
        Architecture::LpipsVgg => LPIPS,
        Architecture::StLpipsAlex | Architecture::StLpipsVgg => ST_LPIPS,
    }
}

/// The perceptual distance of 8-bit colour pictures, mean over frames; exactly 0 for identical ones.
///
/// # Errors
/// [`MetricError::ShapesDiffer`], or [`MetricError::SmallerThanNetwork`] below the network's smallest side.
pub fn perceptual(
    network: &PerceptualNetwork,
    original: Pictures<'_>,
    reconstruction: Pictures<'_>,
) -> Result<f64, MetricError> {
    original.same_shape(&reconstruction)?;
    let [frames, height, width, channels] = original.shape();
    let smallest = network.smallest_side();
    if height.min(width) < smallest || channels != engine::patch::CHANNELS {
        return Err(MetricError::SmallerThanNetwork { height, width, channels, smallest });
    }
    let frame = height * width * channels;
    let pairs = original.samples().chunks(frame).zip(reconstruction.samples().chunks(frame));
    let sum: f64 = pairs.map(|(a, b)| network.distance(&normalize(b), &normalize(a), height, width)).sum();
    Ok(sum / frames as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn small() -> PerceptualNetwork {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/perceptual/st_lpips_alex.pth");
        PerceptualNetwork::load(&[file]).unwrap()
    }

    #[test]
    fn it_is_the_mean_over_frames_and_nothing_for_equal_ones() {
        let network = small();
        let frame = |step: usize| -> Vec<u8> { (0..24 * 30 * 3).map(|i| (i * step % 251) as u8).collect() };
        let (a, b) = (frame(7), frame(31));
        let one = |a: &[u8], b: &[u8]| {
            let shape = [a.len() / (24 * 30 * 3), 24, 30, 3];
            perceptual(&network, Pictures::new(shape, a).unwrap(), Pictures::new(shape, b).unwrap()).unwrap()
        };
        assert_eq!(one(&a, &a), 0.0);
        let (both, other) = ([a.clone(), b.clone()].concat(), [b.clone(), b.clone()].concat());
        assert!(one(&a, &b) > 0.01);
        assert!((one(&both, &other) - one(&a, &b) / 2.0).abs() < 1e-12);
        assert_eq!(perceptual_metric(&network).name, "st_lpips");
    }

    #[test]
    fn a_picture_smaller_than_the_network_sees_is_refused() {
        let samples = [0; 20 * 30 * 3];
        let picture = Pictures::new([1, 20, 30, 3], &samples).unwrap();
        let error = perceptual(&small(), picture, picture).unwrap_err().to_string();
        assert_eq!(
            error,
            "the perceptual network needs colour pictures of at least 21 × 21, not 20 × 30 with 3 channels"
        );
    }
}
