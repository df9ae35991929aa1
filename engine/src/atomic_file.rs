//! Files that are there whole or not at all.

use crate::error::EngineError;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Writes `bytes` under a temporary name beside `path`, syncs and renames: a reader, or a run after a crash, sees the
/// old file or the new one, never a part. Folders above it are made.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(EngineError::file("cannot make the folder", folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.part", std::process::id()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(|error| {
        // Best effort: the write's own error is the one to report.
        let _ = std::fs::remove_file(&temporary);
        EngineError::file("cannot write", path)(error)
    })
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
        let error = write(&folder.path().join("deep/taken"), b"new").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("taken"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 2);
    }
}
