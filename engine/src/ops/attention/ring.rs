//! Attention to keys that other workers have: what is sent, computed and waited for at every step of a ring.
//!
//! At step s worker w has the keys and values of worker w − s. Forward, they move on to w + 1 when the step begins.
//! Backward they do too, one step ahead of their gradients: each worker adds its part to what the workers before it
//! found, and the sum goes on around the ring until it is home.

use super::heads::{Heads, Incoming, QkvGradient};
use super::sweep::{Finished, Pairs, Running, Sweep};
use super::{MaybeTape, RopeTable, Scope};
use crate::kernel::packed::Packing;
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
    let attention = Attention::new(party, scope, heads, triple / 3, rope, precision);
    let mut incoming = attention.incoming();
    incoming.put(0..n, values(&qkv));
    let attended = attention.forward(incoming);
    let mut y = vec![0.0; n * triple / 3];
    attention.write(&mut y, 0..n, &attended);
    let y = tokens(y, n, triple / 3);
    if T::OWNS_TAPE {
        let (qkv, result) = (qkv.ghost(), y.ghost());
        tape.add_backward_op(move |grads| {
            let dy = take(grads.get_or_alloc_mut(&result)?);
            let mut dqkv = vec![0.0; n * triple];
            attention.backward(attended, dy).write(&mut dqkv, &(0..n));
            rows::add_on_all_threads(grads.get_or_alloc_mut(&qkv)?, &dqkv);
            Ok(())
        });
    }
    y.put_tape(tape)
}

/// A worker's attention on plain rows.
pub(crate) struct Attention {
    turns: Turns,
    rope: RopeTable,
}

/// What its backward pass needs of the forward pass.
pub(in crate::ops) struct Attended {
    /// (token, d) of each head, as they are packed.
    queries: Vec<Vec<f32>>,
    /// Its own keys and values.
    own: Vec<Packet>,
    /// L, head after head.
    log_sum_exp: Vec<f32>,
    /// O: (sequence, head, token, d).
    out: Vec<f32>,
}

impl Attention {
    /// Of tokens that are `width` wide; all else as [`ring_attention`].
    pub(crate) fn new(
        party: &SequenceRing,
        scope: &Scope,
        heads: usize,
        width: usize,
        rope: &RopeTable,
        precision: Precision,
    ) -> Self {
        assert!(width.is_multiple_of(heads), "{heads} heads do not divide {width}");
        Self { turns: Turns::new(party, scope, heads, width / heads, precision), rope: rope.clone() }
    }

    fn sizes(&self) -> Heads {
        self.turns.sweep.sizes
    }

    /// Of whole sequences, whoever has their rows.
    pub(in crate::ops) fn tokens_per_sequence(&self) -> usize {
        self.turns.sweep.scope.layout.tokens_per_sequence()
    }

    /// Where rows (q | k | v) are put that it is to be for.
    pub(in crate::ops) fn incoming(&self) -> Incoming {
        Incoming::new(self.sizes(), self.turns.sweep.packing, self.turns.sweep.rows(), &self.rope)
    }

    pub(in crate::ops) fn forward(&self, incoming: Incoming) -> Attended {
        let (queries, pairs) = incoming.into_heads();
        let own: Vec<Packet> = pairs.into_iter().map(Arc::new).collect();
        let running = self.turns.forward(&queries, own.clone()).unwrap_or_else(|lost| lost.unwind());
        let Running { out, maxima: log_sum_exp, .. } = running;
        Attended { queries, own, log_sum_exp, out }
    }

    /// Rows of its result, (rows, width).
    pub(in crate::ops) fn write(&self, y: &mut [f32], rows: Range<usize>, attended: &Attended) {
        self.sizes().merge(y, &rows, &attended.out);
    }

    /// The gradient of what was put in, from that of the result (n, width).
    pub(in crate::ops) fn backward(&self, attended: Attended, dy: Vec<f32>) -> QkvGradient {
        let Attended { queries, own, log_sum_exp, out } = attended;
        let finished = Finished { pulls: self.sizes().pulls(&out, &dy), queries, log_sum_exp, dy };
        // Gradients have its room.
        drop(out);
        let (dq, dpairs) = match self.turns.steps() {
            1 => self.turns.backward_alone(finished, own),
            _ => self.turns.backward(&finished, own).unwrap_or_else(|lost| lost.unwind()),
        };
        QkvGradient::new(self.sizes(), dq, dpairs, &self.rope)
    }
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

/// Keys and values of a span, (k|v, token, d) of each head as they are packed, while they are at this worker.
struct Passing {
    span: Span,
    pairs: Packet,
}

/// Gradients of keys and values of one span: (k|v, token, d) of each head.
type PairGradient = Vec<Vec<f32>>;

/// The gradients of a worker's queries, (token, d) of each head, and of its own keys and values by their rows.
type QkvParts = (Vec<Vec<f32>>, Vec<(Range<usize>, PairGradient)>);

impl Turns {
    fn new(party: &SequenceRing, scope: &Scope, heads: usize, dim: usize, precision: Precision) -> Self {
        let (slices, rank) = (&party.slices, party.ring.rank());
        assert_eq!(slices.tokens(), scope.layout.tokens_per_sequence(), "the slices are of another sequence");
        assert_eq!(slices.workers(), party.ring.size(), "the slices are of another ring");
        let spans = slices.spans(rank).to_vec();
        let length = spans.iter().map(Range::len).sum();
        let sizes = Heads { sequences: scope.layout.sequences, heads, length, dim };
        Self {
            party: party.clone(),
            sweep: Sweep { scope: scope.clone(), sizes, packing: Packing::new(dim, precision), spans },
        }
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
            self.receive_keys(step + 1)?;
            let is_last = step + 1 == self.steps();
            let read: Vec<_> = read(&held).collect();
            let packing = self.sweep.packing;
            let runs = |index| read.iter().map(move |pairs: &Pairs<'_>| pairs.run(index, packing));
            self.computing(&mut trace, || ((), self.sweep.forward(&mut running, runs, is_last)));
            held = self.next(step, &mut trace)?;
            self.record(|all| all.forward(step).add(&trace));
        }
        Ok(running)
    }

    fn backward(&self, finished: &Finished, own: Vec<Packet>) -> Result<QkvParts, RingError> {
        let mut dq = self.zero_queries(self.sweep.sizes.all());
        let mut own_gradients = Vec::new();
        let mut held = self.own(own);
        for step in 0..self.steps() {
            let mut trace = StepTrace::default();
            self.pass_on(step, &held, &mut trace)?;
            // In the order in which the worker before sends them.
            self.receive_gradients(step)?;
            self.receive_keys(step + 1)?;
            let read: Vec<_> = read(&held).collect();
            let found = self.computing(&mut trace, || self.sweep.backward(finished, &read, 0, &mut dq));
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

    /// [`backward`](Self::backward) of a ring of one worker, some heads after the others: their queries, keys and values go
    /// when their gradients have come.
    fn backward_alone(&self, mut finished: Finished, mut own: Vec<Packet>) -> QkvParts {
        let all = self.sweep.sizes.all();
        // Few enough to save memory, enough to keep every core at work.
        let together = all.div_ceil(4).max(rayon::current_num_threads());
        let (mut dq, mut trace) = (Vec::new(), StepTrace::default());
        let mut found: Vec<PairGradient> = own.iter().map(|_| Vec::with_capacity(all)).collect();
        for first in (0..all).step_by(together) {
            let heads = first..all.min(first + together);
            let pairs_of = |(span, pairs)| Pairs { span, values: Packet::as_ref(pairs) };
            let read: Vec<_> = self.sweep.spans.iter().zip(&own).map(pairs_of).collect();
            let mut dq_of = self.zero_queries(heads.len());
            let found_of = self.computing(&mut trace, || self.sweep.backward(&finished, &read, first, &mut dq_of));
            dq.append(&mut dq_of);
            found.iter_mut().zip(found_of).for_each(|(found, mut of_heads)| found.append(&mut of_heads));
            for index in heads {
                finished.queries[index] = Vec::new();
                own.iter_mut().for_each(|pairs| Arc::get_mut(pairs).expect("nobody else has them")[index] = Vec::new());
            }
        }
        self.record(|all| all.backward(0).add(&trace));
        (dq, self.sweep.rows().into_iter().zip(found).collect())
    }

    /// Room for the gradients of so many heads' queries.
    fn zero_queries(&self, heads: usize) -> Vec<Vec<f32>> {
        let Heads { length, dim, .. } = self.sweep.sizes;
        (0..heads).into_par_iter().map(|_| vec![0.0; length * dim]).collect()
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
        self.receive_gradients(size)?;
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

    fn receive_keys(&self, step: usize) -> Result<(), RingError> {
        let spans = self.spans(step).filter(|span| span.comes_at(step));
        self.receive(spans, self.sweep.packing.lanes())
    }

    fn receive_gradients(&self, step: usize) -> Result<(), RingError> {
        let spans = self.spans(step).filter(|span| span.has_gradient_at(step));
        self.receive(spans, self.sweep.sizes.dim)
    }

    /// Packets of two rows a token, of so many numbers each.
    fn receive(&self, mut spans: impl Iterator<Item = Span>, numbers: usize) -> Result<(), RingError> {
        let heads = self.sweep.sizes.all();
        spans.try_for_each(|span| self.party.ring.receive(heads, 2 * span.positions.len() * numbers))
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
