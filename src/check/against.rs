//! Two programs run the same experiment in turn, so that whatever else the machine does falls on both.

use super::Unusable;
use super::evaluation::Evaluation;
use super::process::{costs, this_program};
use crate::console::Console;
use anyhow::Result;
use evaluator::gate::{Finding, Kind, Pair, enough_pairs};
use evaluator::sweep::Progress as _;
use std::path::{Path, PathBuf};

/// Another program to compare costs with.
pub(super) struct Against<'a> {
    other: PathBuf,
    this: PathBuf,
    evaluation: &'a Evaluation<'a>,
    pairs: u16,
    /// Whether the number of pairs was asked for.
    is_asked: bool,
}

/// Pairs where nobody asks for another number.
const PAIRS: u16 = 10;

impl<'a> Against<'a> {
    pub(super) fn new(binary: &Path, evaluation: &'a Evaluation<'a>, pairs: Option<u16>) -> Result<Self> {
        let other =
            binary.canonicalize().map_err(|error| Unusable(format!("--against {}: {error}", binary.display())))?;
        let is_asked = pairs.is_some();
        Ok(Self { other, this: this_program()?, evaluation, pairs: pairs.unwrap_or(PAIRS), is_asked })
    }

    /// Makes more pairs, unless their number was asked for, if a cost could not be told from chance with fewer: among the
    /// comparisons of `findings` and those of costs.
    pub(super) fn tell_from_chance(&mut self, findings: &[Finding]) {
        let costs = findings.iter().filter(|finding| finding.kind == Kind::Noisy).count();
        let others = findings.iter().filter(|finding| finding.p_value.is_some()).count();
        if !self.is_asked {
            self.pairs = self.pairs.max(u16::try_from(enough_pairs(costs + others)).unwrap_or(u16::MAX));
        }
    }

    /// Runs both programs with these seeds. Which of a pair is the first alternates, so that one that leaves the machine
    /// warmer has no advantage from it.
    pub(super) fn pairs(&self, seeds: &[u64]) -> Result<Vec<Pair>> {
        let console = Console::new(self.evaluation.cli);
        console.begin("both programs in turn", 0, self.pairs.into());
        let pairs = (0..self.pairs).map(|number| {
            let pair = if number % 2 == 0 {
                let before = costs(&self.other, self.evaluation, seeds)?;
                Pair { before, after: costs(&self.this, self.evaluation, seeds)? }
            } else {
                let after = costs(&self.this, self.evaluation, seeds)?;
                Pair { before: costs(&self.other, self.evaluation, seeds)?, after }
            };
            console.advance(u64::from(number) + 1, "");
            Ok(pair)
        });
        let pairs = pairs.collect();
        console.end();
        pairs
    }
}
