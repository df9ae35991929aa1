//! A run on the ranks of a job: rank 0 has the store, decides and tells; the others do what they are told.
//!
//! Only rank 0 knows what is missing, when a checkpoint is due and whether somebody asked to stop. What the others need
//! of it they are told, weights and all, so that they need no file of it. Pictures and videos each reads itself.

use super::behind::BlockCurves;
use super::curves::{Curves, Wanted};
use super::evaluate::{Bench, Evaluated};
use super::predictors::Predictors;
use super::provenance;
use super::sample::Sample;
use super::sets::DataSets;
use super::training::{self, Trained};
use super::trials::{Done, Planned, Walk};
use super::{Options, Run};
use crate::difference::first_difference;
use crate::error::{EvaluatorError, Result};
use crate::experiment::{Experiment, Variant};
use crate::store::{ContentHash, DatasetId, NewCurve, ProtocolId, TrainingRunId, TrialId};
use engine::parameters::weights_hash;
use engine::ring::Trace;
use engine::ring::ranks::Ranks;
use engine::train::Trainer;
use engine::{ElasticTok, EngineError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What rank 0 tells all others to do. Whatever consists of parts is told part by part, `Some` of each, then `None`.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Train the variant and seed of this place in the experiment, from where rank 0 is: `true` is a step, `false` the
    /// end.
    Train(u32),
    /// Evaluate the model of this place, whose weights and held-out samples follow, task by task.
    Evaluate { ordinal: u32, run: Option<TrainingRunId>, weights: ContentHash },
}

/// A part of the evaluation of a model.
#[derive(Serialize, Deserialize)]
enum Task {
    /// Measure curves of these samples, those that fall to each.
    Curves { samples: Vec<Sample>, dataset: DatasetId, protocol: ProtocolId, counts: Vec<usize> },
    /// Run trials on these curves, one after the other; predictors follow, if there are any.
    Trials { curves: Curves, protocol: ProtocolId, has_predictors: bool },
}

/// A trial for one rank, which tells `Some` of each sample, then `None`.
#[derive(Serialize, Deserialize)]
struct Lent {
    id: TrialId,
    /// Which of the sweep's strategies and thresholds.
    place: (usize, usize),
    done: Done,
}

/// What a rank has when all steps are made.
#[derive(Serialize, Deserialize)]
struct End {
    weights: String,
    traces: Vec<Trace>,
}

impl End {
    fn of(trainer: &Trainer) -> Self {
        Self { weights: weights_hash(trainer.model()).to_string(), traces: trainer.traces().to_vec() }
    }
}

/// Fails unless every rank has the same program, experiment, data and settings; all of them must call it.
///
/// # Errors
/// [`EvaluatorError::RanksDiffer`] on every rank, for the first that differs from rank 0.
pub fn agree(experiment: &Experiment, sets: &DataSets, options: &Options, ranks: &Ranks) -> Result<()> {
    let data: BTreeMap<&str, Value> =
        experiment.variants.iter().map(|variant| (&*variant.name, sets.of(&variant.data).keys())).collect();
    let own = json!({
        "program": provenance::program_hash(),
        "vector instructions": provenance::current().cpu_features,
        "threads": rayon::current_num_threads(),
        "mesh": options.mesh.to_string(),
        "until": format!("{:?}", options.until),
        "trace": options.trace,
        "experiment": experiment.config(),
        "data": data,
    });
    let all = ranks.exchange(own).map_err(EngineError::from)?;
    for (rank, other) in all.iter().enumerate() {
        if let Some((what, here, there)) = first_difference("", &all[0], other) {
            return Err(EvaluatorError::RanksDiffer { rank, what, here, there });
        }
    }
    Ok(())
}

/// Does what rank 0 tells until nothing is left to do; for all ranks but that one.
///
/// # Errors
/// What this rank failed with, or that another was lost.
pub fn follow(experiment: &Experiment, sets: &DataSets, options: &Options, ranks: &Ranks) -> Result<()> {
    let of_place = |ordinal: u32| experiment.runs().nth(ordinal as usize).expect("ranks have one experiment");
    while let Some(order) = hear::<Option<Order>>(ranks, 0)? {
        match order {
            Order::Train(ordinal) => {
                let (variant, seed) = of_place(ordinal);
                let data = sets.of(&variant.data).training(variant, seed);
                let trainer = training::with_network(Trainer::new(training::start(variant, seed), data)?, variant)?;
                let mut trainer = trainer.with_ranks(options.mesh, ranks.clone())?;
                if options.trace {
                    trainer = trainer.with_trace();
                }
                while hear::<bool>(ranks, 0)? {
                    trainer.advance()?;
                }
                ranks.tell(0, &End::of(&trainer));
            }
            Order::Evaluate { ordinal, run, weights } => {
                let (variant, seed) = of_place(ordinal);
                let mut model = ElasticTok::new(variant.model.clone(), seed)?;
                ranks.take_weights(&mut model).map_err(EngineError::from)?;
                evaluate(variant, seed, &Trained { run, weights, model, reused: true }, ranks)?;
            }
        }
    }
    Ok(())
}

/// Does its part of what is asked of one model.
fn evaluate(variant: &Variant, seed: u64, trained: &Trained, ranks: &Ranks) -> Result<()> {
    let held_out: Vec<Sample> = hear(ranks, 0)?;
    while let Some(task) = hear::<Option<Task>>(ranks, 0)? {
        match task {
            Task::Curves { samples, dataset, protocol, counts } => {
                let (title, range) = (String::new(), variant.range());
                let (weights, model) = (trained.weights, &trained.model);
                Wanted { title, weights, model, samples: &samples, dataset, protocol, counts, range }.help(ranks)?;
            }
            Task::Trials { curves, protocol, has_predictors } => {
                let predictors = if has_predictors { Some(Predictors::take(ranks, variant)?) } else { None };
                let curves = BlockCurves::new(curves, trained, variant.range(), protocol);
                let bench = Bench::new(variant, seed, trained, &held_out, curves, predictors);
                while let Some(Lent { id, place, done }) = hear::<Option<Lent>>(ranks, 0)? {
                    let (trial, mut walk) = (Planned::new(id, variant, place), Walk::new(done));
                    while let Some(evaluated) = walk.step(&trial, &bench)? {
                        ranks.tell(0, &Some(evaluated));
                    }
                    ranks.tell(0, &None::<Evaluated>);
                }
            }
        }
    }
    Ok(())
}

fn hear<W: DeserializeOwned>(ranks: &Ranks, from: usize) -> Result<W> {
    Ok(ranks.hear(from).map_err(EngineError::from)?)
}

impl Run<'_> {
    /// How many ranks there are, this one too.
    pub(super) fn ranks(&self) -> usize {
        self.options.ranks.as_ref().map_or(1, Ranks::size)
    }

    /// Lets all ranks take part in a training, from where its trainer is; alone, it is the trainer as it was.
    pub(super) fn call_ranks(&self, trainer: Trainer, ordinal: u32) -> Result<Trainer> {
        let Some(ranks) = &self.options.ranks else { return Ok(trainer) };
        ranks.tell_all(&Some(Order::Train(ordinal)));
        let trainer = trainer.with_ranks(self.options.mesh, ranks.clone())?;
        Ok(if self.options.trace { trainer.with_trace() } else { trainer })
    }

    /// Lets them make the next step with this one.
    pub(super) fn call_step(&self) {
        self.call(&true);
    }

    /// Ends a training; what its workers did, worker by worker.
    ///
    /// # Errors
    /// [`EvaluatorError::RanksDrifted`] if one came to other weights.
    pub(super) fn call_trained(&self, trainer: &Trainer) -> Result<Vec<Trace>> {
        self.call(&false);
        let End { weights: own, mut traces } = End::of(trainer);
        if let Some(ranks) = &self.options.ranks {
            for rank in 1..ranks.size() {
                let End { weights, traces: more } = hear(ranks, rank)?;
                if weights != own {
                    return Err(EvaluatorError::RanksDrifted { rank });
                }
                traces.extend(more);
            }
        }
        Ok(traces)
    }

    /// Lets them take part in the evaluation of a model, until [`call_evaluated`](Self::call_evaluated).
    pub(super) fn call_evaluate(&self, ordinal: u32, trained: &Trained, held_out: &[Sample]) {
        if let Some(ranks) = &self.options.ranks {
            let Trained { run, weights, ref model, .. } = *trained;
            ranks.tell_all(&Some(Order::Evaluate { ordinal, run, weights }));
            ranks.give_weights(model);
            ranks.tell_all(&held_out);
        }
    }

    /// Ends the evaluation of a model.
    pub(super) fn call_evaluated(&self) {
        self.call(&None::<Task>);
    }

    /// Lets them measure their share of the curves of these samples.
    pub(super) fn call_curves(&self, wanted: &Wanted<'_>, samples: &[&Sample]) {
        if self.ranks() > 1 && !samples.is_empty() {
            let samples = samples.iter().map(|sample| (*sample).clone()).collect();
            let (dataset, protocol, counts) = (wanted.dataset, wanted.protocol, wanted.counts.clone());
            self.call(&Some(Task::Curves { samples, dataset, protocol, counts }));
        }
    }

    /// The curves that the others measured meanwhile.
    pub(super) fn hear_curves(&self) -> Result<Vec<NewCurve>> {
        let Some(ranks) = &self.options.ranks else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for rank in 1..ranks.size() {
            all.extend(hear::<Vec<NewCurve>>(ranks, rank)?);
        }
        Ok(all)
    }

    /// Lets them get ready for trials, until [`call_tried`](Self::call_tried).
    pub(super) fn call_trials(&self, bench: &Bench<'_>) {
        if let Some(ranks) = &self.options.ranks {
            let (curves, protocol) = bench.curves.known();
            ranks.tell_all(&Some(Task::Trials { curves, protocol, has_predictors: bench.predictors.is_some() }));
            bench.predictors.iter().for_each(|predictors| predictors.give(ranks));
        }
    }

    /// No trial is left.
    pub(super) fn call_tried(&self) {
        self.call(&None::<Lent>);
    }

    /// Lends a trial to one of the others.
    pub(super) fn lend(&self, rank: usize, trial: &Planned, done: Done) {
        if let Some(ranks) = &self.options.ranks {
            ranks.tell(rank, &Some(Lent { id: trial.id, place: trial.place, done }));
        }
    }

    /// What the rank that a trial was lent to has found since, if anything: of a sample, or `None` at its end.
    pub(super) fn found(&self, rank: usize) -> Result<Option<Option<Evaluated>>> {
        let ranks = self.options.ranks.as_ref().expect("a trial was lent to it");
        Ok(ranks.hear_now(rank).map_err(EngineError::from)?)
    }

    /// Lets them go.
    pub(super) fn call_end(&self) {
        self.call(&None::<Order>);
    }

    fn call(&self, words: &impl Serialize) {
        if let Some(ranks) = &self.options.ranks {
            ranks.tell_all(words);
        }
    }
}
