//! `export tokens`: token files as arrays for other people's models.

use crate::cli::{ArrayFormat, ExportTokens};
use crate::console::{print, write_file};
use crate::decode::read_tokens;
use anyhow::{Context as _, Result};
use engine::token_file::export::TokenArrays;

pub(crate) fn export(command: &ExportTokens) -> Result<()> {
    let files = command.files.iter().map(|path| read_tokens(path)).collect::<Result<Vec<_>>>()?;
    let arrays = TokenArrays::new(&files).map_err(|(number, error)| {
        let (first, other) = (command.files[0].display(), command.files[number].display());
        anyhow::Error::new(error).context(format!("{first} and {other} are of different models: export them apart"))
    })?;
    let written = match command.format {
        ArrayFormat::Npz => arrays.to_npz(),
        ArrayFormat::Safetensors => arrays.to_safetensors(),
    };
    write_file(&command.output, &written).context("exporting tokens")?;
    let blocks: usize = files.iter().map(|file| file.blocks().len()).sum();
    print(&format!("{}: {} files, {blocks} blocks\n", command.output.display(), files.len()))
}
