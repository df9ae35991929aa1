//! `decode`: a token file back into a picture or a video.

use crate::cli::{Cli, Decode};
use crate::console::{Console, print};
use crate::frames::FrameWriter;
use crate::run::use_threads;
use anyhow::{Context as _, Result, bail};
use engine::data::to_frames;
use engine::model::load_model;
use engine::ring::Mesh;
use engine::{BlockTokens, ElasticTok, SharedSequences, TokenDecoder, TokenFile};
use evaluator::sweep::Progress as _;
use std::path::Path;

pub(crate) fn decode(cli: &Cli, command: &Decode) -> Result<()> {
    let name = command.file.display();
    let file = read_tokens(&command.file)?;
    let (shape, source) = (file.header().model.block, &file.header().source);
    let (model, info) = load_model(&command.checkpoint)?;
    file.matches(model.config(), info.weights_hash)
        .with_context(|| format!("{name} cannot be decoded with {}", command.checkpoint.display()))?;
    use_threads(cli)?;
    let mut writer = FrameWriter::create(&command.output, [shape.width, shape.height], source)?;
    let decoded = blocks(&model, file.header().window, command.shared.mesh, file.blocks()).context(name.to_string())?;
    let console = Console::new(cli);
    console.begin("decoding", 0, file.blocks().len() as u64);
    for (number, block) in decoded.enumerate() {
        let shown = (source.frames - number * shape.frames).min(shape.frames);
        for frame in to_frames(&block?, shape).into_iter().take(shown) {
            writer.write(frame)?;
        }
        console.advance(number as u64 + 1, "");
    }
    console.end();
    writer.finish()?;
    let (width, height, frames) = (shape.width, shape.height, source.frames);
    let frames = if frames == 1 { String::new() } else { format!("{frames} frames of ") };
    print(&format!("{}: {frames}{width}×{height} pixels of {:?}\n", command.output.display(), source.name))
}

/// The patches of each block of a sequence: one after another, or of all blocks at once by the workers of a mesh, which
/// know no window.
pub(crate) fn blocks<'a>(
    model: &'a ElasticTok,
    window: Option<usize>,
    mesh: Mesh,
    tokens: &'a [BlockTokens],
) -> Result<Box<dyn Iterator<Item = Result<Vec<f32>>> + 'a>> {
    match window {
        _ if mesh == Mesh::ONE => {
            let mut decoder = TokenDecoder::new(model, window.unwrap_or(usize::MAX));
            Ok(Box::new(tokens.iter().map(move |block| Ok(decoder.decode(block)?))))
        }
        None => Ok(Box::new(SharedSequences::new(model, mesh)?.decode(tokens)?.into_iter().map(Ok))),
        Some(window) => {
            bail!(
                "--mesh {mesh}: its blocks see {window} before them, workers of a mesh let them see all: leave it out"
            )
        }
    }
}

/// Reads a token file; errors name it.
pub(crate) fn read_tokens(path: &Path) -> Result<TokenFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    TokenFile::read(&bytes).with_context(|| path.display().to_string())
}
