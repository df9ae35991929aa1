//! Distortion curves: measured once for each block, replayed by searches and drawn by figures.

use super::Run;
use super::live::quality;
use super::pictures::{HeldOut, Pictures};
use crate::error::{EvaluatorError, Result};
use crate::experiment::{REPLAYABLE_COUNTS, Variant};
use crate::search::Binned;
use crate::store::{ContentHash, CurveFilter, CurvePoint, NewCurve, ProtocolId, SampleId};
use engine::{BlockSequence, Budget, Encoding, ElasticTok, TokenRange};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Curves by sample: (kept tokens, distortion), rising in tokens.
pub(super) type Curves = BTreeMap<SampleId, Vec<(usize, f64)>>;

/// The counts at which curves are measured: all, or a grid if they are many.
fn counts(range: TokenRange) -> Vec<usize> {
    if range.len() <= REPLAYABLE_COUNTS { range.counts().collect() } else { Binned::new(REPLAYABLE_COUNTS).grid(range) }
}

impl Run<'_> {
    /// The curve of every held-out block, measuring those that the store lacks. A fixed budget has none: its model was
    /// trained for one count.
    pub(super) async fn measure_curves(
        &self,
        variant: &Variant,
        weights: ContentHash,
        model: &ElasticTok,
        pictures: &Pictures,
        protocol: ProtocolId,
    ) -> Result<Curves> {
        if let Budget::Fixed(_) = variant.train.budget {
            return Ok(Curves::new());
        }
        let filter =
            CurveFilter { protocol: Some(protocol), dataset: Some(pictures.test_dataset), ..CurveFilter::default() };
        let stored = self.store.curves(weights, &filter).await?;
        let points = |points: &[CurvePoint]| points.iter().map(|p| (p.kept_tokens as usize, p.distortion)).collect();
        let mut curves: Curves = stored.iter().map(|curve| (curve.sample_id, points(&curve.points))).collect();
        let counts = counts(variant.range());
        let is_missing = |held_out: &&HeldOut| curves.get(&held_out.sample).is_none_or(|c| c.len() < counts.len());
        let missing: Vec<&HeldOut> = pictures.held_out.iter().filter(is_missing).collect();
        let (all, known) = (pictures.held_out.len(), pictures.held_out.len() - missing.len());
        if missing.is_empty() {
            self.progress.detail(&format!("{}: all {all} distortion curves measured before", variant.name));
            return Ok(curves);
        }
        self.progress.begin(&format!("curves {}", variant.name), known as u64, all as u64);
        for (done, held_out) in missing.into_iter().enumerate() {
            if self.options.stop.is_asked() {
                self.progress.end();
                return Err(EvaluatorError::Stopped);
            }
            let began = Instant::now();
            let measured = measure(model, held_out, &counts)?;
            let curve = NewCurve {
                weights,
                sample: held_out.sample,
                block: 0,
                history: Vec::new(),
                protocol,
                seconds: began.elapsed().as_secs_f64(),
                points: measured,
            };
            self.store.put_curve(&curve).await?;
            curves.insert(held_out.sample, points(&curve.points));
            self.progress.advance((known + done + 1) as u64, "");
        }
        self.progress.end();
        Ok(curves)
    }
}

fn measure(model: &ElasticTok, held_out: &HeldOut, counts: &[usize]) -> Result<Vec<CurvePoint>> {
    let shape = model.config().block;
    let block = held_out.block(shape);
    let reconstructions = BlockSequence::new(model, Encoding::PerCount).reconstruct(&block, counts);
    let measured = counts.par_iter().zip(&reconstructions).map(|(kept, reconstruction)| {
        let quality = quality(shape, &block, reconstruction)?;
        Ok(CurvePoint {
            kept_tokens: *kept as u32,
            distortion: quality.distortion,
            psnr: quality.psnr,
            ssim: quality.ssim,
        })
    });
    measured.collect()
}
