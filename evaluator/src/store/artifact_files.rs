//! Artifacts as files beside the database: `artifacts/ab/abcdef….png`, named by the blake3 hash of their content.
//!
//! A name that is the content's hash makes writing idempotent and lets a reader notice damage. A file appears under its
//! name whole or not at all: it is written under a temporary name in the same folder, flushed to the disk, then renamed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ContentHash, Result, StoreError};

/// The folder beside the database.
pub(super) const FOLDER: &str = "artifacts";

/// The kinds of files that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
pub enum MediaType {
    /// `image/png`
    #[sqlx(rename = "image/png")]
    Png,
    /// `image/jpeg`
    #[sqlx(rename = "image/jpeg")]
    Jpeg,
    /// `image/webp`
    #[sqlx(rename = "image/webp")]
    Webp,
    /// `application/json`
    #[sqlx(rename = "application/json")]
    Json,
    /// `application/octet-stream`: anything else, such as weights.
    #[sqlx(rename = "application/octet-stream")]
    Binary,
}

impl MediaType {
    /// The name that HTTP uses; also what the database holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Json => "application/json",
            Self::Binary => "application/octet-stream",
        }
    }

    /// The file name's ending.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Json => "json",
            Self::Binary => "bin",
        }
    }
}

/// The folder of artifacts beside one database. Its methods block on the disk.
#[derive(Debug, Clone)]
pub struct ArtifactFiles {
    folder: PathBuf,
}

impl ArtifactFiles {
    /// The artifacts of the database at this path.
    pub fn beside(database: &Path) -> Self {
        Self { folder: database.with_file_name(FOLDER) }
    }

    /// Where the file with this content is or would be.
    pub fn path(&self, hash: ContentHash, media_type: MediaType) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(format!("{name}.{}", media_type.extension()))
    }

    /// Writes the file unless it is there already. After it returns, the file survives a power cut.
    ///
    /// # Errors
    /// [`DiskFull`](StoreError::DiskFull) or [`File`](StoreError::File); no part of the file is left behind.
    pub fn put(&self, bytes: &[u8], media_type: MediaType) -> Result<ContentHash> {
        let hash = ContentHash::of(bytes);
        let path = self.path(hash, media_type);
        // A file of another length was cut short by something else than us: write it again.
        if fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
            return Ok(hash);
        }
        engine::atomic_file::write(&path, bytes).map_err(|source| StoreError::from_io("write", path, source))?;
        Ok(hash)
    }

    /// Reads a file and checks that it still has the content that names it.
    ///
    /// # Errors
    /// [`File`](StoreError::File), [`ArtifactDamaged`](StoreError::ArtifactDamaged).
    pub fn read(&self, hash: ContentHash, media_type: MediaType) -> Result<Vec<u8>> {
        let path = self.path(hash, media_type);
        match fs::read(&path) {
            Ok(bytes) if ContentHash::of(&bytes) == hash => Ok(bytes),
            Ok(_) => Err(StoreError::ArtifactDamaged { path }),
            Err(source) => Err(StoreError::from_io("read", path, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_content_and_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = ArtifactFiles::beside(&folder.path().join("results.db"));
        let hash = files.put(b"pixels", MediaType::Png).unwrap();
        let path = files.path(hash, MediaType::Png);
        let name = hash.to_string();
        assert_eq!(path, folder.path().join("artifacts").join(&name[..2]).join(format!("{name}.png")));
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(files.put(b"pixels", MediaType::Png).unwrap(), hash);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
        assert_eq!(files.read(hash, MediaType::Png).unwrap(), b"pixels");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn damage_is_noticed_and_a_file_cut_short_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = ArtifactFiles::beside(&folder.path().join("results.db"));
        let hash = files.put(b"pixels", MediaType::Png).unwrap();
        let path = files.path(hash, MediaType::Png);
        fs::write(&path, b"pixelz").unwrap();
        assert!(matches!(files.read(hash, MediaType::Png), Err(StoreError::ArtifactDamaged { .. })));
        fs::write(&path, b"pix").unwrap();
        files.put(b"pixels", MediaType::Png).unwrap();
        assert_eq!(files.read(hash, MediaType::Png).unwrap(), b"pixels");
    }

    #[test]
    fn threads_that_write_the_same_content_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let files = ArtifactFiles::beside(&folder.path().join("results.db"));
        let bytes = vec![7; 1 << 16];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| files.put(&bytes, MediaType::Binary).unwrap());
            }
        });
        assert_eq!(files.read(ContentHash::of(&bytes), MediaType::Binary).unwrap(), bytes);
    }

    #[test]
    fn a_failed_write_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("artifacts"), b"a file where the folder should be").unwrap();
        let error =
            ArtifactFiles::beside(&folder.path().join("results.db")).put(b"pixels", MediaType::Png).unwrap_err();
        assert!(error.to_string().starts_with("cannot write ") && error.to_string().contains(".png"), "{error}");
    }

    #[test]
    fn media_types_are_stored_under_the_names_that_http_uses() {
        use sqlx::Encode;
        for media_type in [MediaType::Png, MediaType::Jpeg, MediaType::Webp, MediaType::Json, MediaType::Binary] {
            let mut buffer = sqlx::sqlite::SqliteArgumentsBuffer::default();
            let _ = media_type.encode_by_ref(&mut buffer).unwrap();
            assert!(format!("{buffer:?}").contains(&format!("\"{}\"", media_type.name())), "{buffer:?}");
        }
    }
}
