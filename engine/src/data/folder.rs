//! Which files of a folder are meant, and what folders of photographs and of videos have in common.

use crate::error::EngineError;
use rayon::prelude::*;
use std::path::Path;

/// A file that was left out.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Path below the folder.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a folder should hold.
pub struct Contents {
    /// One of it.
    pub noun: &'static str,
    /// In lower case, without dots.
    pub extensions: &'static [&'static str],
    /// The extensions, for a person.
    pub listed: &'static str,
}

impl Contents {
    /// Every fitting file below `folder`, in the order of their names, which are paths below it with `/` between their
    /// parts. Hidden files and folders are left alone.
    ///
    /// # Errors
    /// A folder that cannot be read, or holds none.
    pub fn files(&self, folder: &Path) -> Result<Vec<String>, EngineError> {
        let mut files = Vec::new();
        self.list(folder, folder, &mut files)?;
        files.sort();
        match files.is_empty() {
            true => Err(self.nothing_usable(folder, 0, &[])),
            false => Ok(files),
        }
    }

    fn nothing_usable(&self, folder: &Path, found: usize, skipped: &[Skipped]) -> EngineError {
        let first = skipped.first().map(|s| format!(" (the first: {}: {})", s.name, s.reason)).unwrap_or_default();
        EngineError::NothingUsable {
            folder: folder.to_owned(),
            noun: self.noun,
            extensions: self.listed,
            found,
            skipped: skipped.len(),
            first,
        }
    }

    /// Loads every fitting file below `folder`, in the order of their names, which are paths below it with `/` between
    /// their parts. Returns those that could be loaded and those that could not; nothing loaded is an error.
    pub(super) fn load<T: Send>(
        &self,
        folder: &Path,
        load: impl Fn(&str) -> Result<T, String> + Sync,
    ) -> Result<(Vec<T>, Vec<Skipped>), EngineError> {
        let loaded =
            self.files(folder)?.into_par_iter().map(|name| load(&name).map_err(|reason| Skipped { name, reason }));
        let loaded: Vec<Result<T, Skipped>> = loaded.collect();
        let found = loaded.len();
        let (mut usable, mut skipped) = (Vec::new(), Vec::new());
        for result in loaded {
            match result {
                Ok(one) => usable.push(one),
                Err(reason) => skipped.push(reason),
            }
        }
        if usable.is_empty() {
            return Err(self.nothing_usable(folder, found, &skipped));
        }
        Ok((usable, skipped))
    }

    /// Adds the fitting files below `folder`, as paths below `root`.
    fn list(&self, root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), EngineError> {
        let (noun, extensions) = (self.noun, self.listed);
        let error = |source| EngineError::Folder { folder: folder.to_owned(), noun, extensions, source };
        for entry in std::fs::read_dir(folder).map_err(error)? {
            let entry = entry.map_err(error)?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // Follows links, so that a folder of links to files works.
            if path.is_dir() {
                self.list(root, &path, files)?;
            } else if self.fits(&path) {
                let below = path.strip_prefix(root).expect("the walk stays below its root");
                let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                files.push(parts.join("/"));
            }
        }
        Ok(())
    }

    fn fits(&self, path: &Path) -> bool {
        path.extension().is_some_and(|e| self.extensions.iter().any(|known| e.eq_ignore_ascii_case(known)))
    }
}

/// Names a set by the content of its files, in order: a blake3 hash of their hashes.
pub(super) fn key(hashes: impl Iterator<Item = blake3::Hash>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hashes.for_each(|hash| {
        hasher.update(hash.as_bytes());
    });
    hasher.finalize()
}
