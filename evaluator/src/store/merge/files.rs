//! Copying the files that a source's rows name: pictures, weights, and the states that unfinished training goes on from.
//!
//! A file counts only with the content that its row promises; training states have no hash in the store, but say
//! themselves which run they belong to when it goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use engine::model::load_model;
use engine::parameters::weights_hash;
use engine::regressor::load_regressor;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::error::At;
use super::super::{
    ArtifactFiles, CheckpointFiles, ContentHash, MediaType, Result, Store, StoreError, Subject, TrainingRunId,
    regressor_file,
};
use super::{Merged, Source};

/// The files that one source names.
struct Named {
    artifacts: Vec<(ContentHash, MediaType)>,
    /// Finished runs: key and hash of the weights.
    weights: Vec<(ContentHash, ContentHash)>,
    /// Predictors: key and hash of the weights.
    predictors: Vec<(ContentHash, ContentHash)>,
    /// Unfinished runs that the destination lacks and nobody is working on.
    states: Vec<ContentHash>,
}

/// Copies what is not there yet. Files keep no lock waiting unless they appeared since an earlier call.
pub(super) async fn copy(
    store: &Store,
    source: &Source,
    connection: &mut SqliteConnection,
    merged: &mut Merged,
) -> Result<()> {
    let named = Named::by(source, connection).await?;
    let (from, to, before) = (source.reader.path().to_owned(), store.path.clone(), *merged);
    let copied = tokio::task::spawn_blocking(move || named.copy(&from, &to, before));
    *merged = copied.await.expect("copying files does not panic")?;
    Ok(())
}

impl Named {
    async fn by(source: &Source, connection: &mut SqliteConnection) -> Result<Self> {
        let theirs = &source.schema;
        let artifacts = format!("select hash, media_type from {theirs}.artifact order by hash");
        let artifacts = sqlx::query_as(AssertSqlSafe(artifacts)).fetch_all(&mut *connection).await.at(&source.reader)?;
        let weights = format!(
            "select key, weights_hash from {theirs}.training_run
             where status = 'done' and weights_hash is not null order by id"
        );
        let weights = sqlx::query_as(AssertSqlSafe(weights)).fetch_all(&mut *connection).await.at(&source.reader)?;
        let predictors = format!("select key, file_hash from {theirs}.predictor order by id");
        let predictors =
            sqlx::query_as(AssertSqlSafe(predictors)).fetch_all(&mut *connection).await.at(&source.reader)?;
        let states = format!(
            "select id, key from {theirs}.training_run as theirs
             where status <> 'done' and not exists (select 1 from main.training_run where key = theirs.key) order by id"
        );
        let states: Vec<(TrainingRunId, ContentHash)> =
            sqlx::query_as(AssertSqlSafe(states)).fetch_all(&mut *connection).await.at(&source.reader)?;
        // A state that is still being written would be ahead of the rows that go with it.
        let worked_on: BTreeSet<String> = source
            .reader
            .leases()
            .await?
            .iter()
            .filter(|lease| lease.is_alive().unwrap_or(true))
            .map(|lease| lease.subject.to_string())
            .collect();
        let is_free = |id: TrainingRunId| !worked_on.contains(&Subject::from(id).to_string());
        let states = states.into_iter().filter(|(id, _)| is_free(*id)).map(|(_, key)| key).collect();
        Ok(Self { artifacts, weights, predictors, states })
    }

    fn copy(self, from: &Path, to: &Path, mut merged: Merged) -> Result<Merged> {
        let (theirs, ours) = (ArtifactFiles::beside(from), ArtifactFiles::beside(to));
        for (hash, media_type) in self.artifacts {
            let path = ours.path(hash, media_type);
            if is_there(&theirs.path(hash, media_type), &path) {
                continue;
            }
            match theirs.read(hash, media_type) {
                Ok(bytes) => merged.write(&path, &bytes)?,
                Err(_) => merged.lost_files += u64::from(!path.exists()),
            }
        }
        for (key, hash) in self.weights {
            let (theirs, ours) = (CheckpointFiles::beside(from, key).weights, CheckpointFiles::beside(to, key).weights);
            merged.copy_weights(&theirs, &ours, |file| Some(load_model(file).ok()?.1.weights_hash.into()), hash)?;
        }
        for (key, hash) in self.predictors {
            let (theirs, ours) = (from.with_file_name(regressor_file(key)), to.with_file_name(regressor_file(key)));
            merged.copy_weights(&theirs, &ours, |file| Some(weights_hash(&load_regressor(file).ok()?).into()), hash)?;
        }
        for key in self.states {
            let (theirs, ours) =
                (CheckpointFiles::beside(from, key).training, CheckpointFiles::beside(to, key).training);
            // A run that has not come to its first checkpoint has none.
            if let Ok(bytes) = fs::read(&theirs)
                && !ours.exists()
            {
                merged.write(&ours, &bytes)?;
            }
        }
        Ok(merged)
    }
}

/// Whether the file needs no copying: one of another length was cut short by something else than us.
fn is_there(theirs: &Path, ours: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).ok();
    length(ours).is_some_and(|ours| length(theirs).is_some_and(|theirs| theirs == ours))
}

impl Merged {
    /// Copies weights whose content has the hash that their row promises.
    fn copy_weights(
        &mut self,
        theirs: &Path,
        ours: &Path,
        content: impl Fn(&Path) -> Option<ContentHash>,
        promised: ContentHash,
    ) -> Result<()> {
        if is_there(theirs, ours) {
            return Ok(());
        }
        match content(theirs).filter(|hash| *hash == promised).and(fs::read(theirs).ok()) {
            Some(bytes) => self.write(ours, &bytes),
            None => {
                self.lost_files += u64::from(!ours.exists());
                Ok(())
            }
        }
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        engine::atomic_file::write(path, bytes).map_err(|source| StoreError::from_io("write", path.into(), source))?;
        self.files += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
