//! Distortion curves: measured once for each block, replayed by searches, drawn by figures, learnt by predictors.

use super::Run;
use super::live::quality;
use super::sample::Sample;
use crate::error::{EvaluatorError, Result};
use crate::experiment::REPLAYABLE_COUNTS;
use crate::search::Binned;
use crate::store::{ContentHash, CurveFilter, CurvePoint, DatasetId, NewCurve, ProtocolId, SampleId};
use engine::ring::ranks::Ranks;
use engine::{BlockSequence, BlockShape, ElasticTok, Encoding, NextBlock, TokenRange};
use rayon::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// A block of a sample: that behind the earlier ones that kept these counts.
pub(super) type Behind = (SampleId, Vec<usize>);

/// Curves by block, rising in tokens.
pub(super) type Curves = BTreeMap<Behind, Vec<CurvePoint>>;

/// Curves measured between two looks at the progress and at Ctrl-C.
const TOGETHER: usize = 8;

/// Counts of a curve that is too long to be measured at every count: enough to draw it.
const DRAWN_COUNTS: usize = 64;

/// The counts at which curves of held-out blocks are measured: all, or a grid if they are many.
pub fn curve_counts(range: TokenRange) -> Vec<usize> {
    if range.len() <= REPLAYABLE_COUNTS { range.counts().collect() } else { Binned::new(DRAWN_COUNTS).grid(range) }
}

/// Which curves are wanted: of every block of the samples, behind their [drawn histories](Sample::drawn_history).
pub(super) struct Wanted<'a> {
    pub(super) title: String,
    pub(super) weights: ContentHash,
    pub(super) model: &'a ElasticTok,
    pub(super) samples: &'a [Sample],
    pub(super) dataset: DatasetId,
    pub(super) protocol: ProtocolId,
    pub(super) counts: Vec<usize>,
    pub(super) range: TokenRange,
}

impl Run<'_> {
    /// What is stored of a model's curves.
    pub(super) async fn stored_curves(
        &self,
        weights: ContentHash,
        dataset: DatasetId,
        protocol: ProtocolId,
    ) -> Result<Curves> {
        let filter = CurveFilter { protocol: Some(protocol), dataset: Some(dataset), ..CurveFilter::default() };
        let stored = self.store.curves(weights, &filter).await?;
        Ok(stored.into_iter().map(|curve| ((curve.sample_id, counts(&curve.history)), curve.points)).collect())
    }

    /// The curves of every wanted sample, measuring those that the store lacks.
    pub(super) async fn curves(&self, wanted: &Wanted<'_>) -> Result<Curves> {
        let shape = wanted.model.config().block;
        let history = |sample: &Sample| sample.drawn_history(shape, wanted.range);
        let histories: HashMap<SampleId, Vec<usize>> =
            wanted.samples.iter().map(|sample| (sample.id, history(sample))).collect();
        let mut known = self.stored_curves(wanted.weights, wanted.dataset, wanted.protocol).await?;
        let lacks = |points: &Vec<CurvePoint>| {
            wanted.counts.iter().any(|count| points.binary_search_by_key(count, |p| p.kept_tokens as usize).is_err())
        };
        let blocks = |sample: &Sample| {
            let (id, history) = (sample.id, &histories[&sample.id]);
            (0..=history.len()).map(move |block| (id, history[..block].to_vec()))
        };
        let is_missing = |sample: &&Sample| blocks(sample).any(|place| known.get(&place).is_none_or(lacks));
        let missing: Vec<&Sample> = wanted.samples.iter().filter(is_missing).collect();
        let all = wanted.samples.len();
        let mut done = all - missing.len();
        if missing.is_empty() {
            self.progress.detail(&format!("{}: all {all} distortion curves measured before", wanted.title));
        } else {
            self.progress.begin(&format!("curves {}", wanted.title), done as u64, all as u64);
            // Whoever watches counts the curves beyond those that are stored now.
            let lacking = missing.iter().map(|sample| histories[&sample.id].len() + 1).sum::<usize>();
            let (weights, protocol, dataset) = (wanted.weights, wanted.protocol, wanted.dataset);
            let stored = self.store.curve_count(weights, protocol, dataset).await?;
            let told = json!({
                "title": wanted.title, "curves": lacking, "stored": stored,
                "weights": weights, "protocol": protocol, "dataset": dataset,
            });
            self.event("curves started", None, told).await?;
        }
        self.call_curves(wanted, &missing);
        for samples in missing.chunks(TOGETHER * self.ranks()) {
            if self.options.stop.is_asked() {
                self.progress.end();
                return Err(EvaluatorError::Stopped);
            }
            let mut measured = wanted.measure_share(samples, 0, self.ranks())?;
            measured.extend(self.hear_curves()?);
            for curve in measured {
                self.store.put_curve(&curve).await?;
                known.insert((curve.sample, counts(&curve.history)), curve.points);
            }
            done += samples.len();
            self.progress.advance(done as u64, "");
        }
        if !missing.is_empty() {
            self.progress.end();
            self.event("curves done", None, json!({ "title": wanted.title })).await?;
        }
        // The store may hold curves of more crops, at more counts: what is asked for decides what is used.
        let asked = wanted.samples.iter().flat_map(blocks).map(|place| {
            let mut points = known[&place].clone();
            points.retain(|point| wanted.counts.binary_search(&(point.kept_tokens as usize)).is_ok());
            (place, points)
        });
        Ok(asked.collect())
    }
}

impl Wanted<'_> {
    /// The curves of those of the samples that fall to a rank.
    fn measure_share(&self, samples: &[&Sample], rank: usize, ranks: usize) -> Result<Vec<NewCurve>> {
        let own: Vec<&Sample> = samples.iter().copied().skip(rank).step_by(ranks).collect();
        let history = |sample: &Sample| sample.drawn_history(self.model.config().block, self.range);
        let measured = own.par_iter().map(|sample| self.measure(sample, &history(sample)));
        Ok(measured.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Measures what falls to a rank, and tells rank 0 at the same times at which it measures its own.
    pub(super) fn help(&self, ranks: &Ranks) -> Result<()> {
        let samples: Vec<&Sample> = self.samples.iter().collect();
        for samples in samples.chunks(TOGETHER * ranks.size()) {
            ranks.tell(0, &self.measure_share(samples, ranks.rank(), ranks.size())?);
        }
        Ok(())
    }

    /// The curve of each block of a sample, behind earlier ones that keep the given counts.
    fn measure(&self, sample: &Sample, kept: &[usize]) -> Result<Vec<NewCurve>> {
        let shape = self.model.config().block;
        let mut sequence = BlockSequence::new(self.model, Encoding::PerCount);
        let mut curves = Vec::with_capacity(kept.len() + 1);
        for block in &sample.blocks(shape) {
            let began = Instant::now();
            let points = curve(&sequence.next(block), block, shape, &self.counts)?;
            curves.push(NewCurve {
                weights: self.weights,
                sample: sample.id,
                block: curves.len() as u32,
                history: history(sequence.history()),
                protocol: self.protocol,
                seconds: began.elapsed().as_secs_f64(),
                points,
            });
            if let Some(kept) = kept.get(curves.len() - 1) {
                sequence.commit(block, *kept);
            }
        }
        Ok(curves)
    }
}

/// The distortion of a block behind fixed ones, at each of the counts.
pub(super) fn curve(
    next: &NextBlock<'_>,
    block: &[f32],
    shape: BlockShape,
    counts: &[usize],
) -> Result<Vec<CurvePoint>> {
    let reconstructions = next.reconstruct(counts);
    let measured = counts.par_iter().zip(&reconstructions).map(|(kept, reconstruction)| {
        let quality = quality(shape, &[block], &[reconstruction])?;
        Ok(CurvePoint { kept_tokens: *kept as u32, distortion: quality.mse, psnr: quality.psnr, ssim: quality.ssim })
    });
    measured.collect()
}

fn counts(history: &[u32]) -> Vec<usize> {
    history.iter().map(|kept| *kept as usize).collect()
}

/// Counts as the store keeps them.
pub(super) fn history(counts: &[usize]) -> Vec<u32> {
    counts.iter().map(|kept| *kept as u32).collect()
}
