//! Files in a store's folder that no row names. Only names of the store's own making are looked at: whatever else lies
//! there is not ours to remove.

use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::time::Duration;

use engine::atomic_file;

use super::super::open::folder_of;
use super::super::{ContentHash, Result, StoreError, artifact_files, checkpoint_files, process};
use super::{Waste, WasteKind};

/// A temporary file as young as this may be one of a process of another host or container.
const YOUNG: Duration = Duration::from_secs(60);

/// What rows name.
pub(super) struct Named {
    pub(super) pictures: HashSet<ContentHash>,
    /// Keys of training runs.
    pub(super) runs: HashSet<ContentHash>,
    /// Those among them whose training may go on.
    pub(super) unfinished: HashSet<ContentHash>,
}

/// The waste beside the database at this path, by kind and path. `pictures`: whether those that no row names are waste.
pub(super) fn find(database: &Path, named: &Named, pictures: bool) -> Result<Vec<Waste>> {
    let folder = folder_of(database);
    let mut waste = Vec::new();
    temporaries(folder, &mut waste)?;
    for below in entries(&folder.join(artifact_files::FOLDER))? {
        temporaries(&below.path(), &mut waste)?;
        for file in entries(&below.path())?.iter().filter(|_| pictures) {
            let hash = file.path().file_stem().and_then(|stem| stem.to_str()?.parse::<ContentHash>().ok());
            if hash.is_some_and(|hash| !named.pictures.contains(&hash)) {
                waste.push(Waste::new(WasteKind::Picture, file)?);
            }
        }
    }
    let folder_names = |keys: &HashSet<ContentHash>| -> HashSet<String> {
        keys.iter().map(|key| checkpoint_files::folder_name(*key)).collect()
    };
    let (runs, unfinished) = (folder_names(&named.runs), folder_names(&named.unfinished));
    for run in entries(&folder.join(checkpoint_files::FOLDER))? {
        let Ok(name) = run.file_name().into_string() else { continue };
        let is_ours = name.len() == 16 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_ours && !runs.contains(&name) {
            waste.push(Waste::new(WasteKind::Checkpoint, &run)?);
            continue;
        }
        temporaries(&run.path(), &mut waste)?;
        for file in entries(&run.path())? {
            if is_ours && !unfinished.contains(&name) && file.file_name() == checkpoint_files::TRAINING {
                waste.push(Waste::new(WasteKind::TrainingState, &file)?);
            }
        }
    }
    waste.sort();
    Ok(waste)
}

/// Removes files and folders; no matter if they are gone.
pub(super) fn remove(waste: &[Waste]) -> Result<()> {
    for Waste { path, .. } in waste {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::from_io("remove", path.clone(), source));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What killed writers left in this folder.
fn temporaries(folder: &Path, waste: &mut Vec<Waste>) -> Result<()> {
    for file in entries(folder)? {
        let writer = file.file_name().to_str().and_then(atomic_file::writer);
        if writer.is_some_and(|writer| !process::exists(writer)) && metadata(&file)?.as_ref().is_some_and(is_old) {
            waste.push(Waste::new(WasteKind::Temporary, &file)?);
        }
    }
    Ok(())
}

fn is_old(file: &Metadata) -> bool {
    file.modified().ok().and_then(|written| written.elapsed().ok()).is_some_and(|age| age >= YOUNG)
}

/// What lies in a folder; nothing if it is no folder.
fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder).and_then(Iterator::collect) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        found => found.map_err(|source| StoreError::from_io("look through", folder.into(), source)),
    }
}

/// `None` if it has just gone.
fn metadata(file: &DirEntry) -> Result<Option<Metadata>> {
    match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(|source| StoreError::from_io("look at", file.path(), source)),
    }
}

impl Waste {
    fn new(kind: WasteKind, entry: &DirEntry) -> Result<Self> {
        Ok(Self { kind, path: entry.path(), bytes: size(entry)? })
    }
}

fn size(entry: &DirEntry) -> Result<u64> {
    let Some(metadata) = metadata(entry)? else { return Ok(0) };
    if metadata.is_dir() { entries(&entry.path())?.iter().map(size).sum() } else { Ok(metadata.len()) }
}
