//! Attention to keys that other workers have: what is sent, computed and waited for at every step of a ring.
//!
//! At step s worker w has the keys and values of worker w − s. Forward, they move on to w + 1 when the step begins.
//! Backward they do too, one step ahead of their gradients: each worker adds its part to what the workers before it
//! found, and the sum goes on around the ring until it is home.

use super::heads::Heads;
use super::sweep::{Finished, Pairs, Running, Sweep};
use super::{MaybeTape, RopeTable, Scope};
use crate::kernel::rows;
use crate::precision::Precision;
use crate::ring::{Journey, Packet, RingError, SequenceRing, StepTrace, Trace};
use crate::tensor::{Tokens, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// [`attention`](super::attention()) to sequences that several workers share: (n, q | k | v) → (n, width) for the rows
/// that this worker has, in the order of [`Slices::rows`](crate::ring::Slices::rows). `rope` has their positions; `scope`
/// is that of the whole sequences. All workers call it alike, in the same order, and so do their backward passes.
///
/// A worker that is lost makes it unwind with a [`RingError`].
///
/// # Panics
/// If the rows are not those of this worker, or `rope` has fewer positions than it has rows of a sequence.
pub fn ring_attention<T: MaybeTape>(
    qkv: Tokens<T>,
    heads: usize,
    rope: &RopeTable,
    scope: &Scope,
    party: &SequenceRing,
    precision: Precision,
) -> Tokens<T> {
    let (qkv, mut tape) = qkv.split_tape();
    let (n, triple) = shape(&qkv);
    let width = triple / 3;
    let turns = Turns::new(party, scope, heads, width / heads, precision);
    let sizes = turns.sweep.sizes;
    assert_eq!(n, sizes.sequences * sizes.length, "rows against the layout and the worker's slices");
    assert!(rope.positions() >= sizes.length, "{} rows, but RoPE's table has {}", sizes.length, rope.positions());

    let queries = sizes.queries(values(&qkv), rope);
    let pairs = |rows| Arc::new(sizes.pairs(values(&qkv), rope, rows));
    let own: Vec<Packet> = turns.sweep.rows().iter().map(pairs).collect();
    let Running { out, maxima: log_sum_exp, .. } =
        turns.forward(&queries, own.clone()).unwrap_or_else(|lost| lost.unwind());
    let y = tokens(sizes.merge(&out), n, width);
    drop(out);

    if T::OWNS_TAPE {
        let (qkv, y_kept, rope) = (qkv.ghost(), y.clone(), rope.clone());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&y_kept.ghost())?);
            let finished = Finished { pulls: sizes.pulls(values(&y_kept), &dy), queries, log_sum_exp, dy };
            drop(y_kept);
            let (dq, dpairs) = turns.backward(&finished, own).unwrap_or_else(|lost| lost.unwind());
            // What is made last has room when queries, keys and values are gone.
            drop(finished);
            sizes.add_gradients(grads.get_or_alloc_mut(&qkv)?, dq, dpairs, &rope);
            Ok(())
        });
    }
    y.put_tape(tape)
}

/// A worker's steps: when it sends, computes and waits.
struct Turns {
    party: SequenceRing,
    sweep: Sweep,
}

/// A span of some worker's tokens.
struct Span {
    positions: Range<usize>,
    /// Whether this worker may see a key of it.
    is_read: bool,
    /// When others than its owner read it.
    journey: Option<Journey>,
}

/// Keys and values of a span, (k|v, token, d) of each head, while they are at this worker.
struct Passing {
    span: Span,
    pairs: Packet,
}

/// Gradients of keys and values of one span: (k|v, token, d) of each head.
type PairGradient = Vec<Vec<f32>>;

impl Turns {
    fn new(party: &SequenceRing, scope: &Scope, heads: usize, dim: usize, precision: Precision) -> Self {
        let (slices, rank) = (&party.slices, party.ring.rank());
        assert_eq!(slices.tokens(), scope.layout.tokens_per_sequence(), "the slices are of another sequence");
        assert_eq!(slices.workers(), party.ring.size(), "the slices are of another ring");
        let spans = slices.spans(rank).to_vec();
        let length = spans.iter().map(Range::len).sum();
        let sizes = Heads { sequences: scope.layout.sequences, heads, length, dim };
        Self { party: party.clone(), sweep: Sweep { scope: scope.clone(), sizes, precision, spans } }
    }

    fn steps(&self) -> usize {
        self.party.ring.size()
    }

    /// All spans of the worker whose turn it is: the one `step` places before this one.
    fn spans(&self, step: usize) -> impl Iterator<Item = Span> {
        let (slices, layout) = (&self.party.slices, &self.sweep.scope.layout);
        let (rank, size) = (self.party.ring.rank(), self.steps());
        let owner = (rank + size - step % size) % size;
        slices.spans(owner).iter().map(move |positions| Span {
            is_read: slices.reads(layout, rank, positions),
            journey: slices.journey(layout, owner, positions),
            positions: positions.clone(),
        })
    }

    fn forward<'q>(&self, queries: &'q [Vec<f32>], own: Vec<Packet>) -> Result<Running<'q>, RingError> {
        let mut running = self.sweep.begin(queries);
        let mut held = self.own(own);
        for step in 0..self.steps() {
            let mut trace = StepTrace::default();
            self.pass_on(step, &held, &mut trace)?;
            self.receive(self.spans(step + 1).filter(|span| span.comes_at(step + 1)))?;
            let is_last = step + 1 == self.steps();
            let read: Vec<_> = read(&held).collect();
            self.computing(&mut trace, || ((), self.sweep.forward(&mut running, &read, is_last)));
            held = self.next(step, &mut trace)?;
            self.record(|all| all.forward(step).add(&trace));
        }
        Ok(running)
    }

    /// The gradients of the queries, (token, d) of each head, and of its own keys and values by their rows.
    #[allow(clippy::type_complexity)]
    fn backward(
        &self,
        finished: &Finished,
        own: Vec<Packet>,
    ) -> Result<(Vec<Vec<f32>>, Vec<(Range<usize>, PairGradient)>), RingError> {
        let mut dq: Vec<Vec<f32>> = finished.queries.par_iter().map(|queries| vec![0.0; queries.len()]).collect();
        let mut own_gradients = Vec::new();
        let mut held = self.own(own);
        for step in 0..self.steps() {
            let mut trace = StepTrace::default();
            self.pass_on(step, &held, &mut trace)?;
            // In the order in which the worker before sends them.
            self.receive(self.spans(step).filter(|span| span.has_gradient_at(step)))?;
            self.receive(self.spans(step + 1).filter(|span| span.comes_at(step + 1)))?;
            let read: Vec<_> = read(&held).collect();
            let found = self.computing(&mut trace, || self.sweep.backward(finished, &read, &mut dq));
            match step {
                0 => own_gradients = found,
                _ => self.pass_on_gradients(step, found, &mut trace)?,
            }
            held = self.next(step, &mut trace)?;
            self.record(|all| all.backward(step).add(&trace));
        }
        self.gather_own(&mut own_gradients)?;
        Ok((dq, self.sweep.rows().into_iter().zip(own_gradients).collect()))
    }

    /// Its own keys and values, which the first step works on.
    fn own(&self, own: Vec<Packet>) -> Vec<Passing> {
        self.spans(0).zip(own).map(|(span, pairs)| Passing { span, pairs }).collect()
    }

    /// Sends on what the next worker or one behind it reads.
    fn pass_on(&self, step: usize, held: &[Passing], trace: &mut StepTrace) -> Result<(), RingError> {
        let mut on = held.iter().filter(|passing| passing.span.comes_at(step + 1));
        on.try_for_each(|passing| self.send(passing.pairs.clone(), trace))
    }

    /// Waits for what the next step works on, or passes on.
    fn next(&self, step: usize, trace: &mut StepTrace) -> Result<Vec<Passing>, RingError> {
        let spans = self.spans(step + 1).filter(|span| span.comes_at(step + 1));
        spans.map(|span| Ok(Passing { span, pairs: self.wait(trace)? })).collect()
    }

    /// Adds what was found at this step to what the workers before found, and sends the sum on its way home. A worker
    /// that read nothing passes on what comes as it is.
    fn pass_on_gradients(&self, step: usize, found: Vec<PairGradient>, trace: &mut StepTrace) -> Result<(), RingError> {
        let mut found = found.into_iter();
        for span in self.spans(step).filter(|span| span.has_gradient_at(step + 1)) {
            let earlier = if span.has_gradient_at(step) { Some(self.wait(trace)?) } else { None };
            let sum =
                match (earlier, span.is_read.then(|| found.next().expect("gradients of every span that was read"))) {
                    (Some(earlier), Some(mut own)) => {
                        add(&mut own, &earlier);
                        Arc::new(own)
                    }
                    (None, Some(own)) => Arc::new(own),
                    (Some(earlier), None) => earlier,
                    (None, None) => unreachable!("gradients begin where a span is read first"),
                };
            self.send(sum, trace)?;
        }
        Ok(())
    }

    /// Adds what others found of its own keys and values.
    fn gather_own(&self, own: &mut [PairGradient]) -> Result<(), RingError> {
        let (size, mut trace) = (self.steps(), StepTrace::default());
        self.receive(self.spans(size).filter(|span| span.has_gradient_at(size)))?;
        for (span, own) in self.spans(size).zip(own) {
            if span.has_gradient_at(size) {
                add(own, &self.wait(&mut trace)?);
            }
        }
        if size > 1 {
            self.record(|all| all.backward(size).add(&trace));
        }
        Ok(())
    }

    fn receive(&self, spans: impl Iterator<Item = Span>) -> Result<(), RingError> {
        let Heads { dim, .. } = self.sweep.sizes;
        let mut numbers = spans.map(|span| 2 * span.positions.len() * dim);
        numbers.try_for_each(|numbers| self.party.ring.receive(self.sweep.sizes.all(), numbers))
    }

    fn send(&self, packet: Packet, trace: &mut StepTrace) -> Result<(), RingError> {
        trace.packets += 1;
        trace.bytes += packet.iter().map(|part| size_of_val(&part[..]) as u64).sum::<u64>();
        self.party.ring.send(packet)
    }

    fn wait(&self, trace: &mut StepTrace) -> Result<Packet, RingError> {
        let began = self.now();
        let packet = self.party.ring.wait();
        trace.waiting += began.map(|began| began.elapsed()).unwrap_or_default();
        packet
    }

    /// Does work that says how many scores it was.
    fn computing<R>(&self, trace: &mut StepTrace, work: impl FnOnce() -> (R, u64)) -> R {
        let began = self.now();
        let (result, scores) = work();
        trace.scores += scores;
        trace.computing += began.map(|began| began.elapsed()).unwrap_or_default();
        result
    }

    /// The time, if anybody wants to know.
    fn now(&self) -> Option<Instant> {
        self.party.trace.is_some().then(Instant::now)
    }

    fn record(&self, add: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.party.trace {
            add(&mut trace.borrow_mut());
        }
    }
}

impl Span {
    /// [`Journey::has_keys_at`]
    fn comes_at(&self, step: usize) -> bool {
        self.journey.is_some_and(|journey| journey.has_keys_at(step))
    }

    /// [`Journey::has_gradients_at`]
    fn has_gradient_at(&self, step: usize) -> bool {
        self.journey.is_some_and(|journey| journey.has_gradients_at(step))
    }
}

/// sum += part, head by head.
fn add(sum: &mut [Vec<f32>], part: &[Vec<f32>]) {
    sum.par_iter_mut().zip(part).for_each(|(sum, part)| rows::add(sum, part));
}

/// What this worker may see of what is here.
fn read(held: &[Passing]) -> impl Iterator<Item = Pairs<'_>> {
    let read = held.iter().filter(|passing| passing.span.is_read);
    read.map(|passing| Pairs { span: &passing.span.positions, values: &passing.pairs })
}
