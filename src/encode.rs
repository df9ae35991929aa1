//! `encode`: a picture, a video, or a folder of them into token files.

mod folder;

pub(crate) use folder::encode_folder;

use crate::cli::{Cli, Encode, Encoding};
use crate::console::{Console, bytes, print, write_file};
use crate::frames::{Frames, describe};
use crate::run::use_threads;
use anyhow::{Context as _, Result, bail};
use engine::data::{Fit, to_block};
use engine::model::{ModelInfo, load_model};
use engine::ring::Mesh;
use engine::token_file::{Header, Search, Source};
use engine::{BlockShape, BlockTokens, ElasticTok, SharedSequences, TokenFile, TokenRange};
use evaluator::encode::{Budget, Encoder};
use evaluator::metric;
use evaluator::sweep::Progress as _;
use std::path::Path;

pub(crate) fn encode(cli: &Cli, command: &Encode) -> Result<()> {
    if command.input.is_dir() {
        if command.shared.mesh != Mesh::ONE {
            bail!(
                "--mesh {}: the files of a folder are encoded several at once already: leave it out",
                command.shared.mesh
            );
        }
        let tokenizer = Tokenizer::read(cli, &command.checkpoint, &command.encoding)?;
        let done = encode_folder(cli, &tokenizer, &command.input, &command.output)?;
        return print(&format!("{}: {done}\n", command.output.display()));
    }
    if !command.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("etok")) {
        bail!("cannot write {}: a token file's name ends in .etok", command.output.display());
    }
    let tokenizer = Tokenizer::read(cli, &command.checkpoint, &command.encoding)?.shared_by(command.shared.mesh)?;
    let encoded = tokenizer.encode_showing(cli, tokenizer.frames(&command.input)?)?;
    let file = tokenizer.token_file(&encoded)?;
    let written = file.write();
    write_file(&command.output, &written)?;
    let bits = file.token_bits();
    let pixels = (tokenizer.shape().width * tokenizer.shape().height * encoded.source.frames) as f64;
    print(&format!(
        "{}{}: {bits} bits of tokens, {:.4} bits a pixel; {} with header and checksums\n",
        tokenizer.summary(&encoded),
        command.output.display(),
        bits as f64 / pixels,
        bytes(written.len() as u64)
    ))
}

/// A model, and how it is asked to encode.
pub(crate) struct Tokenizer {
    pub(crate) model: ElasticTok,
    info: ModelInfo,
    frames_per_second: Option<f64>,
    pub(crate) window: Option<usize>,
    budget: Budget,
    mesh: Mesh,
}

/// What became of a picture or a clip.
pub(crate) struct Encoded {
    pub(crate) source: Source,
    pub(crate) fit: Fit,
    pub(crate) tokens: Vec<BlockTokens>,
    /// Mean squared error of each block.
    distortions: Vec<f64>,
    /// Blocks within the threshold, if there is one.
    met: Option<usize>,
    /// The first block above it.
    above: Option<usize>,
    evaluations: usize,
}

impl Tokenizer {
    pub(crate) fn read(cli: &Cli, checkpoint: &Path, encoding: &Encoding) -> Result<Self> {
        use_threads(cli)?;
        if let Some(rate) = encoding.fps.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            bail!("--fps {rate}: need a positive number of frames a second");
        }
        let (model, info) = load_model(checkpoint)?;
        let budget = read_budget(encoding, &model)?;
        let mesh = Mesh::ONE;
        Ok(Self { model, info, frames_per_second: encoding.fps, window: encoding.window, budget, mesh })
    }

    /// The same, its sequences cut among the workers of a mesh.
    ///
    /// # Errors
    /// Where blocks do not see all before them, or are searched: one is fixed then before the next is looked at.
    pub(crate) fn shared_by(self, mesh: Mesh) -> Result<Self> {
        match (&self.budget, self.window) {
            _ if mesh == Mesh::ONE => {}
            (_, Some(window)) => {
                bail!("--mesh {mesh}: its workers let a block see all before it, not --window {window}")
            }
            (Budget::Search { .. }, _) => {
                bail!("--mesh {mesh}: a search fixes one block after another: give --tokens, or leave it out")
            }
            (Budget::Tokens(_), None) => {}
        }
        Ok(Self { mesh, ..self })
    }

    pub(crate) fn shape(&self) -> BlockShape {
        self.model.config().block
    }

    pub(crate) fn frames(&self, path: &Path) -> Result<Frames> {
        Frames::open(path, self.shape(), self.frames_per_second)
    }

    /// Encodes all blocks at once by the workers of its mesh, with so many tokens each.
    fn encode_at_once(&self, mut frames: Frames, kept_tokens: usize) -> Result<Encoded> {
        let (shape, fit) = (self.shape(), frames.fit);
        let (mut patches, mut count) = (Vec::new(), 0);
        loop {
            let pictures = frames.next_block(shape.frames)?;
            if pictures.is_empty() {
                break;
            }
            count += pictures.len();
            patches.extend(to_block(&pictures, shape));
        }
        let source = frames.source(count)?;
        let workers = SharedSequences::new(&self.model, self.mesh)?;
        let blocks = || patches.chunks(shape.values());
        let tokens = workers.encode(&patches, &vec![kept_tokens; blocks().len()])?;
        let made = workers.decode(&tokens)?;
        let distortions = blocks().zip(&made).map(|(block, made)| metric::mse(block, made)).collect();
        Ok(Encoded { source, fit, tokens, distortions, met: None, above: None, evaluations: 0 })
    }

    /// Encodes block by block; of the frames, no more than a block is held. `told` is how many blocks are done.
    fn encode(&self, mut frames: Frames, told: impl Fn(usize)) -> Result<Encoded> {
        if let (Budget::Tokens(kept_tokens), true) = (&self.budget, self.mesh != Mesh::ONE) {
            return self.encode_at_once(frames, *kept_tokens);
        }
        let (shape, fit) = (self.shape(), frames.fit);
        let mut encoder = Encoder::new(&self.model, self.window.unwrap_or(usize::MAX), &self.budget);
        let (mut tokens, mut distortions, mut count) = (Vec::new(), Vec::new(), 0);
        let (mut met, mut above, mut evaluations) = (None, None, 0);
        loop {
            let pictures = frames.next_block(shape.frames)?;
            if pictures.is_empty() {
                break;
            }
            count += pictures.len();
            let block = encoder.encode(&to_block(&pictures, shape))?;
            if let Some(is_met) = block.threshold_met {
                *met.get_or_insert(0) += usize::from(is_met);
                above = above.or((!is_met).then_some(tokens.len()));
            }
            evaluations += block.evaluations;
            distortions.push(block.distortion);
            tokens.push(block.tokens);
            told(tokens.len());
        }
        Ok(Encoded { source: frames.source(count)?, fit, tokens, distortions, met, above, evaluations })
    }

    /// The same with a bar, and a warning if blocks are above the threshold.
    pub(crate) fn encode_showing(&self, cli: &Cli, frames: Frames) -> Result<Encoded> {
        let console = Console::new(cli);
        console.begin("encoding", 0, frames.expected.div_ceil(self.shape().frames) as u64);
        let encoded = self.encode(frames, |done| console.advance(done as u64, ""))?;
        console.end();
        if let (Some(first), Some(met)) = (encoded.above, encoded.met) {
            let (all, kept) = (encoded.tokens.len(), encoded.tokens[first].kept_tokens);
            let (above, distortion) = (all - met, encoded.distortions[first]);
            eprintln!(
                "warning: {above} of {all} blocks are above the threshold, the first is block {first}: mean squared error \
                 {distortion:.3e} with {kept} tokens"
            );
        }
        Ok(encoded)
    }

    /// The header of a token file of `source`.
    fn header(&self, source: Source, fit: Fit) -> Header {
        let search = match &self.budget {
            Budget::Tokens(_) => None,
            Budget::Search { strategy, threshold, .. } => {
                Some(Search { strategy: strategy.name(), threshold: *threshold })
            }
        };
        let (model, weights_hash, window) = (self.model.config().clone(), self.info.weights_hash, self.window);
        Header { model, weights_hash, source, fit, window, search }
    }

    /// Whether a token file is what encoding its source would give now.
    fn made(&self, file: &TokenFile) -> bool {
        let Header { source, fit, .. } = file.header();
        let kept = |tokens: usize| file.blocks().iter().all(|block| block.kept_tokens == tokens);
        let rate = match self.frames_per_second {
            Some(rate) => source.frames_per_second.is_none_or(|of_file| of_file == rate),
            None => true,
        };
        let counts = match &self.budget {
            Budget::Tokens(tokens) => kept(*tokens),
            Budget::Search { range, .. } => file.blocks().iter().all(|block| range.contains(block.kept_tokens)),
        };
        rate && counts && *file.header() == self.header(source.clone(), *fit)
    }

    pub(crate) fn token_file(&self, encoded: &Encoded) -> Result<TokenFile> {
        let header = self.header(encoded.source.clone(), encoded.fit);
        TokenFile::new(header, encoded.tokens.clone()).context("the model makes tokens that cannot be stored")
    }

    /// What was encoded, how many tokens that took and how far it is from the original.
    pub(crate) fn summary(&self, encoded: &Encoded) -> String {
        let (source, fit) = (&encoded.source, encoded.fit);
        let mut text = format!("{}: {}\n", source.name, describe(source, fit, self.shape()));
        let (blocks, all) = (encoded.tokens.len(), encoded.tokens.len() * self.shape().tokens());
        let kept: usize = encoded.tokens.iter().map(|tokens| tokens.kept_tokens).sum();
        let distortion = encoded.distortions.iter().sum::<f64>() / blocks as f64;
        let psnr = metric::psnr_of(distortion);
        let noun = if blocks == 1 { "block" } else { "blocks" };
        let mut line = |line: String| text.push_str(&(line + "\n"));
        line(format!("{kept} of {all} tokens in {blocks} {noun}"));
        line(format!("mean squared error {distortion:.3e} in [−1, 1], {psnr:.2} dB, before rounding to 8 bits"));
        if let (Budget::Search { strategy, threshold, .. }, Some(met)) = (&self.budget, encoded.met) {
            let (strategy, evaluations) = (strategy.name(), encoded.evaluations);
            line(format!("{strategy}: threshold {threshold} met by {met} of {blocks}, {evaluations} evaluations"));
        }
        text
    }
}

/// What was typed, for this model.
fn read_budget(budget: &Encoding, model: &ElasticTok) -> Result<Budget> {
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
