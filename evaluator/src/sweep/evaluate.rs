//! One sample of a trial: searched, reconstructed, measured.

use super::Run;
use super::curves::Curves;
use super::live::{Live, Quality, flops, mean_colour, quality};
use super::pictures::{Pictures, Sample, png};
use super::predictors::Predictors;
use super::training::Trained;
use super::trials::Planned;
use crate::content;
use crate::error::Result;
use crate::experiment::{SearchMode, Variant};
use crate::metric::{self, MetricDef, Pictures as Frames};
use crate::search::{Cost, DistortionSource, Found, Prediction, Probe, Question, Replay, meets};
use crate::store::{BlockRecord, ContentHash, MediaType, ProtocolId, SampleId, SampleRecord};
use engine::BlockSequence;
use engine::data::Picture;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A model and everything its trials are run on.
pub(super) struct Bench<'a> {
    pub(super) variant: &'a Variant,
    pub(super) seed: u64,
    pub(super) trained: &'a Trained,
    pub(super) pictures: &'a Pictures,
    pub(super) protocol: ProtocolId,
    pub(super) curves: &'a Curves,
    pub(super) predictors: Option<Predictors>,
    /// Trials of other thresholds and strategies often end at the same count.
    finals: RefCell<HashMap<(SampleId, usize), Rc<Final>>>,
    facts: RefCell<HashMap<SampleId, Facts>>,
}

/// What is measured of a sample, whatever a model makes of it.
#[derive(Clone, Copy)]
struct Facts {
    /// PSNR of painting each patch in its mean colour.
    mean_colour_psnr: f64,
    high_frequency_energy: f64,
    jpeg_bytes: f64,
}

/// A final reconstruction.
struct Final {
    quality: Quality,
    codes: Option<Vec<u32>>,
    /// Its picture, once it is stored.
    artifact: Cell<Option<ContentHash>>,
}

/// What a search found for one block, and what it cost.
struct Answer {
    found: Found,
    cost: Cost,
    trace: Vec<(usize, f64)>,
    prediction: Option<Prediction>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        variant: &'a Variant,
        seed: u64,
        trained: &'a Trained,
        pictures: &'a Pictures,
        protocol: ProtocolId,
        curves: &'a Curves,
        predictors: Option<Predictors>,
    ) -> Self {
        let (finals, facts) = Default::default();
        Self { variant, seed, trained, pictures, protocol, curves, predictors, finals, facts }
    }

    fn sequence(&self) -> BlockSequence<'_> {
        BlockSequence::new(&self.trained.model, self.variant.sweep.encoding)
    }

    fn answer(&self, trial: &Planned, sample: &Sample, previous: Option<usize>) -> Result<Answer> {
        let (config, sweep) = (self.trained.model.config(), &self.variant.sweep);
        let block = sample.block(config.block);
        let sequence = self.sequence();
        let flops = flops(config, 0);
        let threshold = sweep.criterion.limit(trial.threshold);
        let prediction = match (trial.strategy.asks(), &self.predictors) {
            (Some(asked), Some(predictors)) => Some(predictors.predict(asked, threshold, sample, previous)?),
            _ => None,
        };
        let (mut live, mut replay);
        let source: &mut dyn DistortionSource = match (sweep.search, self.curves.get(&sample.id)) {
            (SearchMode::Replay, Some(curve)) => {
                let points = curve.iter().map(|point| {
                    (point.kept_tokens as usize, sweep.criterion.distortion(point.distortion, point.ssim))
                });
                replay = Replay::new(points, flops, sweep.encoding);
                &mut replay
            }
            _ => {
                let (criterion, encoding, shape) = (sweep.criterion, sweep.encoding, config.block);
                live = Live { sequence: &sequence, block: &block, shape, criterion, encoding, flops, seconds: 0.0 };
                &mut live
            }
        };
        let mut probe = Probe::new(source, self.variant.range());
        let question = Question { threshold, previous, prediction: prediction.as_ref() };
        let found = trial.strategy.search(&question, &mut probe)?;
        probe.count_final_reconstruction();
        let (cost, trace) = (probe.cost(), probe.trace().to_vec());
        Ok(Answer { found, cost, trace, prediction })
    }

    /// The reconstruction that decides whether a threshold is met, whatever the search saw.
    fn reconstruct(&self, sample: &Sample, kept_tokens: usize) -> Result<Rc<Final>> {
        if let Some(known) = self.finals.borrow().get(&(sample.id, kept_tokens)) {
            return Ok(known.clone());
        }
        let shape = self.trained.model.config().block;
        let block = sample.block(shape);
        let sequence = self.sequence();
        let reconstruction = sequence.reconstruct(&block, &[kept_tokens]).remove(0);
        let quality = quality(shape, &block, &reconstruction)?;
        let made = Rc::new(Final { quality, codes: sequence.codes(&block, kept_tokens), artifact: Cell::default() });
        self.finals.borrow_mut().insert((sample.id, kept_tokens), made.clone());
        Ok(made)
    }

    fn facts(&self, sample: &Sample) -> Result<Facts> {
        if let Some(facts) = self.facts.borrow().get(&sample.id) {
            return Ok(*facts);
        }
        let shape = self.trained.model.config().block;
        let block = sample.block(shape);
        let pixels = sample.pixels.repeat(shape.frames);
        let frames = Frames::new([shape.frames, shape.height, shape.width, engine::patch::CHANNELS], &pixels)?;
        let facts = Facts {
            mean_colour_psnr: quality(shape, &block, &mean_colour(&block, shape.patch_values()))?.psnr,
            high_frequency_energy: content::high_frequency_energy(frames),
            jpeg_bytes: content::jpeg_bytes(frames, content::JPEG_QUALITY) as f64,
        };
        self.facts.borrow_mut().insert(sample.id, facts);
        Ok(facts)
    }
}

impl Run<'_> {
    /// Searches one sample and measures the final reconstruction. `previous` is the answer for the same photograph's
    /// previous crop.
    pub(super) async fn evaluate(
        &self,
        trial: &Planned,
        bench: &Bench<'_>,
        sample: &Sample,
        previous: Option<usize>,
    ) -> Result<SampleRecord> {
        let answer = bench.answer(trial, sample, previous)?;
        let last = bench.reconstruct(sample, answer.found.kept_tokens)?;
        let reconstruction = match last.artifact.get() {
            Some(stored) => stored,
            None => {
                let shape = bench.trained.model.config().block;
                let pixels = last.quality.pixels.clone();
                let picture = Picture { width: shape.width, height: shape.height, pixels };
                self.store.put_artifact(png(&picture)?, MediaType::Png).await?.id
            }
        };
        last.artifact.set(Some(reconstruction));
        let (quality, cost, prediction) = (&last.quality, &answer.cost, &answer.prediction);
        let criterion = bench.variant.sweep.criterion;
        let met = meets(criterion.distortion(quality.mse, quality.ssim), criterion.limit(trial.threshold));
        let block = BlockRecord {
            block: 0,
            kept_tokens: answer.found.kept_tokens as u32,
            distortion: quality.mse,
            threshold_met: Some(met),
            encoder_evaluations: cost.evaluations.encoder as u32,
            decoder_evaluations: cost.evaluations.decoder as u32,
            commit_evaluations: cost.evaluations.commit as u32,
            final_evaluations: cost.evaluations.final_reconstruction as u32,
            sequential_depth: cost.sequential_depth as u32,
            largest_batch: Some(cost.largest_batch as u32),
            flops: cost.flops + prediction.as_ref().map_or(0.0, |prediction| prediction.flops),
            seconds: cost.seconds,
            prediction_flops: prediction.as_ref().map(|prediction| prediction.flops),
            prediction_seconds: prediction.as_ref().and_then(|prediction| prediction.seconds),
            probes: answer.trace.iter().map(|(kept, distortion)| (*kept as u32, *distortion)).collect(),
            codes: last.codes.as_deref().map(write_codes),
        };
        let values = measurements(bench, sample, &answer, &last, &block)?;
        let measurements =
            values.into_iter().map(|(metric, value)| (self.metrics.by_name(metric.name), value)).collect();
        Ok(SampleRecord { sample: sample.id, reconstruction: Some(reconstruction), blocks: vec![block], measurements })
    }
}

fn measurements(
    bench: &Bench<'_>,
    sample: &Sample,
    answer: &Answer,
    last: &Final,
    block: &BlockRecord,
) -> Result<Vec<(MetricDef, f64)>> {
    let config = bench.trained.model.config();
    let (range, quality, kept) = (bench.variant.range(), &last.quality, [answer.found.kept_tokens]);
    let (costs, facts) = ([answer.cost], bench.facts(sample)?);
    let mut values = vec![
        (metric::MSE, quality.mse),
        (metric::PSNR, quality.psnr),
        (metric::SSIM, quality.ssim),
        (metric::MEAN_COLOUR_PSNR, facts.mean_colour_psnr),
        (content::HIGH_FREQUENCY_ENERGY, facts.high_frequency_energy),
        (content::JPEG_BYTES, facts.jpeg_bytes),
        (metric::KEPT_TOKENS, metric::kept_tokens(&kept)),
        (metric::TOKEN_SHARE, metric::token_share(&kept, range)),
        (metric::THRESHOLD_MET, if block.threshold_met == Some(true) { 1.0 } else { 0.0 }),
        (metric::EVALUATIONS, metric::evaluations(&costs)),
        (metric::SEQUENTIAL_DEPTH, metric::sequential_depth(&costs)),
        (metric::FLOPS, block.flops),
    ];
    if let (Some(codebook), Some(codes), engine::Bottleneck::Fsq { levels }) =
        (config.bottleneck.codebook_size(), &last.codes, &config.bottleneck)
    {
        let codebook = codebook as usize;
        values.push((metric::BITS, metric::bits(&kept, codebook, range)));
        values.push((metric::BITS_PER_PIXEL, metric::bits_per_pixel(&kept, codebook, range, config.block.pixels())));
        values.push((metric::ADAPTIVE_BITS, metric::adaptive_bits(&[codes], levels, range)));
    }
    let optional = [
        (metric::MS_SSIM, quality.ms_ssim),
        (metric::SEARCH_SECONDS, metric::search_seconds(&costs)),
        (metric::PREDICTION_FLOPS, block.prediction_flops),
        (metric::PREDICTION_SECONDS, block.prediction_seconds),
    ];
    values.extend(optional.into_iter().filter_map(|(metric, value)| Some((metric, value?))));
    Ok(values)
}

fn write_codes(codes: &[u32]) -> Vec<u8> {
    codes.iter().flat_map(|code| code.to_le_bytes()).collect()
}

/// Codes as the store keeps them.
pub(super) fn read_codes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect()
}
