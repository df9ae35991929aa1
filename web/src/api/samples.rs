//! `/api/experiments/{experiment}/trials/{trial}/samples` and `…/samples/{sample}`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use evaluator::store::{BlockRecord, ContentHash, CurveRow, ExperimentId, Reader, SampleId, TrialId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::endpoint::Nothing;
use super::paging::{Page, Paging};
use super::states::Better;
use super::trials;
use crate::error::Problem;
use crate::format;
use crate::sample::Sample as Loaded;
use crate::samples::{self, Arrangement, Measured, Order, Sort};

/// Which sample.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Named {
    /// The experiment's number.
    #[param(value_type = i64, example = 1)]
    experiment: ExperimentId,
    /// The trial's number.
    #[param(value_type = i64, example = 1)]
    trial: TrialId,
    /// The sample's number.
    #[param(value_type = i64, example = 1)]
    sample: SampleId,
}

/// Which page of the samples, in which order.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// What they are sorted by: the name of a metric, or «name» for that of the source; samples that lack it come last.
    #[param(inline, example = "psnr")]
    sort: Sort,
    /// Which end comes first.
    #[param(inline, example = "worst")]
    order: Order,
    /// Which page, from 1. One past the end is empty.
    #[param(value_type = usize, minimum = 1, default = 1, example = 1)]
    page: NonZeroUsize,
    /// How many samples a page has.
    #[param(minimum = 1, maximum = 1000, default = 100, example = 100)]
    page_size: usize,
}

/// One crop of one source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sample {
    /// Its number.
    #[schema(value_type = i64, example = 1)]
    id: SampleId,
    /// Its source's number: what intervals are clustered by.
    #[schema(example = 1)]
    source: i64,
    /// Its source's name, below the test set's folder.
    #[schema(example = "astronaut.png")]
    source_name: String,
    /// Which crop of its source, from 0.
    #[schema(example = 0)]
    crop: u32,
    /// Address of the crop itself, a PNG; null if it was not kept.
    #[schema(required, example = "/artifacts/5a5a…")]
    original: Option<String>,
    /// Address of what the trial made of it, a PNG; null if it was not kept.
    #[schema(required, example = "/artifacts/6969…")]
    reconstruction: Option<String>,
    /// What was measured of it by the metrics' names, in the units that the trial's summaries and the sample itself name;
    /// of a metric's versions, the newest.
    #[schema(example = json!({ "psnr": 27.31, "kept_tokens": 64.0 }))]
    values: BTreeMap<String, f64>,
}

/// One sample with what the search kept of it, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Whole {
    /// What the list says of it.
    sample: Sample,
    /// Left edge in pixels, after resizing.
    #[schema(example = 32)]
    x: u32,
    /// Top edge in pixels, after resizing.
    #[schema(example = 16)]
    y: u32,
    /// Width in pixels.
    #[schema(example = 64)]
    width: u32,
    /// Height in pixels.
    #[schema(example = 64)]
    height: u32,
    /// Frames; 1 of a photograph. Pictures of a clip hold a row of frames a block.
    #[schema(example = 1)]
    frames: u32,
    /// All tokens of a block.
    #[schema(example = 64)]
    max_tokens: u32,
    /// Its blocks, in the order of time.
    blocks: Vec<Block>,
    /// Everything measured of the reconstruction and its search.
    measurements: Vec<Measurement>,
    /// Reconstructions with the same weights from few tokens to all; empty of samples of which none are stored.
    as_tokens_are_added: Vec<Added>,
}

/// What the search kept of a block, and what it spent on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Block {
    /// Which block, from 0.
    #[schema(example = 0)]
    block: u32,
    /// Tokens kept.
    #[schema(example = 21)]
    kept_tokens: u32,
    /// Mean squared error of the final reconstruction, of values in [−1, 1] after clipping.
    #[schema(example = 0.0093)]
    distortion: f64,
    /// Whether the final reconstruction meets the threshold; null if there is none.
    #[schema(required, example = true)]
    threshold_met: Option<bool>,
    /// Encoder passes of the search.
    #[schema(example = 6)]
    encoder_evaluations: u32,
    /// Decoder passes of the search.
    #[schema(example = 6)]
    decoder_evaluations: u32,
    /// Passes that fixed a block's keys and values.
    #[schema(example = 0)]
    commit_evaluations: u32,
    /// Passes for the final reconstruction.
    #[schema(example = 1)]
    final_evaluations: u32,
    /// Passes that had to wait for one another.
    #[schema(example = 6)]
    sequential_depth: u32,
    /// Floating point operations, those of a predictor included.
    #[schema(example = 4.27e9)]
    flops: f64,
    /// Seconds of the search; null if it was replayed.
    #[schema(required, example = 0.028)]
    seconds: Option<f64>,
    /// What the search asked for, in this order; the distortion is in the trial's criterion: `mse`, or 1 − SSIM.
    probes: Vec<Probe>,
    /// The block's distortion curve behind the blocks before it as they were kept; null if none was measured.
    #[schema(required)]
    curve: Option<Curve>,
}

/// A count that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Probe {
    /// Tokens kept.
    #[schema(example = 34)]
    kept_tokens: u32,
    /// The distortion there.
    #[schema(example = 0.0061)]
    distortion: f64,
}

/// The distortion of a block against its kept tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct Curve {
    /// Seconds spent measuring all its points.
    #[schema(example = 0.4)]
    seconds: f64,
    /// Its points by kept tokens.
    points: Vec<CurvePoint>,
}

/// One count on a curve.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurvePoint {
    /// Tokens kept.
    #[schema(example = 21)]
    kept_tokens: u32,
    /// Mean squared error of values in [−1, 1] after clipping.
    #[schema(example = 0.0093)]
    distortion: f64,
    /// Peak signal-to-noise ratio in dB.
    #[schema(example = 26.3)]
    psnr: f64,
    /// Structural similarity.
    #[schema(example = 0.81)]
    ssim: f64,
}

/// A metric of a sample.
#[derive(Debug, Serialize, ToSchema)]
pub struct Measurement {
    /// The metric's name.
    #[schema(example = "psnr")]
    metric: String,
    /// Its newest version in the store.
    #[schema(example = 1)]
    version: u32,
    /// Its value.
    #[schema(example = 27.31)]
    value: f64,
    /// The unit of the value; empty for a pure number.
    #[schema(example = "dB")]
    unit: String,
    /// Which values are better.
    better: Better,
    /// What it measures, in a sentence; empty for a metric that this version does not know.
    #[schema(example = "Peak signal-to-noise ratio of 8-bit pictures.")]
    description: &'static str,
}

/// The sample from one and the same count of tokens for every block.
#[derive(Debug, Serialize, ToSchema)]
pub struct Added {
    /// Tokens kept of every block.
    #[schema(example = 16)]
    kept_tokens: u32,
    /// Address of the reconstruction, a PNG.
    #[schema(example = "/artifacts/7878…")]
    reconstruction: String,
}

/// The samples of a trial.
pub async fn list(
    reader: Reader,
    trials::Named { experiment, trial }: trials::Named,
    asked: Asked,
) -> Result<Page<Sample>, Problem> {
    let trial = reader.trial_of(reader.experiment(experiment).await?.id, trial).await?.id;
    let arrangement = Arrangement { sort: asked.sort, order: asked.order, page: 1 };
    let all = samples::load(&reader, trial, &arrangement, &samples::metrics(&reader).await?).await?;
    let paging = Paging { page: asked.page, page_size: asked.page_size };
    let items = paging.of(&all)?.iter().map(Sample::from).collect();
    let query = arrangement.query();
    let address = format!("/api/experiments/{experiment}/trials/{trial}/samples");
    let address = if query.is_empty() { address } else { format!("{address}?{query}") };
    Ok(paging.page(all.len(), items, &address))
}

/// One sample.
pub async fn one(reader: Reader, named: Named, _: Nothing) -> Result<Whole, Problem> {
    let experiment = reader.experiment(named.experiment).await?.id;
    let loaded = Loaded::load(&reader, (experiment, named.trial, named.sample), &Arrangement::default()).await?;
    Ok(Whole {
        sample: Sample::from(&loaded.measured),
        x: loaded.cut.x,
        y: loaded.cut.y,
        width: loaded.cut.width,
        height: loaded.cut.height,
        frames: loaded.cut.frames,
        max_tokens: loaded.search.max_tokens,
        measurements: measurements(&loaded),
        blocks: loaded.search.blocks.into_iter().map(|(block, curve)| Block::new(block.record, curve)).collect(),
        as_tokens_are_added: loaded
            .added
            .iter()
            .map(|added| Added { kept_tokens: added.kept_tokens, reconstruction: picture(&added.reconstruction) })
            .collect(),
    })
}

fn measurements(loaded: &Loaded) -> Vec<Measurement> {
    let measurement = |(name, value): (&String, &f64)| {
        let metric = loaded.metrics.get(name)?;
        Some(Measurement {
            metric: name.clone(),
            version: metric.version,
            value: *value,
            unit: metric.unit.clone(),
            better: metric.direction.into(),
            description: format::description(name),
        })
    };
    let mut measurements: Vec<_> = loaded.measured.values.iter().filter_map(measurement).collect();
    measurements.sort_by_key(|measurement| format::metric_order(&measurement.metric));
    measurements
}

fn picture(hash: &ContentHash) -> String {
    format!("/artifacts/{hash}")
}

impl Default for Asked {
    fn default() -> Self {
        let Paging { page, page_size } = Paging::default();
        Self { sort: Sort::default(), order: Order::default(), page, page_size }
    }
}

impl From<&Measured> for Sample {
    fn from(measured: &Measured) -> Self {
        let row = &measured.row;
        Self {
            id: row.sample_id,
            source: row.source_id.0,
            source_name: row.source_name.clone(),
            crop: row.ordinal,
            original: row.original.as_ref().map(picture),
            reconstruction: row.reconstruction.as_ref().map(picture),
            values: measured.values.clone(),
        }
    }
}

impl Block {
    fn new(record: BlockRecord, curve: Option<CurveRow>) -> Self {
        let probe = |(kept_tokens, distortion)| Probe { kept_tokens, distortion };
        Self {
            block: record.block,
            kept_tokens: record.kept_tokens,
            distortion: record.distortion,
            threshold_met: record.threshold_met,
            encoder_evaluations: record.encoder_evaluations,
            decoder_evaluations: record.decoder_evaluations,
            commit_evaluations: record.commit_evaluations,
            final_evaluations: record.final_evaluations,
            sequential_depth: record.sequential_depth,
            flops: record.flops,
            seconds: record.seconds,
            probes: record.probes.into_iter().map(probe).collect(),
            curve: curve.map(Curve::from),
        }
    }
}

impl From<CurveRow> for Curve {
    fn from(curve: CurveRow) -> Self {
        let point = |point: evaluator::store::CurvePoint| CurvePoint {
            kept_tokens: point.kept_tokens,
            distortion: point.distortion,
            psnr: point.psnr,
            ssim: point.ssim,
        };
        Self { seconds: curve.seconds, points: curve.points.into_iter().map(point).collect() }
    }
}
