//! A folder of pictures and videos, each encoded into a token file of its own: several at once, and only those that are
//! not encoded yet.

use super::Tokenizer;
use crate::cli::Cli;
use crate::console::{Console, write_file};
use anyhow::{Context as _, Result, bail};
use engine::TokenFile;
use engine::data::Contents;
use evaluator::sweep::Progress as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

const ENCODABLE: Contents = Contents {
    noun: "picture or video",
    extensions: &[
        "jpg", "jpeg", "png", "webp", "mp4", "mov", "m4v", "y4m", "gif", "mkv", "webm", "avi", "mpg", "mpeg", "ts",
        "wmv", "flv",
    ],
    listed: ".jpg, .png, .webp, .mp4, .mov, .m4v, .y4m, .gif, or what ffmpeg reads",
};

/// What became of a folder.
pub(crate) struct Done {
    /// The token files, in the order of the names of what they are of.
    pub(crate) files: Vec<PathBuf>,
    encoded: usize,
    before: usize,
    skipped: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoded, before, skipped, .. } = self;
        write!(f, "{encoded} encoded, {before} encoded before, {skipped} skipped")
    }
}

/// What became of one file.
enum One {
    Encoded,
    Before,
    Skipped(String),
}

/// Encodes every picture and video below `folder` into `output`/its name.etok. Each is written whole or not at all, so
/// that a run that was stopped goes on where it was; a file that changed since is encoded again. What cannot be read is
/// said and skipped.
///
/// # Errors
/// A folder without pictures and videos, or of which none can be encoded; a token file that cannot be written.
pub(crate) fn encode_folder(cli: &Cli, tokenizer: &Tokenizer, folder: &Path, output: &Path) -> Result<Done> {
    let names = ENCODABLE.files(folder)?;
    let console = Console::new(cli);
    let mut done = Done { files: Vec::new(), encoded: 0, before: 0, skipped: 0 };
    let file = |name: &str| output.join(format!("{name}.etok"));
    let mut usable = vec![false; names.len()];
    console.begin("encoding", 0, names.len() as u64);
    let next = AtomicUsize::new(0);
    // A thread each, not tasks of the pool that the model computes on: a task that waits would begin another file.
    let outcome = std::thread::scope(|scope| {
        let (told, heard) = mpsc::channel();
        for _ in 0..rayon::current_num_threads().min(names.len()) {
            let (told, names, next) = (told.clone(), &names, &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(number) else { return };
                    if told.send((number, one(tokenizer, &folder.join(name), &file(name)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        for (number, one) in heard {
            match one? {
                One::Encoded => done.encoded += 1,
                One::Before => done.before += 1,
                One::Skipped(reason) => {
                    done.skipped += 1;
                    console.say(&format!("skipped {}: {reason}", names[number]));
                    continue;
                }
            }
            usable[number] = true;
            console.advance((done.encoded + done.before + done.skipped) as u64, &names[number]);
        }
        anyhow::Ok(())
    });
    console.end();
    outcome?;
    done.files = names.iter().zip(usable).filter(|(_, usable)| *usable).map(|(name, _)| file(name)).collect();
    if done.files.is_empty() {
        bail!("none of the {} pictures and videos of {} can be encoded", names.len(), folder.display());
    }
    Ok(done)
}

fn one(tokenizer: &Tokenizer, input: &Path, output: &Path) -> Result<One> {
    let frames = match tokenizer.frames(input) {
        Ok(frames) => frames,
        Err(error) => return Ok(One::Skipped(format!("{error:#}"))),
    };
    if is_encoded(tokenizer, frames.hash(), output) {
        return Ok(One::Before);
    }
    let encoded = match tokenizer.encode(frames, |_| ()) {
        Ok(encoded) => encoded,
        Err(error) => return Ok(One::Skipped(format!("{error:#}"))),
    };
    let file = tokenizer.token_file(&encoded)?;
    let parent = output.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    write_file(output, &file.write())?;
    Ok(One::Encoded)
}

/// Whether there is a whole token file of this content, made as is asked for now.
fn is_encoded(tokenizer: &Tokenizer, hash: blake3::Hash, output: &Path) -> bool {
    let file = std::fs::read(output).ok().and_then(|bytes| TokenFile::read(&bytes).ok());
    file.is_some_and(|file| file.header().source.hash == Some(hash) && tokenizer.made(&file))
}
