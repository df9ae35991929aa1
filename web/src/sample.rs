//! One sample of a trial: its place among the others, what the search kept of it, and what else is stored of it.

use evaluator::chart::Chart;
use evaluator::experiment::Criterion;
use evaluator::report::{criterion, curve_key};
use evaluator::store::{
    BlockRow, ContentHash, CurveFilter, CurveRow, ExperimentId, ProgressivePicture, ProtocolId, Reader, SampleId,
    SampleRow, TrialId, TrialReport,
};

use crate::charts;
use crate::error::Problem;
use crate::pages::trial_title;
use crate::samples::{self, Arrangement, Measured, Metrics};

/// A sample as a trial saw it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The trial.
    pub trial: TrialReport,
    /// The store's metrics.
    pub metrics: Metrics,
    /// What was measured of it.
    pub measured: Measured,
    /// Its place in the order of the list, from 1.
    pub place: usize,
    /// How many the trial has.
    pub count: usize,
    /// The one before it in that order.
    pub previous: Option<SampleId>,
    /// The one after it.
    pub next: Option<SampleId>,
    /// What was cut from which source.
    pub cut: SampleRow,
    /// Block by block.
    pub search: Search,
    /// Reconstructions with the trial's weights from few tokens to all, if some are stored.
    pub added: Vec<ProgressivePicture>,
}

impl Sample {
    /// The sample in this order of the trial's samples.
    ///
    /// # Errors
    /// The experiment has no such trial, or the trial no such sample.
    pub async fn load(
        reader: &Reader,
        (experiment, trial, id): (ExperimentId, TrialId, SampleId),
        arrangement: &Arrangement,
    ) -> Result<Self, Problem> {
        let trial = reader.trial_of(experiment, trial).await?;
        let metrics = samples::metrics(reader).await?;
        let samples = samples::load(reader, trial.id, arrangement, &metrics).await?;
        let Some(index) = samples.iter().position(|sample| sample.row.sample_id == id) else {
            return Err(Problem::not_found(format_args!("sample {id} in trial {}", trial.id)));
        };
        let neighbour = |index: Option<usize>| Some(samples.get(index?)?.row.sample_id);
        let curve_key = curve_key(reader, &trial).await?;
        let cut = reader.sample(id).await?;
        let search = Search::read(reader, &trial, &cut, curve_key).await?;
        let added = match curve_key {
            Some((weights, protocol)) => reader.progressive(weights, id, protocol).await?,
            None => Vec::new(),
        };
        Ok(Self {
            measured: samples[index].clone(),
            place: index + 1,
            count: samples.len(),
            previous: neighbour(index.checked_sub(1)),
            next: neighbour(index.checked_add(1)),
            cut,
            trial,
            metrics,
            search,
            added,
        })
    }
}

/// What the search of a trial did on one sample.
#[derive(Debug, Clone)]
pub struct Search {
    /// The sample and the trial, in words.
    whose: String,
    /// The blocks, each with the curve that was measured behind the blocks before it as this trial kept them.
    pub blocks: Vec<(BlockRow, Option<CurveRow>)>,
    criterion: Criterion,
    threshold: Option<f64>,
    /// All tokens of a block: as configured, or else the most that was ever asked for.
    pub max_tokens: u32,
}

impl Search {
    /// As the store has it; `curve_key` says where the curves of the trial are.
    pub async fn read(
        reader: &Reader,
        trial: &TrialReport,
        cut: &SampleRow,
        curve_key: Option<(ContentHash, ProtocolId)>,
    ) -> Result<Self, Problem> {
        let sample = cut.id;
        let mut blocks = reader.blocks(trial.id).await?;
        blocks.retain(|block| block.sample_id == sample);
        let mut curves = match curve_key {
            Some((weights, protocol)) => {
                let filter = CurveFilter { protocol: Some(protocol), sample: Some(sample), ..CurveFilter::default() };
                reader.curves(weights, &filter).await?
            }
            None => Vec::new(),
        };
        let mut history = Vec::new();
        let with_curve = blocks.into_iter().map(|block| {
            let same = |curve: &CurveRow| curve.block == block.record.block && curve.history == history;
            let curve = curves.iter().position(same).map(|index| curves.swap_remove(index));
            history.push(block.record.kept_tokens);
            (block, curve)
        });
        let blocks: Vec<(BlockRow, Option<CurveRow>)> = with_curve.collect();
        let max_tokens = max_tokens(trial, &blocks);
        let whose = format!("{} #{}, {}", cut.source_name, cut.ordinal, trial_title(trial));
        Ok(Self { whose, blocks, criterion: criterion(trial), threshold: trial.threshold, max_tokens })
    }

    /// Distortion against kept tokens, a panel for each block.
    pub fn chart(&self) -> Chart {
        charts::distortion(&self.whose, &self.blocks, self.criterion, self.threshold, self.max_tokens)
    }
}

fn max_tokens(trial: &TrialReport, blocks: &[(BlockRow, Option<CurveRow>)]) -> u32 {
    let kept = blocks.iter().map(|(block, _)| block.record.kept_tokens);
    let probed = blocks.iter().flat_map(|(block, _)| &block.record.probes).map(|(count, _)| *count);
    let seen = kept.chain(probed).max().unwrap_or(1);
    let configured = trial.config["max_tokens"].as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    configured.map_or(seen, |configured| configured.max(seen))
}
