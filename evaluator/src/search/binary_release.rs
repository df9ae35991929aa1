//! The bisection of the released ElasticTok code, as it is: for comparisons with its numbers only.
//!
//! It differs from [`Binary`](super::Binary) in three ways (`low` and `high` are named here by what they do): it answers
//! the last count it tried, whether or not that met the threshold; it calls a distortion equal to the threshold a miss;
//! and its mask keeps `arange <= n`, one token more than the n it reports, so that the fewest tokens are never tried.
use engine::TokenRange;

use super::parse::no_arguments;
use super::{Form, Found, Probe, Question, SearchError, SearchStrategy};

pub(super) const FORM: Form = Form {
    syntax: "binary-release",
    example: "binary-release",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(BinaryRelease))
    },
};

/// The release's bisection. Counts are of tokens really kept, one more than the release reports.
#[derive(Clone, Copy, Debug)]
pub struct BinaryRelease;

impl SearchStrategy for BinaryRelease {
    fn name(&self) -> String {
        "binary-release".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        "None: the last count tried, which misses the threshold about every other time."
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        range.len().ilog2() as usize + 1
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let range = probe.range();
        let kept = |reported: usize| (reported + 1).min(range.max());
        let (mut low, mut high) = (range.min(), range.max() + 1);
        let (mut last, mut any_met) = (range.max(), false);
        loop {
            let middle = low.midpoint(high);
            if middle == low {
                break;
            }
            last = middle;
            if probe.distortion(kept(middle))? < question.threshold {
                (high, any_met) = (middle, true);
            } else {
                low = middle;
            }
        }
        let kept_tokens = if any_met { kept(last) } else { range.max() };
        Ok(Found { kept_tokens, met: None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Curve, range};
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(serde::Deserialize)]
    struct Reference {
        runs: Vec<Run>,
    }

    /// One run of the reference over a batch of sequences; `[batch]` or `[batch][block]` values.
    #[derive(serde::Deserialize)]
    struct Run {
        threshold: f64,
        kept: Vec<Vec<usize>>,
        probes: Vec<ReferenceProbe>,
    }

    #[derive(serde::Deserialize)]
    struct ReferenceProbe {
        block: usize,
        kept: Vec<usize>,
        loss: Vec<f64>,
    }

    /// The reference searches a batch until its slowest sequence is done; meanwhile a finished one goes on asking, without
    /// effect on its answer.
    #[test]
    fn it_asks_and_answers_what_the_release_does() {
        let mut searches = 0;
        for name in ["fsq_image", "fsq_video", "vae_image", "vae_video"] {
            let path = format!("{}/../tests/fixtures/reference/{name}/search.json", env!("CARGO_MANIFEST_DIR"));
            let Reference { runs } = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            for run in runs {
                for block in 0..run.kept[0].len() {
                    let slowest = (0..run.kept.len()).map(|sequence| {
                        searches += 1;
                        follow(name, &run, sequence, block)
                    });
                    assert_eq!(slowest.min(), Some(0), "{name} τ = {} block {block}", run.threshold);
                }
            }
        }
        assert_eq!(searches, SEARCHES);
    }

    /// 5 thresholds × 2 sequences × (1 + 4 + 1 + 4) blocks.
    const SEARCHES: usize = 100;

    /// Repeats one search of the reference; how many questions that one asked beyond its end.
    fn follow(name: &str, run: &Run, sequence: usize, block: usize) -> usize {
        let of_block: Vec<&ReferenceProbe> = run.probes.iter().filter(|probe| probe.block == block).collect();
        let losses: BTreeMap<usize, f64> =
            of_block.iter().map(|probe| (probe.kept[sequence], probe.loss[sequence])).collect();
        // The last pass only fixes the block; a count asked again costs us nothing.
        let mut seen = BTreeSet::new();
        let asked = of_block[..of_block.len() - 1].iter().map(|probe| probe.kept[sequence]);
        let asked: Vec<usize> = asked.filter(|count| seen.insert(*count)).collect();
        let max = if name.ends_with("image") { 64 } else { 32 };
        let mut source = Curve(|count: usize| losses[&count]);
        let mut probe = Probe::new(&mut source, range(4, max));
        let found = BinaryRelease.search(&Question::new(run.threshold), &mut probe).unwrap();
        let trace: Vec<usize> = probe.trace().iter().map(|(count, _)| *count).collect();
        assert!(asked.starts_with(&trace), "{name} τ = {}: {trace:?}, the release {asked:?}", run.threshold);
        assert_eq!(found.kept_tokens, run.kept[sequence][block], "{name} τ = {}", run.threshold);
        asked.len() - trace.len()
    }
}
