//! Other stores in the same folder: backups, copies, stores that are to be merged.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::error::At;
use super::super::merge::is_same_file;
use super::super::open::{folder_of, has_log};
use super::super::{Reader, Result, Store, StoreError};
use super::files::Named;

/// The other stores in a store's folder, open for reading.
pub(super) struct Neighbours {
    stores: Vec<Reader>,
    in_use: Option<PathBuf>,
}

impl Neighbours {
    pub(super) async fn of(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        let failed = |source| StoreError::from_io("look through", folder.into(), source);
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if is_database(&file) && !is_same_file(&file, path) {
                files.push(file);
            }
        }
        files.sort();
        // Asked before they are opened here, which may make a log.
        let in_use = files.iter().find(|file| has_log(file)).cloned();
        let mut stores = Vec::new();
        for file in files {
            match Store::open_existing_read_only(&file).await {
                Ok(reader) => stores.push(reader),
                // Another program's database names no picture of ours.
                Err(StoreError::ForeignDatabase { .. } | StoreError::NotADatabase { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { stores, in_use })
    }

    /// One that some process has open, or had when it was killed.
    pub(super) fn in_use(&self) -> Option<&Path> {
        self.in_use.as_deref()
    }

    /// What they name is named.
    pub(super) async fn add_to(&self, named: &mut Named) -> Result<()> {
        for store in &self.stores {
            let mut connection = store.pool.acquire().await.at(store)?;
            let theirs = Named::by(&mut connection).await.at(store)?;
            named.pictures.extend(theirs.pictures);
            named.runs.extend(theirs.runs);
            named.unfinished.extend(theirs.unfinished);
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        for store in &self.stores {
            store.close().await;
        }
    }
}

/// Whether the file begins as an SQLite database does.
fn is_database(path: &Path) -> bool {
    let mut start = [0; 16];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *b"SQLite format 3\0"
}
