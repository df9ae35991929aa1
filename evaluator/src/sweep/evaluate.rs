//! One sample of a trial: searched, reconstructed, measured.

use super::Run;
use super::behind::BlockCurves;
use super::live::{Live, Quality, flops, mean_colour, quality};
use super::predictors::Predictors;
use super::sample::{Sample, sheet};
use super::training::Trained;
use super::trials::Planned;
use crate::content;
use crate::error::Result;
use crate::experiment::Variant;
use crate::metric::{self, MetricDef, Pictures as Frames};
use crate::search::{Cost, DistortionSource, Found, Prediction, Probe, Question, Replay, meets};
use crate::statistics::mean;
use crate::store::{BlockRecord, ContentHash, MediaType, NewCurve, SampleId, SampleRecord, TrialId};
use engine::data::to_png;
use engine::patch::to_pixels;
use engine::{BlockSequence, NextBlock};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A model and everything its trials are run on.
pub(super) struct Bench<'a> {
    pub(super) variant: &'a Variant,
    pub(super) seed: u64,
    pub(super) trained: &'a Trained,
    pub(super) held_out: &'a [Sample],
    pub(super) curves: BlockCurves<'a>,
    pub(super) predictors: Option<Predictors>,
    /// Trials of other thresholds and strategies often end at the same counts.
    finals: RefCell<HashMap<Counts, Rc<Final>>>,
    facts: RefCell<HashMap<SampleId, Facts>>,
}

/// A sample and the counts of its blocks.
type Counts = (SampleId, Vec<usize>);

/// What is measured of a sample, whatever a model makes of it.
#[derive(Clone, Copy)]
struct Facts {
    /// PSNR of painting each patch in its mean colour.
    mean_colour_psnr: f64,
    high_frequency_energy: f64,
    jpeg_bytes: f64,
}

/// The final reconstruction of a sample.
struct Final {
    /// Of each block.
    each: Vec<Quality>,
    /// Of all blocks together, if they are several.
    whole: Option<Quality>,
    /// Of each block, if there is a codebook.
    codes: Vec<Option<Vec<u32>>>,
    /// What the perceptual network says of all frames, where there is one.
    perceptual: Option<(MetricDef, f64)>,
    /// The name of its picture, once that was made.
    picture: Cell<Option<ContentHash>>,
}

impl Final {
    fn quality(&self) -> &Quality {
        self.whole.as_ref().unwrap_or(&self.each[0])
    }
}

/// A block of a sample, behind the fixed ones.
pub(super) struct Place<'a> {
    pub(super) sample: &'a Sample,
    /// All of the sample's, as patches.
    pub(super) blocks: &'a [Vec<f32>],
    /// What the fixed ones before it kept.
    pub(super) history: &'a [usize],
    pub(super) next: NextBlock<'a>,
}

impl Place<'_> {
    /// Which block of the sample it is, from 0.
    pub(super) fn number(&self) -> usize {
        self.history.len()
    }

    /// Its patches.
    pub(super) fn block(&self) -> &[f32] {
        &self.blocks[self.number()]
    }

    fn is_last(&self) -> bool {
        self.number() + 1 == self.blocks.len()
    }
}

/// What a trial finds for one sample, and what else came of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Evaluated {
    pub(super) sample: SampleId,
    reconstruction: ContentHash,
    /// The file of the reconstruction, unless it was made before.
    picture: Option<Vec<u8>>,
    /// Curves that were measured on the way.
    curves: Vec<NewCurve>,
    pub(super) blocks: Vec<BlockRecord>,
    /// By the name of the metric.
    measurements: Vec<(String, f64)>,
}

impl Run<'_> {
    /// Stores what a trial found for one sample.
    pub(super) async fn record(&self, trial: TrialId, evaluated: Evaluated) -> Result<()> {
        let Evaluated { sample, reconstruction, picture, curves, blocks, measurements } = evaluated;
        if let Some(picture) = picture {
            self.store.put_artifact(picture, MediaType::Png).await?;
        }
        for curve in curves {
            self.store.put_curve(&curve).await?;
        }
        let measurements = measurements.iter().map(|(name, value)| (self.metrics.by_name(name), *value)).collect();
        let record = SampleRecord { sample, reconstruction: Some(reconstruction), blocks, measurements };
        Ok(self.store.record_sample(trial, &record).await?)
    }
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
        held_out: &'a [Sample],
        curves: BlockCurves<'a>,
        predictors: Option<Predictors>,
    ) -> Self {
        let (finals, facts) = Default::default();
        Self { variant, seed, trained, held_out, curves, predictors, finals, facts }
    }

    /// Searches one block behind the fixed ones. `previous` is the answer for the block before it.
    fn answer(&self, trial: &Planned, place: &Place<'_>, previous: Option<usize>) -> Result<Answer> {
        let (config, sweep) = (self.trained.model.config(), &self.variant.sweep);
        let flops = flops(config, place.number().min(sweep.window));
        let threshold = sweep.criterion.limit(trial.threshold);
        let prediction = match (trial.strategy.asks(), &self.predictors) {
            (Some(asked), Some(predictors)) => Some(predictors.predict(asked, threshold, place, previous)?),
            _ => None,
        };
        let (mut live, mut replay);
        let source: &mut dyn DistortionSource = if self.variant.replays() {
            let curve = self.curves.of(place)?;
            let points = curve
                .iter()
                .map(|point| (point.kept_tokens as usize, sweep.criterion.distortion(point.distortion, point.ssim)));
            replay = Replay::new(points, flops, sweep.encoding);
            &mut replay
        } else {
            let (criterion, encoding, shape) = (sweep.criterion, sweep.encoding, config.block);
            let (next, block) = (&place.next, place.block());
            live = Live { next, block, shape, criterion, encoding, flops, seconds: 0.0 };
            &mut live
        };
        let mut probe = Probe::new(source, self.variant.range());
        let question = Question { threshold, previous, prediction: prediction.as_ref() };
        let found = trial.strategy.search(&question, &mut probe)?;
        // Fixing a block for those behind it reconstructs it too.
        if place.is_last() {
            probe.count_final_reconstruction();
        } else {
            probe.count_commit();
        }
        let (cost, trace) = (probe.cost(), probe.trace().to_vec());
        Ok(Answer { found, cost, trace, prediction })
    }

    /// Searches and fixes the blocks of a sample, one behind the other.
    fn answer_all(
        &self,
        trial: &Planned,
        sample: &Sample,
        previous: Option<usize>,
    ) -> Result<(Vec<Answer>, Rc<Final>)> {
        let sweep = &self.variant.sweep;
        let blocks = sample.blocks(self.trained.model.config().block);
        let mut sequence = BlockSequence::with_window(&self.trained.model, sweep.encoding, sweep.window);
        let (mut answers, mut reconstructions, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        let mut previous = previous;
        for block in &blocks {
            let place = Place { sample, blocks: &blocks, history: sequence.history(), next: sequence.next(block) };
            let (answer, is_last) = (self.answer(trial, &place, previous)?, place.is_last());
            let kept = answer.found.kept_tokens;
            previous = Some(kept);
            answers.push(answer);
            let counts = || answers.iter().map(|answer| answer.found.kept_tokens).collect::<Vec<_>>();
            if is_last && let Some(known) = self.finals.borrow().get(&(sample.id, counts())) {
                return Ok((answers, known.clone()));
            }
            let committed = sequence.commit(block, kept);
            codes.push(committed.codes);
            reconstructions.push(committed.reconstruction);
        }
        let last = Rc::new(self.measure(&blocks, &reconstructions, codes)?);
        let counts = sequence.history().to_vec();
        self.finals.borrow_mut().insert((sample.id, counts), last.clone());
        Ok((answers, last))
    }

    /// What decides whether thresholds are met, whatever the searches saw.
    fn measure(
        &self,
        blocks: &[Vec<f32>],
        reconstructions: &[Vec<f32>],
        codes: Vec<Option<Vec<u32>>>,
    ) -> Result<Final> {
        let shape = self.trained.model.config().block;
        let each = blocks.iter().zip(reconstructions).map(|(block, made)| quality(shape, &[block], &[made]));
        let each: Vec<Quality> = each.collect::<Result<_>>()?;
        let whole = match blocks.len() {
            1 => None,
            _ => Some(quality(shape, &slices(blocks), &slices(reconstructions))?),
        };
        let mut made = Final { each, whole, perceptual: None, codes, picture: Cell::default() };
        if let Some(network) = &self.variant.perceptual.metric {
            let original: Vec<u8> = blocks.iter().flat_map(|block| to_pixels(&shape.unpatchify(block))).collect();
            let size = [blocks.len() * shape.frames, shape.height, shape.width, engine::patch::CHANNELS];
            let (original, frames) = (Frames::new(size, &original)?, Frames::new(size, &made.quality().pixels)?);
            made.perceptual =
                Some((metric::perceptual_metric(network), metric::perceptual(network, original, frames)?));
        }
        Ok(made)
    }

    fn facts(&self, sample: &Sample) -> Result<Facts> {
        if let Some(facts) = self.facts.borrow().get(&sample.id) {
            return Ok(*facts);
        }
        let shape = self.trained.model.config().block;
        let blocks = sample.blocks(shape);
        let painted: Vec<_> = blocks.iter().map(|block| mean_colour(block, shape.patch_values())).collect();
        let pixels = sample.frames(shape);
        let count = blocks.len() * shape.frames;
        let frames = Frames::new([count, shape.height, shape.width, engine::patch::CHANNELS], &pixels)?;
        let facts = Facts {
            mean_colour_psnr: quality(shape, &slices(&blocks), &slices(&painted))?.psnr,
            high_frequency_energy: content::high_frequency_energy(frames),
            jpeg_bytes: content::jpeg_bytes(frames, content::JPEG_QUALITY) as f64,
        };
        self.facts.borrow_mut().insert(sample.id, facts);
        Ok(facts)
    }

    /// Searches one sample and measures the final reconstruction. `previous` is the answer for the last block of the same
    /// source's previous sample.
    pub(super) fn evaluate(&self, trial: &Planned, sample: &Sample, previous: Option<usize>) -> Result<Evaluated> {
        let (answers, last) = self.answer_all(trial, sample, previous)?;
        let (reconstruction, picture) = match last.picture.get() {
            Some(made_before) => (made_before, None),
            None => {
                let picture = to_png(&sheet(self.trained.model.config().block, &last.quality().pixels))?;
                (ContentHash::of(&picture), Some(picture))
            }
        };
        last.picture.set(Some(reconstruction));
        let criterion = self.variant.sweep.criterion;
        let blocks = answers.iter().zip(&last.each).zip(&last.codes).enumerate();
        let blocks = blocks.map(|(index, ((Answer { found, cost, trace, prediction }, quality), codes))| BlockRecord {
            block: index as u32,
            kept_tokens: found.kept_tokens as u32,
            distortion: quality.mse,
            threshold_met: Some(meets(
                criterion.distortion(quality.mse, quality.ssim),
                criterion.limit(trial.threshold),
            )),
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
            probes: trace.iter().map(|(kept, distortion)| (*kept as u32, *distortion)).collect(),
            codes: codes.as_deref().map(write_codes),
        });
        let blocks: Vec<BlockRecord> = blocks.collect();
        let values = measurements(self, sample, &answers, &last, &blocks)?;
        let measurements = values.into_iter().map(|(metric, value)| (metric.name.to_owned(), value)).collect();
        Ok(Evaluated {
            sample: sample.id,
            reconstruction,
            picture,
            curves: self.curves.take_unsaved(),
            blocks,
            measurements,
        })
    }
}

fn measurements(
    bench: &Bench<'_>,
    sample: &Sample,
    answers: &[Answer],
    last: &Final,
    blocks: &[BlockRecord],
) -> Result<Vec<(MetricDef, f64)>> {
    let config = bench.trained.model.config();
    let (range, quality, facts) = (bench.variant.range(), last.quality(), bench.facts(sample)?);
    let kept: Vec<usize> = answers.iter().map(|answer| answer.found.kept_tokens).collect();
    let costs: Vec<Cost> = answers.iter().map(|answer| answer.cost).collect();
    let over_blocks = |value: &dyn Fn(&BlockRecord) -> Option<f64>| {
        blocks.iter().map(value).collect::<Option<Vec<f64>>>().map(|values| mean(&values))
    };
    let met = |block: &BlockRecord| block.threshold_met.map(|met| f64::from(u8::from(met)));
    let mut values = vec![
        (metric::MSE, quality.mse),
        (metric::PSNR, quality.psnr),
        (metric::SSIM, quality.ssim),
        (metric::MEAN_COLOUR_PSNR, facts.mean_colour_psnr),
        (content::HIGH_FREQUENCY_ENERGY, facts.high_frequency_energy),
        (content::JPEG_BYTES, facts.jpeg_bytes),
        (metric::KEPT_TOKENS, metric::kept_tokens(&kept)),
        (metric::TOKEN_SHARE, metric::token_share(&kept, range)),
        (metric::EVALUATIONS, metric::evaluations(&costs)),
        (metric::SEQUENTIAL_DEPTH, metric::sequential_depth(&costs)),
    ];
    let codes: Option<Vec<&[u32]>> = last.codes.iter().map(Option::as_deref).collect();
    if let (Some(codebook), Some(codes), engine::Bottleneck::Fsq { levels }) =
        (config.bottleneck.codebook_size(), codes, &config.bottleneck)
    {
        let codebook = codebook as usize;
        values.push((metric::BITS, metric::bits(&kept, codebook, range)));
        values.push((metric::BITS_PER_PIXEL, metric::bits_per_pixel(&kept, codebook, range, config.block.pixels())));
        values.push((metric::ADAPTIVE_BITS, metric::adaptive_bits(&codes, levels, range)));
    }
    let optional = [
        (metric::MS_SSIM, quality.ms_ssim),
        (metric::THRESHOLD_MET, over_blocks(&met)),
        (metric::FLOPS, over_blocks(&|block| Some(block.flops))),
        (metric::SEARCH_SECONDS, metric::search_seconds(&costs)),
        (metric::PREDICTION_FLOPS, over_blocks(&|block| block.prediction_flops)),
        (metric::PREDICTION_SECONDS, over_blocks(&|block| block.prediction_seconds)),
    ];
    values.extend(last.perceptual);
    values.extend(optional.into_iter().filter_map(|(metric, value)| Some((metric, value?))));
    Ok(values)
}

fn slices(blocks: &[Vec<f32>]) -> Vec<&[f32]> {
    blocks.iter().map(Vec::as_slice).collect()
}

fn write_codes(codes: &[u32]) -> Vec<u8> {
    codes.iter().flat_map(|code| code.to_le_bytes()).collect()
}

/// Codes as the store keeps them.
pub(super) fn read_codes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect()
}
