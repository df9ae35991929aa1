//! How far a trial's answers are from the best ones: errors with names.
//!
//! The best count of a block is the smallest on its stored curve that meets the threshold (what `full` answers); all
//! tokens if none does. Whether a threshold is met is always that of the final reconstruction.

use super::Report;
use crate::error::Result;
use crate::experiment::{Criterion, encodes_as_measured};
use crate::metric::Protocol;
use crate::search::meets;
use crate::statistics::{BOOTSTRAP_SEED, Interval, clustered_interval, clustered_rate_interval, mean};
use crate::store::{
    ContentHash, CurveFilter, CurvePoint, CurveRow, OutcomeRow, ProtocolId, Reader, SampleId, SourceId, TrialId,
    TrialReport,
};
use std::collections::BTreeMap;

/// Blocks of one trial, with their best counts where curves are stored.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    pub(super) variant: String,
    pub(super) strategy: String,
    pub(super) threshold: f64,
    pub(super) trial: TrialId,
    pub(super) max_tokens: usize,
    pub(super) blocks: Vec<Outcome>,
}

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) row: OutcomeRow,
    /// The best count; `None` without a curve.
    pub(super) best: Option<Best>,
}

/// The fewest sufficient tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) kept_tokens: usize,
    /// Whether any count meets the threshold at all.
    pub(super) attainable: bool,
}

impl Best {
    pub(super) fn of(curve: &CurveRow, criterion: Criterion, threshold: f64) -> Option<Self> {
        let (point, attainable) = fewest(curve, criterion, criterion.limit(threshold))?;
        Some(Self { kept_tokens: point.kept_tokens as usize, attainable })
    }
}

/// The smallest sufficient point of a curve and `true`, or its last and `false`; none of an empty one.
pub(super) fn fewest(curve: &CurveRow, criterion: Criterion, limit: f64) -> Option<(&CurvePoint, bool)> {
    let sufficient = curve.points.iter().find(|p| meets(criterion.distortion(p.distortion, p.ssim), limit));
    sufficient.map(|point| (point, true)).or(curve.points.last().map(|last| (last, false)))
}

impl Outcome {
    fn extra(&self) -> Option<f64> {
        Some(f64::from(self.row.kept_tokens) - self.best?.kept_tokens as f64)
    }

    /// The answer is not the best count.
    pub(super) fn optimum_missed(&self) -> Option<bool> {
        self.extra().map(|extra| extra != 0.0)
    }

    /// The threshold could have been met, and is not.
    pub(super) fn threshold_violated(&self) -> Option<bool> {
        Some(self.best?.attainable && self.row.threshold_met == Some(false))
    }

    /// Tokens kept beyond the best count.
    pub(super) fn over_allocation(&self) -> Option<f64> {
        self.extra().map(|extra| extra.max(0.0))
    }

    /// Tokens from the best count, either way.
    pub(super) fn absolute_error(&self) -> Option<f64> {
        self.extra().map(f64::abs)
    }

    /// The answer is at most `k` tokens from the best count.
    pub(super) fn within(&self, k: f64) -> Option<bool> {
        self.extra().map(|extra| extra.abs() <= k)
    }

    pub(super) fn met(&self) -> Option<bool> {
        self.row.threshold_met
    }
}

/// 1 or 0, whose mean is a share.
pub(super) fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// A mean with its interval, clustered by source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) interval: Option<Interval>,
}

/// The mean of a value over blocks, if every block has it; without its interval, for which all are drawn again and again.
pub(super) fn average<'a>(
    blocks: impl IntoIterator<Item = &'a Outcome>,
    value: impl Fn(&Outcome) -> Option<f64>,
) -> Option<f64> {
    let values = by_source(blocks, value)?;
    Some(mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>()))
}

/// The same with its interval.
pub(super) fn estimate<'a>(
    blocks: impl IntoIterator<Item = &'a Outcome>,
    value: impl Fn(&Outcome) -> Option<f64>,
) -> Option<Estimate> {
    let values = by_source(blocks, value)?;
    let mean = mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    Some(Estimate { mean, interval: clustered_interval(values, BOOTSTRAP_SEED) })
}

/// The share of blocks of which something holds, if it is known of every block.
pub(super) fn share<'a>(
    blocks: impl IntoIterator<Item = &'a Outcome>,
    holds: impl Fn(&Outcome) -> Option<bool>,
) -> Option<Estimate> {
    let values = by_source(blocks, holds)?;
    let mean = mean(&values.iter().map(|(_, holds)| indicator(*holds)).collect::<Vec<_>>());
    Some(Estimate { mean, interval: clustered_rate_interval(values) })
}

/// A value of every block with its source; `None` without blocks, or if one lacks it.
fn by_source<'a, V>(
    blocks: impl IntoIterator<Item = &'a Outcome>,
    value: impl Fn(&Outcome) -> Option<V>,
) -> Option<Vec<(SourceId, V)>> {
    let values = blocks.into_iter().map(|block| Some((block.row.source_id, value(block)?)));
    values.collect::<Option<Vec<_>>>().filter(|values| !values.is_empty())
}

impl Report {
    /// The blocks of every finished trial, in the order of the file. They are many: read once, when first asked for.
    pub(super) async fn outcomes(&self, reader: &Reader) -> Result<&[Outcomes]> {
        Ok(self.outcomes.get_or_try_init(|| self.read_outcomes(reader)).await?)
    }

    async fn read_outcomes(&self, reader: &Reader) -> Result<Vec<Outcomes>> {
        let mut all = Vec::new();
        for trial in &self.trials {
            let Some(threshold) = trial.threshold else { continue };
            let of_clips = if is_of_clips(trial) { curves(reader, trial).await? } else { Vec::new() };
            let curves =
                if is_of_clips(trial) { of_clips.iter().collect() } else { self.curves_with_weights_of(trial) };
            let curves: BTreeMap<(SampleId, &[u32]), &CurveRow> =
                curves.into_iter().map(|curve| ((curve.sample_id, curve.history.as_slice()), curve)).collect();
            let criterion = criterion(trial);
            let mut history: Vec<u32> = Vec::new();
            let blocks = reader.outcomes(trial.id).await?.into_iter().map(|row| {
                history.truncate(row.block as usize);
                let curve = curves.get(&(row.sample_id, history.as_slice())).filter(|curve| is_complete(curve));
                let best = curve.and_then(|curve| Best::of(curve, criterion, threshold));
                history.push(row.kept_tokens);
                Outcome { row, best }
            });
            all.push(Outcomes {
                variant: trial.variant.clone(),
                strategy: trial.strategy.clone(),
                threshold,
                trial: trial.id,
                max_tokens: max_tokens(trial),
                blocks: blocks.collect(),
            });
        }
        Ok(all)
    }

    /// The curves measured with a trial's weights.
    fn curves_with_weights_of(&self, trial: &TrialReport) -> Vec<&CurveRow> {
        let of_weights = self.curves.iter().filter(|curves| Some(curves.weights) == trial.weights_hash);
        of_weights.filter(|curves| curves.variant == trial.variant).flat_map(|curves| &curves.rows).collect()
    }
}

/// The stored curves of a trial's weights on its samples, each block behind as many earlier ones as the trial's saw.
pub(super) async fn curves(reader: &Reader, trial: &TrialReport) -> Result<Vec<CurveRow>> {
    let Some((weights, protocol)) = curve_key(reader, trial).await? else { return Ok(Vec::new()) };
    let filter = CurveFilter { protocol: Some(protocol), dataset: Some(trial.dataset_id), ..CurveFilter::default() };
    Ok(reader.curves(weights, &filter).await?)
}

/// The weights and the protocol under which a trial's curves, and its samples as tokens are added, are stored. None if those
/// of the trial would be others: a model told of the mask but encoded once has others.
pub async fn curve_key(reader: &Reader, trial: &TrialReport) -> Result<Option<(ContentHash, ProtocolId)>> {
    let told = trial.config["training"]["model"]["mask_conditioning"].as_bool().unwrap_or(true);
    let encoding = serde_json::from_value(trial.config["encoding"].clone()).unwrap_or_default();
    let (Some(weights), true) = (trial.weights_hash, encodes_as_measured(encoding, told)) else { return Ok(None) };
    Ok(curve_protocol(reader, trial).await?.map(|protocol| (weights, protocol)))
}

/// The protocol of a trial's distortion curves, if any were measured by it.
async fn curve_protocol(reader: &Reader, trial: &TrialReport) -> Result<Option<ProtocolId>> {
    let of_trial = reader.protocol(trial.protocol_id).await?;
    let Ok(protocol) = serde_json::from_value::<Protocol>(of_trial.description) else {
        // Another version's: it knew of no other one.
        return Ok(Some(of_trial.id));
    };
    let window = trial.config["window"].as_u64().map(|window| window as usize);
    let key = protocol.of_curves(window).key().parse().expect("a protocol's key is a hash");
    Ok(reader.protocol_of_key(key).await?.map(|row| row.id))
}

/// Whether its samples are clips, whose blocks are searched one behind the other.
pub(super) fn is_of_clips(trial: &TrialReport) -> bool {
    !trial.config["window"].is_null()
}

/// Whether every count was measured: the best of a grid is not the best.
fn is_complete(curve: &CurveRow) -> bool {
    curve.points.windows(2).all(|pair| pair[0].kept_tokens + 1 == pair[1].kept_tokens)
}

/// What a trial's thresholds are of; trials of evaluator version 1 knew only one thing.
pub fn criterion(trial: &TrialReport) -> Criterion {
    serde_json::from_value(trial.config["criterion"].clone()).unwrap_or(Criterion::Mse)
}

pub(super) fn max_tokens(trial: &TrialReport) -> usize {
    trial.config["max_tokens"].as_u64().unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kept: u32, met: bool, best: usize, attainable: bool) -> Outcome {
        let row = OutcomeRow {
            sample_id: SampleId(1),
            source_id: SourceId(1),
            block: 0,
            kept_tokens: kept,
            distortion: 0.01,
            threshold_met: Some(met),
            encoder_evaluations: 6,
            decoder_evaluations: 6,
            commit_evaluations: 0,
            final_evaluations: 1,
            sequential_depth: 6,
            largest_batch: Some(1),
            flops: 1e6,
            seconds: None,
            prediction_flops: None,
            prediction_seconds: None,
            psnr: 20.0,
            ssim: 0.5,
            high_frequency: None,
            jpeg_bytes: None,
            bits: None,
            adaptive_bits: None,
            bits_per_pixel: None,
            ms_ssim: None,
        };
        Outcome { row, best: Some(Best { kept_tokens: best, attainable }) }
    }

    #[test]
    fn errors_by_hand() {
        // One token too few misses; three too many meets; all tokens of a block that no count satisfies is right.
        let (short, long, hopeless) =
            (outcome(9, false, 10, true), outcome(13, true, 10, true), outcome(64, false, 64, false));
        let all = [short, long, hopeless];
        assert_eq!(all.each_ref().map(Outcome::optimum_missed), [true, true, false].map(Some));
        assert_eq!(all.each_ref().map(Outcome::threshold_violated), [true, false, false].map(Some));
        assert_eq!(all.each_ref().map(Outcome::over_allocation), [0.0, 3.0, 0.0].map(Some));
        assert_eq!(all.each_ref().map(Outcome::absolute_error), [1.0, 3.0, 0.0].map(Some));
        assert_eq!(all.each_ref().map(|outcome| outcome.within(1.0)), [true, false, true].map(Some));
        assert_eq!(share(&all, Outcome::threshold_violated).map(|share| share.mean), Some(1.0 / 3.0));
    }
}
