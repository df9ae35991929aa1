//! Distortion curves: measured once for each block, replayed by searches, drawn by figures, learnt by predictors.

use super::Run;
use super::live::quality;
use super::sample::Sample;
use crate::error::{EvaluatorError, Result};
use crate::experiment::REPLAYABLE_COUNTS;
use crate::search::Binned;
use crate::store::{ContentHash, CurveFilter, CurvePoint, DatasetId, NewCurve, ProtocolId, SampleId};
use engine::{BlockSequence, ElasticTok, Encoding, TokenRange};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Curves by sample, rising in tokens.
pub(super) type Curves = BTreeMap<SampleId, Vec<CurvePoint>>;

/// Curves measured between two looks at the progress and at Ctrl-C.
const TOGETHER: usize = 8;

/// Counts of a curve that is too long to be measured at every count: enough to draw it.
const DRAWN_COUNTS: usize = 64;

/// The counts at which curves of held-out blocks are measured: all, or a grid if they are many.
pub fn curve_counts(range: TokenRange) -> Vec<usize> {
    if range.len() <= REPLAYABLE_COUNTS { range.counts().collect() } else { Binned::new(DRAWN_COUNTS).grid(range) }
}

/// Which curves are wanted.
pub(super) struct Wanted<'a> {
    pub(super) title: String,
    pub(super) weights: ContentHash,
    pub(super) model: &'a ElasticTok,
    pub(super) samples: &'a [Sample],
    pub(super) dataset: DatasetId,
    pub(super) protocol: ProtocolId,
    pub(super) counts: Vec<usize>,
}

impl Run<'_> {
    /// The curve of every wanted block, measuring those that the store lacks.
    pub(super) async fn curves(&self, wanted: &Wanted<'_>) -> Result<Curves> {
        let filter =
            CurveFilter { protocol: Some(wanted.protocol), dataset: Some(wanted.dataset), ..CurveFilter::default() };
        let stored = self.store.curves(wanted.weights, &filter).await?;
        let mut known: Curves = stored.into_iter().map(|curve| (curve.sample_id, curve.points)).collect();
        let lacks = |points: &Vec<CurvePoint>| {
            wanted.counts.iter().any(|count| points.binary_search_by_key(count, |p| p.kept_tokens as usize).is_err())
        };
        let is_missing = |sample: &&Sample| known.get(&sample.id).is_none_or(lacks);
        let missing: Vec<&Sample> = wanted.samples.iter().filter(is_missing).collect();
        let all = wanted.samples.len();
        let mut done = all - missing.len();
        if missing.is_empty() {
            self.progress.detail(&format!("{}: all {all} distortion curves measured before", wanted.title));
        } else {
            self.progress.begin(&format!("curves {}", wanted.title), done as u64, all as u64);
        }
        for samples in missing.chunks(TOGETHER) {
            if self.options.stop.is_asked() {
                self.progress.end();
                return Err(EvaluatorError::Stopped);
            }
            let measured: Vec<NewCurve> =
                samples.par_iter().map(|sample| wanted.measure(sample)).collect::<Result<_>>()?;
            for curve in measured {
                self.store.put_curve(&curve).await?;
                known.insert(curve.sample, curve.points);
                done += 1;
            }
            self.progress.advance(done as u64, "");
        }
        if !missing.is_empty() {
            self.progress.end();
        }
        // The store may hold curves of more crops, at more counts: what is asked for decides what is used.
        let asked = wanted.samples.iter().map(|sample| {
            let mut points = known[&sample.id].clone();
            points.retain(|point| wanted.counts.binary_search(&(point.kept_tokens as usize)).is_ok());
            (sample.id, points)
        });
        Ok(asked.collect())
    }
}

impl Wanted<'_> {
    fn measure(&self, sample: &Sample) -> Result<NewCurve> {
        let began = Instant::now();
        let shape = self.model.config().block;
        let block = sample.block(shape);
        let reconstructions = BlockSequence::new(self.model, Encoding::PerCount).next(&block).reconstruct(&self.counts);
        let measured = self.counts.par_iter().zip(&reconstructions).map(|(kept, reconstruction)| {
            let quality = quality(shape, &[&block], &[reconstruction])?;
            Ok(CurvePoint {
                kept_tokens: *kept as u32,
                distortion: quality.mse,
                psnr: quality.psnr,
                ssim: quality.ssim,
            })
        });
        let points = measured.collect::<Result<_>>()?;
        Ok(NewCurve {
            weights: self.weights,
            sample: sample.id,
            block: 0,
            history: Vec::new(),
            protocol: self.protocol,
            seconds: began.elapsed().as_secs_f64(),
            points,
        })
    }
}
