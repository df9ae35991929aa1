//! Runs an experiment: what the file asks and the store lacks, in the order data → training → curves → trials → pictures
//! of tokens being added.
//!
//! Every finished piece is committed as it is finished, under a key of all that decides it. Running the same file again
//! finds these pieces done; a run that was killed goes on at the sample, or the few seconds of training, it was in.

mod behind;
mod curves;
mod cut;
mod evaluate;
mod events;
mod lines;
pub(crate) mod live;
mod memory;
mod mesh;
mod predictors;
mod progress;
mod progressive;
mod provenance;
mod ranks;
mod sample;
mod samples;
mod schedule;
mod sets;
mod training;
mod trials;

pub use progress::{Progress, Silent, Stop};
pub use progressive::progressive_counts;
pub use provenance::current as current_provenance;
pub use ranks::{agree, follow};
pub use trials::EVALUATOR_VERSION;

use crate::error::Result;
use crate::experiment::{Data, Experiment, Variant};
use crate::metric::{self, Protocol};
use crate::store::{
    ContentHash, ExperimentId, MetricId, NewExperiment, NewMetric, Process, ProtocolId, ProvenanceId, Store,
};
use behind::BlockCurves;
pub use curves::curve_counts;
use curves::{Curves, Wanted};
use engine::ring::Mesh;
use engine::ring::ranks::Ranks;
use evaluate::Bench;
pub use memory::check_memory;
pub use mesh::check_mesh;
use samples::Samples;
use serde_json::json;
pub use sets::DataSets;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;
use training::Trained;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far to go.
    pub until: Until,
    /// A kill loses at most this much training, and the time to write a checkpoint.
    pub checkpoint_every: Duration,
    /// Asked to stop, the run stops at the next step or sample.
    pub stop: Stop,
    /// Who computes the gradients of training. How, not what: it is in no key, and another one may go on.
    pub mesh: Mesh,
    /// Whether to tell after each training what the workers of the mesh did.
    pub trace: bool,
    /// The ranks of the job, if there are several: workers of the mesh, one each.
    pub ranks: Option<Ranks>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Every variant is trained.
    Trained,
    /// Every trial is done.
    Evaluated,
}

/// What a run did and what it found done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Training runs finished now.
    pub trained: usize,
    /// Training runs found finished.
    pub trained_before: usize,
    /// Trials finished now.
    pub evaluated: usize,
    /// Trials found finished.
    pub evaluated_before: usize,
}

/// An experiment being run.
pub struct Run<'a> {
    store: &'a Store,
    progress: &'a dyn Progress,
    options: &'a Options,
    experiment: ExperimentId,
    provenance: ProvenanceId,
    metrics: MetricIds,
}

/// Ids of the metrics of this version, by name.
struct MetricIds(HashMap<&'static str, MetricId>);

impl MetricIds {
    async fn register(store: &Store) -> Result<Self> {
        let mut ids = HashMap::new();
        for metric in metric::ALL.iter().chain(metric::OF_TRIALS) {
            let new = NewMetric {
                name: metric.name.to_owned(),
                version: metric.version,
                unit: metric.unit.to_owned(),
                direction: metric.direction,
                noisy: metric.noisy,
            };
            ids.insert(metric.name, store.put_metric(&new).await?.id);
        }
        Ok(Self(ids))
    }

    fn by_name(&self, name: &str) -> MetricId {
        self.0[name]
    }
}

/// Runs `experiment` on what `sets` holds into `store`.
///
/// # Errors
/// [`EvaluatorError::Stopped`](crate::EvaluatorError::Stopped) when it was asked to stop; everything finished by then is
/// stored.
pub async fn run(
    experiment: &Experiment,
    sets: &DataSets,
    store: &Store,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(ExperimentId, Outcome)> {
    let config = experiment.config();
    let new = NewExperiment {
        key: ContentHash::of(config.to_string().as_bytes()),
        name: experiment.name.clone(),
        question: experiment.question.clone(),
        source: experiment.source.clone(),
        config,
    };
    let id = store.put_experiment(&new).await?.id;
    let provenance = store.put_provenance(&provenance::current()).await?.id;
    let metrics = MetricIds::register(store).await?;
    let run = Run { store, progress, options, experiment: id, provenance, metrics };
    let outcome = run.all(experiment, sets).await;
    if outcome.is_ok() {
        run.call_end();
    }
    run.ended("run", None, json!({ "name": experiment.name }), &outcome).await?;
    Ok((id, outcome?))
}

impl Run<'_> {
    async fn all(&self, experiment: &Experiment, sets: &DataSets) -> Result<Outcome> {
        let process = Process::current().ok().map(|process| process.told());
        self.event("run started", None, json!({ "name": experiment.name, "process": process })).await?;
        // Blocks of other lengths cut videos into other clips.
        let cut = |variant: &Variant| (variant.data.clone(), variant.model.block.frames);
        let mut samples: HashMap<(Data, usize), Samples> = HashMap::new();
        for variant in &experiment.variants {
            if let Entry::Vacant(place) = samples.entry(cut(variant)) {
                place.insert(Samples::register(self, sets.of(&variant.data), variant).await?);
            }
        }
        let mut outcome = Outcome::default();
        let mut trained = Vec::new();
        for (ordinal, (variant, seed)) in experiment.runs().enumerate() {
            let result = self.train(variant, seed, ordinal as u32, &samples[&cut(variant)]).await?;
            *(if result.reused { &mut outcome.trained_before } else { &mut outcome.trained }) += 1;
            trained.push(result);
        }
        if self.options.until == Until::Trained {
            return Ok(outcome);
        }
        let mut ordinal = 0;
        for (place, ((variant, seed), trained)) in experiment.runs().zip(&trained).enumerate() {
            let trials = variant.sweep.strategies.len() * variant.sweep.thresholds.len();
            self.call_evaluate(place as u32, trained, &samples[&cut(variant)].held_out);
            self.evaluate_model(variant, seed, trained, &samples[&cut(variant)], ordinal, &mut outcome).await?;
            self.call_evaluated();
            ordinal += trials as u32;
        }
        Ok(outcome)
    }

    /// Registers a protocol.
    async fn protocol(&self, protocol: Protocol) -> Result<ProtocolId> {
        let description = serde_json::to_value(protocol).expect("a protocol is plain data");
        let key = protocol.key().parse().expect("a protocol's key is a hash");
        Ok(self.store.put_protocol(key, &description).await?.id)
    }

    /// Curves, predictors and trials of one trained model; `ordinal` is its first trial's place in the experiment.
    async fn evaluate_model(
        &self,
        variant: &Variant,
        seed: u64,
        trained: &Trained,
        samples: &Samples,
        ordinal: u32,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let of_trials = Protocol { perceptual: variant.judge(), ..samples.protocol };
        let of_curves = self.protocol(samples.protocol.of_curves(variant.curve_window())).await?;
        let curves = if variant.has_curves_beforehand() {
            let wanted = Wanted {
                title: format!("{} seed {seed}", variant.name),
                weights: trained.weights,
                model: &trained.model,
                samples: &samples.held_out,
                dataset: samples.test_dataset,
                protocol: of_curves,
                counts: curve_counts(variant.range()),
                range: variant.range(),
            };
            self.curves(&wanted).await?
        } else if variant.replays() {
            self.stored_curves(trained.weights, samples.test_dataset, of_curves).await?
        } else {
            Curves::new()
        };
        let predictors = self.predictors(variant, seed, trained, samples).await?;
        let protocol = (of_trials, self.protocol(of_trials).await?);
        let curves = BlockCurves::new(curves, trained, variant.range(), of_curves);
        let bench = Bench::new(variant, seed, trained, &samples.held_out, curves, predictors);
        let (open, reused) = self.plan_trials(&bench, samples.test_dataset, protocol, ordinal).await?;
        if reused > 0 {
            self.progress.say(&format!("{} seed {seed}: {reused} trials evaluated before, reused", variant.name));
        }
        outcome.evaluated_before += reused;
        let searches = (open.len() * samples.held_out.len()) as u64;
        if searches > 0 {
            self.progress.begin(&format!("evaluate {} seed {seed}", variant.name), 0, searches);
        }
        let result = self.run_trials(open, &bench).await;
        if searches > 0 {
            self.progress.end();
        }
        outcome.evaluated += result?;
        if variant.has_curves() {
            self.progressive(variant, seed, trained, &samples.held_out, of_curves).await?;
        }
        Ok(())
    }
}
