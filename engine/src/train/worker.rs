//! A batch's gradient computed by a mesh of workers, each with its rows of its group's sequences.
//!
//! Everything random was drawn for the whole batch before, so that every mesh trains on the same numbers. A worker's loss
//! is the mean over its rows times its share of all rows: the shares sum to the batch's mean. Gradients are summed over
//! all workers layer by layer, while the backward pass goes on with the layer before.

use super::batch::{Batch, Gradient, Losses, scope, weigh};
use crate::error::EngineError;
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Layer, through};
use crate::parameters::Parameters;
use crate::ring::ranks::{RankSums, Ranks};
use crate::ring::{Mesh, Place, Ring, SequenceRing, Sums, Trace, Workers};
use crate::tensor::{Grads, Tape, TapeError, Tokens, take, tokens, values};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Who the workers are.
pub(super) enum Team {
    /// Threads of this process.
    Threads(Workers),
    /// Processes, of which this is one.
    Ranks(Mesh, Ranks),
}

impl Team {
    /// Workers whose steps this process sees.
    pub(super) fn seen(&self) -> usize {
        match self {
            Self::Threads(workers) => workers.mesh().workers(),
            Self::Ranks(..) => 1,
        }
    }

    /// Mean loss over the batch times `share`, and its gradient; adds the steps of each worker that is seen to `traces`,
    /// if there are any.
    pub(super) fn gradient(
        &self,
        batch: &Batch,
        model: &ElasticTok,
        kl_weight: f32,
        share: f32,
        traces: &mut [Trace],
    ) -> Result<Gradient, EngineError> {
        let is_traced = !traces.is_empty();
        let work = |place, ring, bring: Bring| {
            let trace = is_traced.then(Rc::default);
            let losses = Worker { place, batch, model }.gradient(ring, trace.clone(), bring, kl_weight, share)?;
            Ok((losses, trace.map(|trace: Rc<RefCell<Trace>>| trace.take()).unwrap_or_default()))
        };
        let found = match self {
            Self::Threads(workers) => on_threads(workers, model.weights(), work)?,
            Self::Ranks(mesh, ranks) => on_ranks(*mesh, ranks, model.weights(), work)?,
        };
        let mut losses = Losses::default();
        found.losses.iter().for_each(|part| losses.add(part));
        traces.iter_mut().zip(&found.traces).for_each(|(all, trace)| all.add(trace));
        Ok(Gradient { losses, of_weights: found.sums })
    }
}

/// Brings a weight's gradient, as one worker found it, to where all are added.
type Bring = Box<dyn Fn(usize, Vec<f32>)>;

/// What all workers found together.
struct Found {
    /// Each worker's share of the loss.
    losses: Vec<Losses>,
    /// What the workers did that this process sees.
    traces: Vec<Trace>,
    /// The gradient of every weight.
    sums: Vec<Vec<f32>>,
}

fn on_threads(
    workers: &Workers,
    weights: usize,
    work: impl Fn(Place, Rc<dyn Ring>, Bring) -> Result<(Losses, Trace), EngineError> + Sync,
) -> Result<Found, EngineError> {
    let sums = Arc::new(Sums::new(workers.mesh().workers(), weights));
    let parts = workers.run(|place, ring| {
        let sums = sums.clone();
        work(place, ring, Box::new(move |weight, part| sums.add(weight, place.worker(), part)))
    })?;
    let (losses, traces) = parts.into_iter().unzip();
    let sums = Arc::into_inner(sums).expect("every worker has ended");
    Ok(Found { losses, traces, sums: sums.finish() })
}

fn on_ranks(
    mesh: Mesh,
    ranks: &Ranks,
    weights: usize,
    work: impl FnOnce(Place, Rc<dyn Ring>, Bring) -> Result<(Losses, Trace), EngineError>,
) -> Result<Found, EngineError> {
    let sums = RankSums::begin(ranks).map_err(|error| EngineError::Threads(error.to_string()))?;
    let sums = Rc::new(sums);
    let (own, trace) = ranks.run(mesh, |place, ring| {
        let sums = sums.clone();
        work(place, ring, Box::new(move |weight, part| sums.add(weight, part)))
    })?;
    let losses = ranks.exchange(own)?;
    let sums = Rc::into_inner(sums).expect("the tape, which brought to it, is gone");
    Ok(Found { losses, traces: vec![trace], sums: sums.finish(weights)? })
}

/// One worker of a mesh.
struct Worker<'a> {
    place: Place,
    batch: &'a Batch,
    model: &'a ElasticTok,
}

impl Worker<'_> {
    /// Its share of the loss; its part of every gradient is brought to the sums.
    fn gradient(
        &self,
        ring: Rc<dyn Ring>,
        trace: Option<Rc<RefCell<Trace>>>,
        bring: Bring,
        kl_weight: f32,
        share: f32,
    ) -> Result<Losses, EngineError> {
        let (batch, model) = (self.batch, self.model);
        let sequences = self.place.sequences(batch.sequences);
        let each = batch.kept.len() / batch.sequences;
        let blocks = sequences.start * each..sequences.end * each;
        let layout = model.layout(sequences.len(), each);
        let slices = self.place.slices(layout.tokens_per_sequence());
        let rows = slices.rows(self.place.rank, sequences.len());
        let gather = |all: &[f32], width: usize| {
            let of_block = layout.tokens_per_block * width;
            rows.gather(&all[blocks.start * of_block..blocks.end * of_block], width)
        };

        let patch = model.config().block.patch_values();
        let patches = tokens(gather(&batch.patches, patch), rows.count(), patch);
        let mask = PrefixMask::new(layout.tokens_per_block, batch.kept[blocks.clone()].to_vec()).of_rows(&rows);
        let noise = batch.noise.as_ref().map(|noise| gather(noise, model.config().bottleneck.output_width()));
        let scope = scope(layout, batch.segments.as_ref().map(|segments| &segments[blocks.clone()]));
        let rope = model.rope(rows.positions());
        let party = SequenceRing { ring, slices, trace };
        let outgoing = Rc::new(Outgoing::new(model, bring));
        let through = |layers: &[Layer], h: Tokens<Tape>| {
            let outgoing = outgoing.clone();
            through(layers, h, &rope, &scope, &party, move |layer, grads| outgoing.bring(layer, grads))
        };
        let loss = model.loss_through(patches.leaky_trace(), &patches, &mask, noise, kl_weight, through);
        let all = batch.kept.len() * layout.tokens_per_block;
        let share = share * (rows.count() as f64 / all as f64) as f32;
        let (losses, total) = weigh(loss, batch.frame_of(sequences), &patches, model.config().block, share);
        let mut grads = total.backward();
        outgoing.bring(model, &mut grads)?;
        Ok(losses)
    }
}

/// Brings gradients to their sums, each once.
struct Outgoing {
    bring: Bring,
    /// The numbers, in visiting order, of the weights that are still to come, by where their values lie.
    waiting: RefCell<HashMap<*const f32, usize>>,
}

impl Outgoing {
    fn new(model: &ElasticTok, bring: Bring) -> Self {
        let mut waiting = HashMap::new();
        model.visit("", &mut |_, weight| {
            waiting.insert(values(weight).as_ptr(), waiting.len());
        });
        Self { bring, waiting: RefCell::new(waiting) }
    }

    /// Brings those of `part` that were not brought yet; nothing may add to them later.
    fn bring(&self, part: &impl Parameters, grads: &mut Grads) -> Result<(), TapeError> {
        let mut failure = None;
        part.visit("", &mut |_, weight| {
            let Some(number) = self.waiting.borrow_mut().remove(&values(weight).as_ptr()) else { return };
            match grads.get_or_alloc_mut(weight) {
                Ok(gradient) => (self.bring)(number, take(gradient)),
                Err(error) => failure = Some(error),
            }
        });
        failure.map_or(Ok(()), Err)
    }
}
