//! `inspect`: what a token file or a model file says about itself.

use crate::cli::Inspect;
use crate::console::{bytes, print};
use crate::frames::describe;
use anyhow::{Context as _, Result};
use engine::model::{ModelInfo, load_model};
use engine::token_file::{MAGIC, bits_per_code};
use engine::{Bottleneck, ModelConfig, TokenFile};
use std::fmt::Write as _;
use std::io::Read as _;

pub(crate) fn inspect(command: &Inspect) -> Result<()> {
    let path = &command.file;
    let reading = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(reading)?;
    let mut start = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start).with_context(reading)?;
    let is_tokens = start == MAGIC || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("etok"));
    let text = if is_tokens {
        let file = crate::decode::read_tokens(path)?;
        of_tokens(&file, std::fs::metadata(path).with_context(reading)?.len())?
    } else {
        let (model, info) = load_model(path)?;
        of_model(model.config(), &info)?
    };
    print(&text)
}

fn of_tokens(file: &TokenFile, size: u64) -> Result<String> {
    let (header, shape) = (file.header(), file.header().model.block);
    let source = &header.source;
    let mut text = String::new();
    writeln!(text, "tokens of     {:?}", source.name)?;
    writeln!(text, "source        {}", describe(source, header.fit, shape))?;
    match &header.search {
        Some(search) => writeln!(
            text,
            "counts        by {}, mean squared error in [−1, 1] at most {}",
            search.strategy, search.threshold
        )?,
        None => writeln!(text, "counts        given")?,
    }
    write_model(&mut text, &header.model)?;
    writeln!(text, "weights       {}", header.weights_hash)?;
    let counts: Vec<usize> = file.blocks().iter().map(|block| block.kept_tokens).collect();
    let (kept, all) = (counts.iter().sum::<usize>(), counts.len() * shape.tokens());
    let share = 100.0 * kept as f64 / all as f64;
    match header.window {
        Some(window) => writeln!(text, "blocks        {}, each sees {window} before it", counts.len())?,
        None => writeln!(text, "blocks        {}", counts.len())?,
    }
    writeln!(text, "kept tokens   {kept} of {all} ({share:.1} %)")?;
    // Frames that only fill up the last block are not anybody's pixels.
    let pixels = (shape.width * shape.height * source.frames) as f64;
    let bits = [("tokens", file.token_bits()), ("whole file", 8 * size)];
    for (what, bits) in bits {
        writeln!(
            text,
            "{what:<13} {bits} bits ({}), {:.4} bits a pixel, {:.1} : 1 against 24 bits a pixel",
            bytes(bits.div_ceil(8)),
            bits as f64 / pixels,
            24.0 * pixels / bits as f64
        )?;
    }
    text.push('\n');
    text += &strip(&counts, shape.tokens());
    Ok(text)
}

fn of_model(model: &ModelConfig, info: &ModelInfo) -> Result<String> {
    let mut text = String::new();
    write_model(&mut text, model)?;
    writeln!(text, "weights       {}", info.weights_hash)?;
    if let Some(origin) = &info.origin {
        writeln!(text, "origin        {origin:?}")?;
    }
    if let Some(steps) = info.unfinished_after {
        writeln!(text, "training      not finished, {steps} steps made")?;
    }
    writeln!(text, "\n{}", serde_json::to_string_pretty(model).context("writing the configuration")?)?;
    Ok(text)
}

fn write_model(text: &mut String, model: &ModelConfig) -> Result<()> {
    let (shape, [t, h, w]) = (model.block, model.block.patch);
    let bottleneck = match &model.bottleneck {
        Bottleneck::Fsq { levels } => {
            let levels = levels.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
            let codes = model.bottleneck.codebook_size().unwrap_or_default();
            let bits = bits_per_code(&model.bottleneck).unwrap_or_default();
            format!("FSQ of {levels} levels: {codes} codes, {bits} bits a token")
        }
        Bottleneck::Vae { dim } => format!("VAE of {dim} dimensions"),
    };
    writeln!(text, "model         {bottleneck}")?;
    writeln!(
        text,
        "block         {} frames of {}×{} pixels in patches of {t}×{h}×{w}: {} tokens",
        shape.frames,
        shape.width,
        shape.height,
        shape.tokens()
    )?;
    writeln!(
        text,
        "layers        {} + {}, {} wide, {} weights",
        model.encoder_layers,
        model.decoder_layers,
        model.width,
        model.parameter_count()
    )?;
    Ok(())
}

/// Blocks in a line of the strip.
const BLOCKS_A_LINE: usize = 64;

/// A character for each block, as high as its share of kept tokens, and each line's smallest and largest count.
fn strip(counts: &[usize], all: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |count: &usize| BARS[(count * BARS.len()).div_ceil(all).clamp(1, BARS.len()) - 1];
    let line = |(number, counts): (usize, &[usize])| {
        let bars: String = counts.iter().map(bar).collect();
        let (fewest, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        let range = if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") };
        format!("{:>6}  {bars}  {range}\n", number * BLOCKS_A_LINE)
    };
    format!(" block  kept tokens, a full bar is {all}\n")
        + &counts.chunks(BLOCKS_A_LINE).enumerate().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_the_share_of_kept_tokens() {
        let counts: Vec<usize> = (1..=16).chain(std::iter::repeat_n(16, 49)).collect();
        assert_eq!(
            strip(&counts, 16),
            format!(
                " block  kept tokens, a full bar is 16\n     0  ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██{}  1 to 16\n    64  █  16\n",
                "█".repeat(48)
            )
        );
    }
}
