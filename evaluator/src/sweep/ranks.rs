//! A run on the ranks of a job: rank 0 has the store, decides and tells; the others do what they are told.
//!
//! Only rank 0 knows what is missing, when a checkpoint is due and whether somebody asked to stop. What the others need
//! of it they are told, weights and all, so that they need no file of it. Pictures and videos each reads itself.

use super::provenance;
use super::sets::DataSets;
use super::training;
use super::{Options, Run};
use crate::error::{EvaluatorError, Result};
use crate::experiment::Experiment;
use engine::parameters::weights_hash;
use engine::ring::Trace;
use engine::ring::ranks::Ranks;
use engine::train::Trainer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What rank 0 tells all others to do.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Train the variant and seed of this place in the experiment, from where rank 0 is.
    Train(u32),
    /// Make the next step of it.
    Step,
    /// It is trained: say what became of it.
    Trained,
    /// Nothing is left to do.
    End,
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
    let all = ranks.exchange(own).map_err(engine::EngineError::from)?;
    for (rank, other) in all.iter().enumerate() {
        if let Some((what, here, there)) = difference("", &all[0], other) {
            return Err(EvaluatorError::RanksDiffer { rank, what, here, there });
        }
    }
    Ok(())
}

/// The first place where two values differ, and what stands there.
fn difference(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(&below(key), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| difference(&below(&index.to_string()), a, b))
        }
        _ if a == b => None,
        _ => Some((path.to_owned(), a.to_string(), b.to_string())),
    }
}

/// Does what rank 0 tells until nothing is left to do; for all ranks but that one.
///
/// # Errors
/// What this rank failed with, or that another was lost.
pub fn follow(experiment: &Experiment, sets: &DataSets, options: &Options, ranks: &Ranks) -> Result<()> {
    loop {
        match hear(ranks)? {
            Order::Train(ordinal) => {
                let (variant, seed) = experiment.runs().nth(ordinal as usize).expect("ranks have one experiment");
                let trainer =
                    Trainer::new(training::start(variant, seed), sets.of(&variant.data).training(variant, seed))?;
                let mut trainer = training::with_network(trainer, variant)?.with_ranks(options.mesh, ranks.clone())?;
                if options.trace {
                    trainer = trainer.with_trace();
                }
                while matches!(hear(ranks)?, Order::Step) {
                    trainer.advance()?;
                }
                ranks.tell(0, &End::of(&trainer));
            }
            Order::End => return Ok(()),
            Order::Step | Order::Trained => unreachable!("rank 0 begins a training before its steps"),
        }
    }
}

fn hear(ranks: &Ranks) -> Result<Order> {
    Ok(ranks.hear(0).map_err(engine::EngineError::from)?)
}

impl Run<'_> {
    /// Lets all ranks take part in a training, from where its trainer is; alone, it is the trainer as it was.
    pub(super) fn call_ranks(&self, trainer: Trainer, ordinal: u32) -> Result<Trainer> {
        let Some(ranks) = &self.options.ranks else { return Ok(trainer) };
        ranks.tell_all(&Order::Train(ordinal));
        let trainer = trainer.with_ranks(self.options.mesh, ranks.clone())?;
        Ok(if self.options.trace { trainer.with_trace() } else { trainer })
    }

    /// Lets them make the next step with this one.
    pub(super) fn call_step(&self) {
        self.call(&Order::Step);
    }

    /// Ends a training; what its workers did, worker by worker.
    ///
    /// # Errors
    /// [`EvaluatorError::RanksDrifted`] if one came to other weights.
    pub(super) fn call_trained(&self, trainer: &Trainer) -> Result<Vec<Trace>> {
        self.call(&Order::Trained);
        let End { weights: own, mut traces } = End::of(trainer);
        if let Some(ranks) = &self.options.ranks {
            for rank in 1..ranks.size() {
                let End { weights, traces: more } = ranks.hear(rank).map_err(engine::EngineError::from)?;
                if weights != own {
                    return Err(EvaluatorError::RanksDrifted { rank });
                }
                traces.extend(more);
            }
        }
        Ok(traces)
    }

    /// Lets them go.
    pub(super) fn call_end(&self) {
        self.call(&Order::End);
    }

    fn call(&self, order: &Order) {
        if let Some(ranks) = &self.options.ranks {
            ranks.tell_all(order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let a = json!({ "threads": 2, "experiment": { "variants": [{ "steps": 3 }, { "steps": 4 }] } });
        assert_eq!(difference("", &a, &a), None);
        let mut b = a.clone();
        b["experiment"]["variants"][1]["steps"] = json!(5);
        let told = |what: &str, here: &str, there: &str| Some((what.to_owned(), here.to_owned(), there.to_owned()));
        assert_eq!(difference("", &a, &b), told("experiment.variants.1.steps", "4", "5"));
        b["threads"] = json!(null);
        b["experiment"] = json!({});
        assert_eq!(difference("", &a["experiment"], &b["experiment"]).unwrap().0, "");
        assert_eq!(difference("", &json!({ "threads": 2 }), &json!({ "threads": null })), told("threads", "2", "null"));
    }
}
