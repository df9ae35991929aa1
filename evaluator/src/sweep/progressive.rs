//! Reconstructions of a few samples as tokens are added: what a page shows of a model without running it.
//!
//! No number depends on them. They come after the trials, so that they delay none.

use super::Run;
use super::sample::{Sample, sheet};
use super::training::Trained;
use crate::error::{EvaluatorError, Result};
use crate::experiment::Variant;
use crate::search::Binned;
use crate::store::{MediaType, NewProgressive, ProgressivePicture, ProtocolId};
use engine::data::to_png;
use engine::patch::to_pixels;
use engine::{BlockSequence, TokenRange};
use rayon::prelude::*;

/// Pictures of a sample, at most.
const MOST_COUNTS: usize = 16;

/// The counts at which samples are reconstructed: log-spaced from the fewest to all tokens.
pub fn progressive_counts(range: TokenRange) -> Vec<usize> {
    Binned::new(MOST_COUNTS).grid(range)
}

impl Run<'_> {
    /// Stores the reconstructions that are missing. The samples are spread over the test set: `wanted` of them, or all.
    pub(super) async fn progressive(
        &self,
        variant: &Variant,
        seed: u64,
        trained: &Trained,
        held_out: &[Sample],
        protocol: ProtocolId,
    ) -> Result<()> {
        let counts = progressive_counts(variant.range());
        let wanted = variant.sweep.progressive.min(held_out.len());
        let mut missing = Vec::new();
        for sample in (0..wanted).map(|place| &held_out[place * held_out.len() / wanted]) {
            let stored = self.store.progressive(trained.weights, sample.id, protocol).await?;
            let is_stored = |count: &usize| stored.iter().any(|picture| picture.kept_tokens as usize == *count);
            if !counts.iter().all(is_stored) {
                missing.push(sample);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let title = format!("added tokens {} seed {seed}", variant.name);
        self.progress.begin(&title, (wanted - missing.len()) as u64, wanted as u64);
        let stored = self.store_pictures(variant, trained, &missing, &counts, protocol, wanted).await;
        self.progress.end();
        stored
    }

    async fn store_pictures(
        &self,
        variant: &Variant,
        trained: &Trained,
        missing: &[&Sample],
        counts: &[usize],
        protocol: ProtocolId,
        wanted: usize,
    ) -> Result<()> {
        for (done, sample) in missing.iter().enumerate() {
            if self.options.stop.is_asked() {
                return Err(EvaluatorError::Stopped);
            }
            let png = |count: &usize| {
                Ok(to_png(&sheet(variant.model.block, &reconstruct(variant, trained, sample, *count)))?)
            };
            let made: Vec<Vec<u8>> = counts.par_iter().map(png).collect::<Result<_>>()?;
            let mut pictures = Vec::new();
            for (count, png) in counts.iter().zip(made) {
                let reconstruction = self.store.put_artifact(png, MediaType::Png).await?.id;
                pictures.push(ProgressivePicture { kept_tokens: *count as u32, reconstruction });
            }
            let new = NewProgressive { weights: trained.weights, sample: sample.id, protocol, pictures };
            self.store.put_progressive(&new).await?;
            self.progress.advance((wanted - missing.len() + done + 1) as u64, "");
        }
        Ok(())
    }
}

/// Frames of the sample, each block of which keeps so many tokens: as a trial whose search answers this count makes them.
fn reconstruct(variant: &Variant, trained: &Trained, sample: &Sample, kept_tokens: usize) -> Vec<u8> {
    let (shape, sweep) = (variant.model.block, &variant.sweep);
    let mut sequence = BlockSequence::with_window(&trained.model, sweep.encoding, sweep.window);
    let blocks = sample.blocks(shape);
    let frames = blocks
        .iter()
        .flat_map(|block| to_pixels(&shape.unpatchify(&sequence.commit(block, kept_tokens).reconstruction)));
    frames.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_are_few_rise_by_at_least_one_and_hold_both_ends(min in 1_usize..300, extra in 0_usize..4000) {
            let range = TokenRange::new(min, min + extra).unwrap();
            let counts = progressive_counts(range);
            prop_assert!(counts.len() <= 16 && counts.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!((counts[0], counts[counts.len() - 1]), (min, min + extra));
        }
    }

    #[test]
    fn counts_are_log_spaced() {
        assert_eq!(
            progressive_counts(TokenRange::new(1, 1 << 15).unwrap()),
            (0..16).map(|n| 1 << n).collect::<Vec<_>>()
        );
    }
}
