//! `export tokens`: token files as arrays for other people's models.

use crate::cli::{ArrayFormat, Cli, ExportTokens};
use crate::console::{print, write_file};
use crate::decode::read_tokens;
use crate::encode::{Tokenizer, encode_folder};
use anyhow::{Context as _, Result, bail};
use engine::data::Contents;
use engine::token_file::export::TokenArrays;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

const TOKEN_FILES: Contents = Contents { noun: "token file", extensions: &["etok"], listed: ".etok" };

pub(crate) fn export(cli: &Cli, command: &ExportTokens) -> Result<()> {
    let paths = match &command.checkpoint {
        Some(checkpoint) => encoded(cli, checkpoint, command)?,
        None => token_files(&command.inputs)?,
    };
    let files = paths.par_iter().map(|path| read_tokens(path)).collect::<Result<Vec<_>>>()?;
    let arrays = TokenArrays::new(&files).map_err(|(number, error)| {
        let (first, other) = (paths[0].display(), paths[number].display());
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

/// Files as named, and all token files of folders.
fn token_files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        match input.is_dir() {
            true => files.extend(TOKEN_FILES.files(input)?.into_iter().map(|name| input.join(name))),
            false => files.push(input.clone()),
        }
    }
    Ok(files)
}

/// The token files of a folder of pictures and videos, encoded now where they are missing.
fn encoded(cli: &Cli, checkpoint: &Path, command: &ExportTokens) -> Result<Vec<PathBuf>> {
    let [folder] = command.inputs.as_slice() else {
        bail!("with --checkpoint one folder of pictures and videos is encoded, but {} are named", command.inputs.len());
    };
    if !folder.is_dir() {
        bail!("with --checkpoint a folder of pictures and videos is encoded, but {} is none", folder.display());
    }
    let tokenizer = Tokenizer::read(cli, checkpoint, &command.encoding)?;
    let output = command.output.with_extension("etok");
    let done = encode_folder(cli, &tokenizer, folder, &output)?;
    print(&format!("{}: {done}\n", output.display()))?;
    Ok(done.files)
}
