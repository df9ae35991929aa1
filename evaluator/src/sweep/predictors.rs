//! Predictors of one model's counts: trained on curves of training pictures, asked about held-out ones.

use super::Run;
use super::curves::{Behind, Curves, Wanted};
use super::evaluate::Place;
use super::lines::{Line, Lines};
use super::sample::Sample;
use super::samples::Samples;
use super::training::Trained;
use crate::content;
use crate::error::{EvaluatorError, Result};
use crate::experiment::{Criterion, SearchMode, Variant};
use crate::metric::Pictures as Frames;
use crate::search::{Asked, Binned, Feature, Prediction, Predictor, ln_distortion};
use crate::store::{ContentHash, CurvePoint, NewPredictor, regressor_file};
use engine::parameters::weights_hash;
use engine::regressor::{
    CurveExample, CurveForecast, CurveScale, RegressorConfig, RegressorTrainer, SeenBlock, load_regressor,
    save_regressor,
};
use engine::ring::ranks::Ranks;
use engine::{BlockShape, EngineError, Regressor, TokenRange};
use serde::{Deserialize, Serialize};
use serde_json::json;
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Raised when the same curves would train to other predictors.
const PREDICTOR_VERSION: u32 = 2;

/// No energy is taken as less than this: its logarithm is fitted.
const SMALLEST_ENERGY: f64 = 1e-12;

/// What one model's counts can be predicted by.
pub(super) struct Predictors {
    /// Of all that they were made from.
    pub(super) key: ContentHash,
    network: Option<Regressor>,
    samples: Vec<Sample>,
    curves: Curves,
    /// Blocks of these samples, in their order.
    training: Vec<TrainingBlock>,
    range: TokenRange,
    shape: BlockShape,
    timed: bool,
    /// Of the training blocks.
    features: RefCell<HashMap<Feature, Rc<Vec<f64>>>>,
    lines: RefCell<Lines>,
    forecasts: RefCell<HashMap<Behind, (CurveForecast, f64)>>,
}

/// A block of a training sample with its curve, known at every count.
struct TrainingBlock {
    sample: usize,
    block: usize,
    curve: CurveForecast,
}

impl Run<'_> {
    /// The predictors that the variant's strategies ask for, trained if the store lacks them; `None` if they ask for none.
    pub(super) async fn predictors(
        &self,
        variant: &Variant,
        seed: u64,
        trained: &Trained,
        cut: &Samples,
    ) -> Result<Option<Predictors>> {
        let asked: Vec<Asked> = variant.sweep.strategies.iter().filter_map(|strategy| strategy.asks()).collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let (settings, criterion) = (&variant.regressor, variant.sweep.criterion);
        let title = format!("{} seed {seed}", variant.name);
        let (samples, protocol) = cut.training_samples(self, variant).await?;
        let protocol = self.protocol(protocol).await?;
        let wanted = Wanted {
            title: format!("{title}, training samples"),
            weights: trained.weights,
            model: &trained.model,
            samples: &samples,
            dataset: cut.train_dataset,
            protocol,
            counts: Binned::new(settings.counts).grid(variant.range()),
            range: variant.range(),
        };
        let curves = self.curves(&wanted).await?;
        let mut config = json!({
            "settings": settings, "criterion": criterion, "seed": seed, "min_tokens": variant.range().min(),
            "pictures": cut.sets.training_key(), "resize": variant.data.resize,
            "crop": variant.data.crop,
        });
        if let Some(videos) = &variant.data.videos {
            config["frames_per_second"] = json!(videos.frames_per_second);
            config["blocks"] = json!(variant.curve_blocks());
        }
        let identity = json!({ "config": config, "weights": trained.weights, "version": PREDICTOR_VERSION });
        let key = ContentHash::of(identity.to_string().as_bytes());
        let network = match asked.iter().any(|asked| asked.predictor == Predictor::Network) {
            false => None,
            true => match self.trained_before(key, &title).await? {
                Some(regressor) => Some(regressor),
                None => {
                    let learning = Learning { key, config, title: &title, seed };
                    Some(self.learn(learning, variant, trained, cut, &samples, &curves).await?)
                }
            },
        };
        Ok(Some(Predictors::new(key, network, samples, curves, variant)))
    }

    async fn trained_before(&self, key: ContentHash, title: &str) -> Result<Option<Regressor>> {
        let Some(row) = self.store.predictor(key).await? else { return Ok(None) };
        let stored = row.predictor;
        let loaded = load_regressor(&self.folder().join(&stored.file)).ok();
        let found = loaded.filter(|regressor| ContentHash::from(weights_hash(regressor)) == stored.file_hash);
        let what = if found.is_some() { "trained before, reused" } else { "is missing or damaged, training it again" };
        self.progress.say(&format!("{title}: regressor {what}"));
        Ok(found)
    }

    async fn learn(
        &self,
        learning: Learning<'_>,
        variant: &Variant,
        trained: &Trained,
        cut: &Samples,
        samples: &[Sample],
        curves: &Curves,
    ) -> Result<Regressor> {
        let Learning { key, config, title, seed } = learning;
        let criterion = variant.sweep.criterion;
        let (shape, range) = (variant.model.block, variant.range());
        let examples = samples.iter().flat_map(|sample| {
            let blocks: Vec<Arc<[f32]>> = sample.blocks(shape).into_iter().map(Arc::from).collect();
            let history = sample.drawn_history(shape, range);
            (0..blocks.len()).map(move |block| CurveExample {
                source: sample.source,
                seen: seen(&blocks, &history[..block]),
                ln_distortions: {
                    let curve = &curves[&(sample.id, history[..block].to_vec())];
                    ln_distortions(curve, criterion).map(|(_, value)| value).collect()
                },
            })
        });
        let network = &variant.regressor.network;
        let counts = Binned::new(variant.regressor.counts).grid(range);
        let mut trainer = RegressorTrainer::new(network.clone(), counts, examples.collect(), seed)?;
        let began = Instant::now();
        self.progress.begin(&format!("regressor {title}"), 0, network.steps as u64);
        self.event("regressor started", None, json!({ "title": title })).await?;
        while !trainer.is_finished() {
            if self.options.stop.is_asked() {
                self.progress.end();
                return Err(EvaluatorError::Stopped);
            }
            let loss = trainer.advance()?;
            self.progress.advance(trainer.step() as u64, &format!("loss {loss:.3}"));
        }
        self.progress.end();
        let regressor = trainer.finish();
        let file = regressor_file(key);
        save_regressor(&regressor, &self.folder().join(&file))?;
        let parameters = regressor.config().parameter_count(regressor.scale().counts.len()) as u32;
        let sources = samples.iter().map(|sample| sample.source).collect::<std::collections::BTreeSet<_>>();
        let new = NewPredictor {
            key,
            config,
            weights: trained.weights,
            dataset: cut.train_dataset,
            provenance: Some(self.provenance),
            curves: curves.len() as u32,
            sources: sources.len() as u32,
            parameters,
            seconds: began.elapsed().as_secs_f64(),
            file,
            file_hash: weights_hash(&regressor).into(),
        };
        self.store.put_predictor(&new).await?;
        self.event("regressor done", None, json!({ "title": title })).await?;
        Ok(regressor)
    }

    fn folder(&self) -> &Path {
        self.store.path().parent().unwrap_or(Path::new(""))
    }
}

/// What predictors are made of, but for the network's weights.
#[derive(Serialize, Deserialize)]
struct Given {
    key: ContentHash,
    samples: Vec<Sample>,
    curves: Curves,
    network: Option<(RegressorConfig, CurveScale)>,
}

/// What names a regressor in training.
struct Learning<'a> {
    key: ContentHash,
    config: serde_json::Value,
    title: &'a str,
    seed: u64,
}

fn ln_distortions(curve: &[CurvePoint], criterion: Criterion) -> impl Iterator<Item = (usize, f64)> + '_ {
    curve.iter().map(move |point| {
        let distortion = criterion.distortion(point.distortion, point.ssim);
        (point.kept_tokens as usize, ln_distortion(distortion))
    })
}

fn training_blocks(samples: &[Sample], curves: &Curves, variant: &Variant) -> Vec<TrainingBlock> {
    let (shape, range, criterion) = (variant.model.block, variant.range(), variant.sweep.criterion);
    let mut blocks = Vec::new();
    for (number, sample) in samples.iter().enumerate() {
        let history = sample.drawn_history(shape, range);
        for block in 0..=history.len() {
            let curve = ln_distortions(&curves[&(sample.id, history[..block].to_vec())], criterion);
            let curve = CurveForecast { points: curve.map(|(count, value)| (count, value, 0.0)).collect() };
            blocks.push(TrainingBlock { sample: number, block, curve: curve.at_every_count() });
        }
    }
    blocks
}

/// The block behind those that kept what the history says.
fn seen(blocks: &[Arc<[f32]>], history: &[usize]) -> SeenBlock {
    let earlier = blocks.iter().cloned().zip(history.iter().copied()).collect();
    SeenBlock { patches: blocks[history.len()].clone(), earlier }
}

impl Predictors {
    /// Those of samples with their curves.
    fn new(
        key: ContentHash,
        network: Option<Regressor>,
        samples: Vec<Sample>,
        curves: Curves,
        variant: &Variant,
    ) -> Self {
        Self {
            key,
            network,
            training: training_blocks(&samples, &curves, variant),
            samples,
            curves,
            features: RefCell::default(),
            range: variant.range(),
            shape: variant.model.block,
            timed: variant.sweep.search == SearchMode::Live,
            lines: RefCell::default(),
            forecasts: RefCell::default(),
        }
    }

    /// Gives them to all other ranks.
    pub(super) fn give(&self, ranks: &Ranks) {
        let network = self.network.as_ref().map(|network| (network.config().clone(), network.scale().clone()));
        ranks.tell_all(&Given { key: self.key, samples: self.samples.clone(), curves: self.curves.clone(), network });
        self.network.iter().for_each(|network| ranks.give_weights(network));
    }

    /// Those that rank 0 gives.
    pub(super) fn take(ranks: &Ranks, variant: &Variant) -> Result<Self> {
        let Given { key, samples, curves, network } = ranks.hear(0).map_err(EngineError::from)?;
        let network = network.map(|(config, scale)| {
            let mut network = Regressor::new(config, scale, 0)?;
            ranks.take_weights(&mut network)?;
            Ok::<_, EngineError>(network)
        });
        Ok(Self::new(key, network.transpose()?, samples, curves, variant))
    }

    /// What the predictor that is asked expects of a block, for the largest acceptable distortion.
    pub(super) fn predict(
        &self,
        asked: Asked,
        largest_distortion: f64,
        place: &Place<'_>,
        previous: Option<usize>,
    ) -> Result<Prediction> {
        let ln_limit = ln_distortion(largest_distortion);
        match asked.predictor {
            Predictor::Network => {
                let network = self.network.as_ref().expect("trained, since a strategy asks for it");
                let mut forecasts = self.forecasts.borrow_mut();
                let seen_before = (place.sample.id, place.history.to_vec());
                let (forecast, seconds) = forecasts.entry(seen_before).or_insert_with(|| {
                    let began = Instant::now();
                    let first = place.number().saturating_sub(network.config().earlier);
                    let blocks: Vec<Arc<[f32]>> =
                        place.blocks[first..=place.number()].iter().map(|block| block.as_slice().into()).collect();
                    let seen = seen(&blocks, &place.history[first..]);
                    let forecast = network.forecast(&[seen]).remove(0).at_every_count();
                    (forecast, began.elapsed().as_secs_f64())
                });
                Ok(Prediction {
                    kept_tokens: forecast.fewest(ln_limit, Normal::standard().inverse_cdf(asked.confidence)),
                    log_distortions: forecast.points.iter().map(|(count, mean, _)| (*count, *mean)).collect(),
                    flops: network.config().flops(network.scale().counts.len(), place.number()),
                    seconds: self.timed.then_some(*seconds),
                })
            }
            Predictor::Line(feature) => {
                let began = Instant::now();
                let x = match feature {
                    Feature::Previous => previous.map(|count| count as f64),
                    feature => Some(self.feature(feature, place.sample, place.number())?),
                };
                let seconds = began.elapsed().as_secs_f64();
                let tokens = self.line(feature, ln_limit)?.at(x, asked.confidence).ceil();
                let kept_tokens = (tokens.max(0.0) as usize).clamp(self.range.min(), self.range.max());
                let seconds = self.timed.then_some(seconds);
                // Its handful of operations a pixel is not counted.
                Ok(Prediction { kept_tokens, log_distortions: Vec::new(), flops: 0.0, seconds })
            }
        }
    }

    fn line(&self, feature: Feature, ln_limit: f64) -> Result<Rc<Line>> {
        let asked = (feature, ln_limit.to_bits());
        if let Some(line) = self.lines.borrow().get(&asked) {
            return Ok(line.clone());
        }
        let features = self.features(feature)?;
        let mut last_of_source: HashMap<usize, f64> = HashMap::new();
        let mut points = Vec::with_capacity(self.training.len());
        for (block, x) in self.training.iter().zip(&*features) {
            let fewest = block.curve.fewest(ln_limit, 0.0) as f64;
            let before = last_of_source.insert(self.samples[block.sample].source, fewest);
            let x = match feature {
                Feature::Previous => before,
                _ => Some(*x),
            };
            points.push((x, fewest));
        }
        let line = Rc::new(Line::fit(&points));
        self.lines.borrow_mut().insert(asked, line.clone());
        Ok(line)
    }

    /// The feature of every training block, which does not depend on the threshold.
    fn features(&self, feature: Feature) -> Result<Rc<Vec<f64>>> {
        if let Some(features) = self.features.borrow().get(&feature) {
            return Ok(features.clone());
        }
        let features =
            self.training.iter().map(|block| self.feature(feature, &self.samples[block.sample], block.block));
        let features = Rc::new(features.collect::<Result<Vec<f64>>>()?);
        self.features.borrow_mut().insert(feature, features.clone());
        Ok(features)
    }

    fn feature(&self, feature: Feature, sample: &Sample, block: usize) -> Result<f64> {
        let BlockShape { frames, height, width, .. } = self.shape;
        let pixels = sample.frames_of(block, self.shape);
        let frames = Frames::new([frames, height, width, engine::patch::CHANNELS], &pixels)?;
        Ok(match feature {
            Feature::Mean | Feature::Previous => 0.0,
            // Counts are nearer to linear in its logarithm.
            Feature::HighFrequency => content::high_frequency_energy(frames).max(SMALLEST_ENERGY).log10(),
            Feature::Jpeg => content::jpeg_bytes(frames, content::JPEG_QUALITY) as f64,
            Feature::FrameDifference => content::frame_difference(frames),
        })
    }
}
