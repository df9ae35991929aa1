//! The perceptual networks that an experiment names, each read once.

use super::Perceptual;
use super::raw::RawPerceptual;
use engine::train::{PerceptualLoss, TrainConfig};
use engine::{EngineError, PerceptualNetwork};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Networks read so far, by their files.
#[derive(Default)]
pub(super) struct Networks(HashMap<Vec<PathBuf>, Arc<PerceptualNetwork>>);

impl Networks {
    /// The networks of a variant whose pictures have `crop` pixels a side; puts what the loss needs into `train`.
    pub(super) fn perceptual(
        &mut self,
        raw: &RawPerceptual,
        train: &mut TrainConfig,
        crop: usize,
    ) -> Result<Perceptual, EngineError> {
        let perceptual = Perceptual { metric: self.load(&raw.metric)?, loss: self.load(&raw.loss)? };
        if let Some(network) = &perceptual.metric {
            large_enough("data.crop", crop, network)?;
        }
        if let Some(network) = &perceptual.loss {
            let side = raw.loss_side.pixels(crop);
            large_enough("perceptual.loss_side", side, network)?;
            let network = network.key().to_hex().to_string();
            train.perceptual = Some(PerceptualLoss { network, weight: raw.loss_weight, side });
        }
        Ok(perceptual)
    }

    fn load(&mut self, files: &[PathBuf]) -> Result<Option<Arc<PerceptualNetwork>>, EngineError> {
        if files.is_empty() {
            return Ok(None);
        }
        if let Some(network) = self.0.get(files) {
            return Ok(Some(network.clone()));
        }
        let network = Arc::new(PerceptualNetwork::load(files)?);
        self.0.insert(files.to_vec(), network.clone());
        Ok(Some(network))
    }
}

/// A square longer than this is a slip: no perceptual network was trained on more.
const LONGEST_SIDE: usize = 2048;

fn large_enough(key: &'static str, side: usize, network: &PerceptualNetwork) -> Result<(), EngineError> {
    let sides = network.smallest_side()..=LONGEST_SIDE;
    if sides.contains(&side) {
        return Ok(());
    }
    let rule = format!("the perceptual network sees pictures of {} to {} pixels a side", sides.start(), sides.end());
    Err(EngineError::Config { key, value: side.to_string(), rule })
}
