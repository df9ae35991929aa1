//! A batch's gradient computed by a mesh of workers, each with its rows of its group's sequences.
//!
//! Everything random was drawn for the whole batch before, so that every mesh trains on the same numbers. A worker's loss
//! is the mean over its rows times its share of all rows: the shares sum to the batch's mean. Gradients are summed over
//! all workers layer by layer, while the backward pass goes on with the layer before.

use super::batch::{Batch, Gradient, Losses, scope, weigh};
use crate::error::EngineError;
use crate::mask::PrefixMask;
use crate::model::{ElasticTok, Layer};
use crate::ops;
use crate::parameters::Parameters;
use crate::ring::{Place, Ring, SequenceRing, Sums, Trace, Workers};
use crate::tensor::{Grads, Tape, TapeError, Tokens, take, tokens, values};
use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Mean loss over the batch times `share`, and its gradient; adds each worker's steps to `traces`, if there are any.
pub(super) fn gradient(
    workers: &Workers,
    batch: &Batch,
    model: &ElasticTok,
    kl_weight: f32,
    share: f32,
    traces: &mut [Trace],
) -> Result<Gradient, EngineError> {
    let sums = Arc::new(Sums::new(workers.mesh().workers(), model.weights()));
    let is_traced = !traces.is_empty();
    let parts = workers.run(|place, ring| {
        let trace = is_traced.then(Rc::default);
        let losses = Worker { place, batch, model }.gradient(ring, trace.clone(), &sums, kl_weight, share)?;
        Ok((losses, trace.map(|trace: Rc<RefCell<Trace>>| trace.take())))
    })?;
    let mut losses = Losses::default();
    for (worker, (part, trace)) in parts.iter().enumerate() {
        losses.add(part);
        if let Some(trace) = trace {
            traces[worker].add(trace);
        }
    }
    let sums = Arc::into_inner(sums).expect("every worker has ended");
    Ok(Gradient { losses, of_weights: sums.finish() })
}

/// One worker of a mesh.
struct Worker<'a> {
    place: Place,
    batch: &'a Batch,
    model: &'a ElasticTok,
}

impl Worker<'_> {
    /// Its share of the loss; its part of every gradient goes to the sums.
    fn gradient(
        &self,
        ring: Rc<dyn Ring>,
        trace: Option<Rc<RefCell<Trace>>>,
        sums: &Arc<Sums>,
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
        let outgoing = Rc::new(Outgoing::new(model, sums.clone(), self.place.worker()));
        let through = |layers: &[Layer], h: Tokens<Tape>| {
            layers.iter().fold(h, |h, layer| {
                let (outgoing, own) = (outgoing.clone(), layer.clone());
                let h = ops::after_backward(h, move |grads| outgoing.bring(&own, grads));
                layer.forward_in_ring(h, &rope, &scope, &party)
            })
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
    sums: Arc<Sums>,
    worker: usize,
    /// The numbers, in visiting order, of the weights that are still to come, by where their values lie.
    waiting: RefCell<HashMap<*const f32, usize>>,
}

impl Outgoing {
    fn new(model: &ElasticTok, sums: Arc<Sums>, worker: usize) -> Self {
        let mut waiting = HashMap::new();
        model.visit("", &mut |_, weight| {
            waiting.insert(values(weight).as_ptr(), waiting.len());
        });
        Self { sums, worker, waiting: RefCell::new(waiting) }
    }

    /// Brings those of `part` that were not brought yet; nothing may add to them later.
    fn bring(&self, part: &impl Parameters, grads: &mut Grads) -> Result<(), TapeError> {
        let mut failure = None;
        part.visit("", &mut |_, weight| {
            let Some(number) = self.waiting.borrow_mut().remove(&values(weight).as_ptr()) else { return };
            match grads.get_or_alloc_mut(weight) {
                Ok(gradient) => self.sums.add(number, self.worker, take(gradient)),
                Err(error) => failure = Some(error),
            }
        });
        failure.map_or(Ok(()), Err)
    }
}
