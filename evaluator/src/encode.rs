//! Encoding a picture or a clip block by block, each with as many tokens as a person or a search says.

use crate::error::Result;
use crate::experiment::Criterion;
use crate::metric;
use crate::search::{Cost, Probe, Question, SearchStrategy, meets};
use crate::sweep::live::{Live, flops};
use engine::{BlockSequence, BlockTokens, ElasticTok, Encoding, ModelConfig, TokenRange};

/// How many tokens each block keeps.
#[derive(Debug)]
pub enum Budget {
    /// So many.
    Tokens(usize),
    /// The fewest that a search finds to reconstruct the block within a threshold.
    Search {
        /// How to search. One that asks a predictor cannot be used here.
        strategy: Box<dyn SearchStrategy>,
        /// The largest acceptable mean squared error in [−1, 1] after clipping.
        threshold: f64,
        /// The counts it may choose.
        range: TokenRange,
    },
}

/// One block, encoded.
#[derive(Clone, Debug)]
pub struct EncodedBlock {
    /// What a decoder needs.
    pub tokens: BlockTokens,
    /// What a decoder will make of it: patches in (−1, 1).
    pub reconstruction: Vec<f32>,
    /// Mean squared error of the reconstruction in [−1, 1] after clipping.
    pub distortion: f64,
    /// Whether the reconstruction is within the threshold, if there is one.
    pub threshold_met: Option<bool>,
    /// Encoder and decoder passes that the search asked for.
    pub evaluations: usize,
}

/// What a search found for a block, and what it cost.
#[derive(Clone, Debug)]
pub struct Searched {
    /// The count it chose.
    pub kept_tokens: usize,
    /// Every count it asked for with its distortion, in the order asked.
    pub trace: Vec<(usize, f64)>,
    /// What it spent.
    pub cost: Cost,
}

/// When the encoder of a model has to run: one that is not told how many tokens are kept gives the same tokens for every
/// count.
pub fn encoding(model: &ModelConfig) -> Encoding {
    if model.mask_conditioning { Encoding::PerCount } else { Encoding::Once }
}

/// Encodes the blocks of one sequence, one after another.
pub struct Encoder<'m> {
    model: &'m ElasticTok,
    sequence: BlockSequence<'m>,
    encoding: Encoding,
    window: usize,
    budget: &'m Budget,
}

impl<'m> Encoder<'m> {
    /// Nothing encoded yet. Each block will see at most `window` blocks before it.
    ///
    /// # Panics
    /// If the budget's search asks a predictor.
    pub fn new(model: &'m ElasticTok, window: usize, budget: &'m Budget) -> Self {
        if let Budget::Search { strategy, .. } = budget {
            assert!(strategy.asks().is_none(), "there is no predictor for {}", strategy.name());
        }
        let encoding = encoding(model.config());
        Self { model, sequence: BlockSequence::with_window(model, encoding, window), encoding, window, budget }
    }

    /// Encodes the next block, given as patches.
    ///
    /// # Errors
    /// A search that fails, or a model whose reconstruction is not finite.
    pub fn encode(&mut self, block: &[f32]) -> Result<EncodedBlock> {
        let (kept_tokens, evaluations) = match self.budget {
            Budget::Tokens(kept_tokens) => (*kept_tokens, 0),
            Budget::Search { strategy, threshold, range } => {
                let Searched { kept_tokens, cost, .. } = self.search(block, strategy.as_ref(), *threshold, *range)?;
                (kept_tokens, cost.evaluations.decoder)
            }
        };
        let committed = self.sequence.commit(block, kept_tokens);
        let tokens = BlockTokens::of(&committed, kept_tokens);
        let distortion = metric::mse(block, &committed.reconstruction);
        let threshold_met = match self.budget {
            Budget::Tokens(_) => None,
            Budget::Search { threshold, .. } => Some(meets(distortion, *threshold)),
        };
        Ok(EncodedBlock { tokens, reconstruction: committed.reconstruction, distortion, threshold_met, evaluations })
    }

    /// Searches the next block, given as patches, whatever the budget says, and fixes nothing.
    ///
    /// # Errors
    /// A model whose reconstruction is not finite.
    ///
    /// # Panics
    /// If the strategy asks a predictor.
    pub fn search(
        &self,
        block: &[f32],
        strategy: &dyn SearchStrategy,
        threshold: f64,
        range: TokenRange,
    ) -> Result<Searched> {
        let history = self.sequence.history();
        let (config, next) = (self.model.config(), self.sequence.next(block));
        let mut live = Live {
            next: &next,
            block,
            shape: config.block,
            criterion: Criterion::Mse,
            encoding: self.encoding,
            flops: flops(config, history.len().min(self.window)),
            seconds: 0.0,
        };
        let mut probe = Probe::new(&mut live, range);
        let question = Question { previous: history.last().copied(), ..Question::new(threshold) };
        let found = strategy.search(&question, &mut probe)?;
        Ok(Searched { kept_tokens: found.kept_tokens, trace: probe.trace().to_vec(), cost: probe.cost() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::parse;
    use engine::{BlockShape, Bottleneck, ModelConfig, reconstruct_from_tokens};

    fn model(mask_conditioning: bool) -> ElasticTok {
        let config = ModelConfig {
            width: 16,
            hidden: 24,
            heads: 2,
            encoder_layers: 1,
            decoder_layers: 1,
            rope_theta: 1e4,
            norm_epsilon: 1e-5,
            init_std: 0.2,
            mask_conditioning,
            precision: engine::Precision::F32,
            block: BlockShape::new(1, 8, 8, [1, 2, 2]).unwrap(),
            bottleneck: Bottleneck::Fsq { levels: vec![8, 5, 5] },
        };
        ElasticTok::new(config, 1).unwrap()
    }

    fn block(seed: usize) -> Vec<f32> {
        (0..192).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.5 - 1.0).collect()
    }

    #[test]
    fn a_search_keeps_the_fewest_tokens_and_a_decoder_sees_the_same() {
        for mask_conditioning in [true, false] {
            let model = model(mask_conditioning);
            // Between what few and what all tokens reach, so that there is something to find.
            let sequence = BlockSequence::new(&model, Encoding::PerCount);
            let all: Vec<usize> = (1..=16).collect();
            let distortions: Vec<f64> =
                sequence.next(&block(0)).reconstruct(&all).iter().map(|r| metric::mse(&block(0), r)).collect();
            let threshold = distortions.iter().copied().fold(0.0, f64::max) * 0.5
                + distortions.iter().copied().fold(f64::INFINITY, f64::min) * 0.5;
            let fewest = 1 + distortions.iter().position(|distortion| *distortion <= threshold).unwrap();

            let range = TokenRange::new(1, 16).unwrap();
            let budget = Budget::Search { strategy: parse("full").unwrap(), threshold, range };
            let mut encoder = Encoder::new(&model, usize::MAX, &budget);
            let encoded = [encoder.encode(&block(0)).unwrap(), encoder.encode(&block(1)).unwrap()];
            assert_eq!((encoded[0].tokens.kept_tokens, encoded[0].threshold_met), (fewest, Some(true)));
            assert_eq!(encoded[0].evaluations, 16);
            let tokens = encoded.each_ref().map(|block| block.tokens.clone());
            let decoded = reconstruct_from_tokens(&model, usize::MAX, &tokens).unwrap();
            assert_eq!(decoded, encoded.map(|block| block.reconstruction));
        }
    }

    #[test]
    fn a_given_count_is_kept_and_costs_no_search() {
        let model = model(true);
        let budget = Budget::Tokens(5);
        let encoded = Encoder::new(&model, usize::MAX, &budget).encode(&block(0)).unwrap();
        assert_eq!((encoded.tokens.kept_tokens, encoded.threshold_met, encoded.evaluations), (5, None, 0));
    }
}
