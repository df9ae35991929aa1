//! `encode`: a picture or a video into a token file.

use crate::cli::{Cli, Encode, Input, TokenBudget};
use crate::console::{Console, bytes, print, write_file};
use crate::frames::{self, Frames, describe};
use crate::run::use_threads;
use anyhow::{Context as _, Result, bail};
use engine::data::to_block;
use engine::model::{ModelInfo, load_model};
use engine::token_file::{Header, Search};
use engine::{BlockShape, ElasticTok, TokenFile, TokenRange};
use evaluator::encode::{Budget, EncodedBlock, Encoder};
use evaluator::sweep::Progress as _;

pub(crate) fn encode(cli: &Cli, command: &Encode) -> Result<()> {
    if !command.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("etok")) {
        bail!("cannot write {}: a token file's name ends in .etok", command.output.display());
    }
    let asked = Asked::read(cli, &command.input, &command.budget)?;
    let encoded = asked.encode(cli)?;
    let search = match &asked.budget {
        Budget::Tokens(_) => None,
        Budget::Search { strategy, threshold, .. } => Some(Search { strategy: strategy.name(), threshold: *threshold }),
    };
    let header = Header {
        model: asked.model.config().clone(),
        weights_hash: asked.info.weights_hash,
        source: asked.input.source.clone(),
        fit: asked.input.fit,
        window: command.input.window,
        search,
    };
    let blocks = encoded.iter().map(|block| block.tokens.clone()).collect();
    let file = TokenFile::new(header, blocks).context("the model makes tokens that cannot be stored")?;
    let written = file.write();
    write_file(&command.output, &written)?;
    let bits = file.token_bits();
    let pixels = (asked.shape().width * asked.shape().height * asked.input.frames.len()) as f64;
    print(&format!(
        "{}{}: {bits} bits of tokens, {:.4} bits a pixel; {} with header and checksums\n",
        asked.summary(&encoded),
        command.output.display(),
        bits as f64 / pixels,
        bytes(written.len() as u64)
    ))
}

/// A model, and what it is asked to encode.
pub(crate) struct Asked {
    pub(crate) model: ElasticTok,
    info: ModelInfo,
    pub(crate) input: Frames,
    window: usize,
    budget: Budget,
}

impl Asked {
    pub(crate) fn read(cli: &Cli, input: &Input, budget: &TokenBudget) -> Result<Self> {
        use_threads(cli)?;
        if let Some(rate) = input.fps.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            bail!("--fps {rate}: need a positive number of frames a second");
        }
        let (model, info) = load_model(&input.checkpoint)?;
        let budget = read_budget(budget, &model)?;
        let read = frames::read(&input.file, model.config().block, input.fps)?;
        Ok(Self { model, info, input: read, window: input.window.unwrap_or(usize::MAX), budget })
    }

    pub(crate) fn shape(&self) -> BlockShape {
        self.model.config().block
    }

    /// Encodes every block, showing progress, and warns of those that no count brought within the threshold.
    pub(crate) fn encode(&self, cli: &Cli) -> Result<Vec<EncodedBlock>> {
        let (console, shape) = (Console::new(cli), self.shape());
        let mut encoder = Encoder::new(&self.model, self.window, &self.budget);
        let mut encoded = Vec::new();
        console.begin("encoding", 0, self.input.frames.len().div_ceil(shape.frames) as u64);
        for frames in self.input.frames.chunks(shape.frames) {
            encoded.push(encoder.encode(&to_block(frames, shape))?);
            console.advance(encoded.len() as u64, "");
        }
        console.end();
        let mut above = encoded.iter().enumerate().filter(|(_, block)| block.threshold_met == Some(false));
        if let Some((first, EncodedBlock { distortion, tokens, .. })) = above.next() {
            eprintln!(
                "warning: {} of {} blocks are above the threshold, the first is block {first}: mean squared error \
                 {distortion:.3e} with {} tokens",
                above.count() + 1,
                encoded.len(),
                tokens.kept_tokens
            );
        }
        Ok(encoded)
    }

    /// What was encoded, how many tokens that took and how far it is from the original.
    pub(crate) fn summary(&self, encoded: &[EncodedBlock]) -> String {
        let (source, fit) = (&self.input.source, self.input.fit);
        let mut text = format!("{}: {}\n", source.name, describe(source, fit, self.shape()));
        let (blocks, all) = (encoded.len(), encoded.len() * self.shape().tokens());
        let kept: usize = encoded.iter().map(|block| block.tokens.kept_tokens).sum();
        let distortion = encoded.iter().map(|block| block.distortion).sum::<f64>() / blocks as f64;
        // Peak 2 in [−1, 1].
        let psnr = 10.0 * (4.0 / distortion).log10();
        let noun = if blocks == 1 { "block" } else { "blocks" };
        let mut line = |line: String| text.push_str(&(line + "\n"));
        line(format!("{kept} of {all} tokens in {blocks} {noun}"));
        line(format!("mean squared error {distortion:.3e} in [−1, 1], {psnr:.2} dB, before rounding to 8 bits"));
        if let Budget::Search { strategy, threshold, .. } = &self.budget {
            let met = encoded.iter().filter(|block| block.threshold_met == Some(true)).count();
            let evaluations: usize = encoded.iter().map(|block| block.evaluations).sum();
            let strategy = strategy.name();
            line(format!("{strategy}: threshold {threshold} met by {met} of {blocks}, {evaluations} evaluations"));
        }
        text
    }
}

/// What was typed, for this model.
fn read_budget(budget: &TokenBudget, model: &ElasticTok) -> Result<Budget> {
    let all = model.config().block.tokens();
    if let Some(tokens) = budget.tokens {
        if !(1..=all).contains(&tokens) {
            bail!("--tokens {tokens}: a block of this model has 1 to {all}");
        }
        return Ok(Budget::Tokens(tokens));
    }
    let threshold = budget.threshold.context("give --threshold or --tokens")?;
    if !(threshold.is_finite() && threshold > 0.0) {
        bail!("--threshold {threshold}: need a positive mean squared error, like 0.003");
    }
    let strategy = evaluator::search::parse(&budget.search)?;
    if strategy.asks().is_some() {
        bail!("--search {}: it asks a predictor, which only an experiment trains; take binary", budget.search);
    }
    let range = TokenRange::new(budget.min_tokens, all).context("--min-tokens")?;
    Ok(Budget::Search { strategy, threshold, range })
}
