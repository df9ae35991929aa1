//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` under a temporary name beside `path`, syncs and renames: a reader, or a run after a crash, sees the
/// old file or the new one, never a part. Folders above it are made.
///
/// # Errors
/// Of the system, where a folder or the file cannot be made, written, synced or renamed.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = Temporary::beside(path)?;
    File::create(file.path())?.write_all(bytes)?;
    file.keep()
}

/// A file that is written piece by piece, by whatever means, under a temporary name beside its place. Dropped before
/// [`keep`](Self::keep) it is removed.
#[derive(Debug)]
pub struct Temporary {
    temporary: PathBuf,
    folder: PathBuf,
    place: PathBuf,
}

impl Temporary {
    /// A name beside `path`, under which there is no file yet. Folders above it are made.
    ///
    /// # Errors
    /// Of the system, where a folder cannot be made.
    pub fn beside(path: &Path) -> io::Result<Self> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Several threads and processes may write the same file: each has a temporary name of its own.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}-{number}.part", std::process::id()));
        Ok(Self { temporary, folder: folder.to_owned(), place: path.to_owned() })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Syncs what was written and gives it its name.
    ///
    /// # Errors
    /// Of the system, where nothing was written under [`path`](Self::path), or it cannot be synced or renamed.
    pub fn keep(self) -> io::Result<()> {
        File::open(&self.temporary)?.sync_all()?;
        std::fs::rename(&self.temporary, &self.place)?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Renamed, it is not there; otherwise the first error is the one worth telling.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// The process that a file of this name was written by, if it is a [`Temporary`].
pub fn writer(file_name: &str) -> Option<u32> {
    let (process, number) = file_name.strip_prefix('.')?.strip_suffix(".part")?.split_once('-')?;
    number.parse::<u64>().ok()?;
    process.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file");
        write(&path, b"old").unwrap();
        std::fs::create_dir(folder.path().join("deep/taken")).unwrap();
        write(&folder.path().join("deep/taken"), b"new").unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 2);
    }

    #[test]
    fn a_temporary_file_names_its_writer_and_goes_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = Temporary::beside(&folder.path().join("file")).unwrap();
        std::fs::write(file.path(), b"a part").unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(writer(name), Some(std::process::id()));
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for other in ["", ".part", ".1.part", "1-2.part", ".x-2.part", ".1-x.part", ".1-2.part~"] {
            assert_eq!(writer(other), None, "{other}");
        }
    }
}
