//! The state that a training run goes on from: weights and moments, written whole or not at all.
//!
//! The file says what it is: the resolved configuration and the steps done. The random numbers and the position in
//! the data are functions of the step ([`crate::random`]), so that nothing else has to be kept.

use super::{AdamW, Start};
use crate::array_file::{self, ArrayFile, FORMAT, Flat, Header};
use crate::error::EngineError;
use crate::model::ElasticTok;
use crate::parameters::Parameters as _;
use crate::ring::RingError;
use crate::ring::ranks::Ranks;
use crate::tensor::values;
use std::path::Path;

pub(super) fn write(
    path: &Path,
    start: &Start,
    step: usize,
    model: &ElasticTok,
    adam: &AdamW,
) -> Result<(), EngineError> {
    let header = Header::Training { format: FORMAT, updates: step, start: Box::new(start.clone()) };
    let mut arrays = Vec::new();
    let mut index = 0;
    model.visit("", &mut |name, weight| {
        arrays.push((format!("model.{name}"), Flat::new(values(weight))));
        arrays.push((format!("first.{name}"), Flat::new(&adam.first[index])));
        arrays.push((format!("second.{name}"), Flat::new(&adam.second[index])));
        index += 1;
    });
    array_file::write(path, &header, arrays)
}

/// The steps done; weights and moments are filled in.
pub(super) fn read(
    path: &Path,
    expected: &Start,
    model: &mut ElasticTok,
    adam: &mut AdamW,
) -> Result<usize, EngineError> {
    let (mut file, header) = ArrayFile::open(path)?;
    let Header::Training { updates, start, .. } = header else {
        return Err(file.problem("holds finished weights, not a training state"));
    };
    if *start != *expected {
        return Err(file.problem("belongs to another configuration or seed; delete it to start afresh"));
    }
    file.fill("model.", model)?;
    let mut names = Vec::new();
    model.visit("", &mut |name, _| names.push(name.to_owned()));
    for (index, name) in names.iter().enumerate() {
        file.copy(&format!("first.{name}"), &mut adam.first[index])?;
        file.copy(&format!("second.{name}"), &mut adam.second[index])?;
    }
    Ok(updates)
}

/// Gives every rank the state that rank 0 has after `step` steps; the steps done, on every rank.
pub(super) fn share(ranks: &Ranks, step: usize, model: &mut ElasticTok, adam: &mut AdamW) -> Result<usize, RingError> {
    if ranks.rank() == 0 {
        ranks.tell_all(&step);
        ranks.give_weights(model);
        adam.first.iter().chain(&adam.second).for_each(|moments| ranks.give(moments));
        return Ok(step);
    }
    let step = ranks.hear(0)?;
    ranks.take_weights(model)?;
    adam.first.iter_mut().chain(&mut adam.second).try_for_each(|moments| ranks.take(moments))?;
    Ok(step)
}
