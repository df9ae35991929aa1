//! The curves that searches are replayed from: those of clips are measured as searches get to their blocks.

use super::curves::{Behind, Curves, curve, history};
use super::evaluate::Place;
use super::training::Trained;
use crate::error::Result;
use crate::store::{CurvePoint, NewCurve, ProtocolId};
use engine::TokenRange;
use std::cell::RefCell;
use std::time::Instant;

/// One model's curves, of blocks behind whatever the searches kept before them.
pub(super) struct BlockCurves<'a> {
    trained: &'a Trained,
    range: TokenRange,
    protocol: ProtocolId,
    known: RefCell<Curves>,
    unsaved: RefCell<Vec<NewCurve>>,
}

impl<'a> BlockCurves<'a> {
    pub(super) fn new(known: Curves, trained: &'a Trained, range: TokenRange, protocol: ProtocolId) -> Self {
        Self { trained, range, protocol, known: known.into(), unsaved: RefCell::default() }
    }

    /// The curve of a block behind the fixed ones at every count, measured now if it is not known.
    pub(super) fn of(&self, place: &Place<'_>) -> Result<Vec<CurvePoint>> {
        let behind: Behind = (place.sample.id, place.history.to_vec());
        let known = self.known.borrow().get(&behind).filter(|points| points.len() == self.range.len()).cloned();
        if let Some(points) = known {
            return Ok(points);
        }
        let (began, shape) = (Instant::now(), self.trained.model.config().block);
        let counts: Vec<usize> = self.range.counts().collect();
        let points = curve(&place.next, place.block(), shape, &counts)?;
        self.unsaved.borrow_mut().push(NewCurve {
            weights: self.trained.weights,
            sample: place.sample.id,
            block: place.number() as u32,
            history: history(place.history),
            protocol: self.protocol,
            seconds: began.elapsed().as_secs_f64(),
            points: points.clone(),
        });
        self.known.borrow_mut().insert(behind, points.clone());
        Ok(points)
    }

    /// Those that are known, and how they were measured.
    pub(super) fn known(&self) -> (Curves, ProtocolId) {
        (self.known.borrow().clone(), self.protocol)
    }

    /// What was measured since this was last asked.
    pub(super) fn take_unsaved(&self) -> Vec<NewCurve> {
        self.unsaved.take()
    }
}
