//! The folders of an experiment, read before anything is written, once for all variants that share them.

use super::Progress;
use crate::error::Result;
use crate::experiment::{Data, Experiment, Variant, Videos};
use crate::store::ContentHash;
use engine::data::video::VideoSet;
use engine::data::{Clips, Mix, Photo, PhotoSet, RandomClips, RandomCrops, Skipped, fixed_crops, near_duplicates};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What is cut from one `[data]`.
#[derive(Clone)]
pub(super) struct Sets {
    pub(super) train_photos: Option<Arc<PhotoSet>>,
    pub(super) train_videos: Option<Arc<Clips>>,
    pub(super) test: Test,
}

/// What models are evaluated on.
#[derive(Clone)]
pub(super) enum Test {
    Photos(Arc<PhotoSet>),
    Videos(Arc<Clips>),
}

/// The folders of an experiment.
pub struct DataSets(HashMap<Data, Sets>);

impl DataSets {
    /// Reads the folders of every variant; says what was skipped and what looks alike.
    ///
    /// # Errors
    /// A folder that is missing or holds no usable picture or video.
    pub fn load(experiment: &Experiment, progress: &dyn Progress) -> Result<Self> {
        let mut read = Reading { progress, photos: HashMap::new(), videos: HashMap::new() };
        let mut sets = HashMap::new();
        for Variant { data, .. } in &experiment.variants {
            if !sets.contains_key(data) {
                sets.insert(data.clone(), read.sets(data)?);
            }
        }
        Ok(Self(sets))
    }

    pub(super) fn of(&self, data: &Data) -> &Sets {
        &self.0[data]
    }

    /// How many held-out samples a variant with this data is evaluated on.
    pub fn held_out(&self, data: &Data) -> usize {
        match &self.0[data].test {
            Test::Photos(photos) => {
                let crops = |photo: &Photo| fixed_crops(&photo.picture, data.crop, data.crops_per_picture).len();
                photos.photos.iter().map(crops).sum()
            }
            Test::Videos(clips) => {
                clips.set().videos.len() * data.videos.as_ref().map_or(0, |videos| videos.clips_per_video)
            }
        }
    }
}

impl Sets {
    /// What training sees of a seed.
    pub(super) fn training(&self, variant: &Variant, seed: u64) -> Mix {
        let (side, frames_per_block) = (variant.data.crop, variant.model.block.frames);
        let percent = variant.data.videos.as_ref().map_or(0, |videos| videos.percent);
        let photos = self.train_photos.as_ref();
        let videos = self.train_videos.as_ref();
        Mix {
            blocks: variant.data.blocks,
            frames_per_block,
            crops: photos.map(|photos| RandomCrops::new(photos.clone(), side, seed)),
            clips: videos.map(|clips| (RandomClips::new(clips.clone(), side, frames_per_block, seed), percent)),
            seed,
        }
    }

    /// Names all its files by their content.
    pub(super) fn keys(&self) -> serde_json::Value {
        let test = match &self.test {
            Test::Photos(photos) => photos.key(),
            Test::Videos(clips) => clips.set().key(),
        };
        serde_json::json!({ "training files": self.training_key(), "held-out files": test.to_string() })
    }

    /// Names the training files by their content.
    pub(super) fn training_key(&self) -> ContentHash {
        match (&self.train_photos, &self.train_videos) {
            (Some(photos), None) => photos.key().into(),
            (None, Some(clips)) => clips.set().key().into(),
            (photos, clips) => {
                let keys = photos.iter().map(|photos| photos.key()).chain(clips.iter().map(|clips| clips.set().key()));
                blake3::hash(&keys.flat_map(|key| *key.as_bytes()).collect::<Vec<u8>>()).into()
            }
        }
    }
}

/// Folders that were read, so that each is read once.
struct Reading<'a> {
    progress: &'a dyn Progress,
    photos: HashMap<(std::path::PathBuf, usize, usize), Arc<PhotoSet>>,
    videos: HashMap<(std::path::PathBuf, usize, usize, u32), Arc<Clips>>,
}

impl Reading<'_> {
    fn sets(&mut self, data: &Data) -> Result<Sets> {
        let folder = |of: fn(&Videos) -> &Option<std::path::PathBuf>| {
            data.videos.as_ref().and_then(|videos| Some((of(videos).clone()?, videos.frames_per_second)))
        };
        let train_photos = data.trains_on_pictures().then(|| self.photos(&data.train, data)).transpose()?;
        let train_videos = folder(|videos| &videos.train).map(|(folder, rate)| self.videos(&folder, data, rate));
        let test = match folder(|videos| &videos.test) {
            Some((folder, rate)) => Test::Videos(self.videos(&folder, data, rate)?),
            None => Test::Photos(self.photos(&data.test, data)?),
        };
        if let (Some(train), Test::Photos(test)) = (&train_photos, &test) {
            for pair in near_duplicates(train, test) {
                self.progress.say(&format!(
                    "  near-duplicate: held-out {} looks like training {} ({} of 64 bits differ), its scores flatter",
                    pair.test, pair.train, pair.distance
                ));
            }
        }
        Ok(Sets { train_photos, train_videos: train_videos.transpose()?, test })
    }

    fn photos(&mut self, folder: &Path, data: &Data) -> Result<Arc<PhotoSet>> {
        let key = (folder.to_owned(), data.resize, data.crop);
        if let Some(read) = self.photos.get(&key) {
            return Ok(read.clone());
        }
        let set = Arc::new(PhotoSet::load(folder, data.resize, data.crop)?);
        self.say(folder, set.photos.len(), "pictures", &set.skipped);
        self.photos.insert(key, set.clone());
        Ok(set)
    }

    fn videos(&mut self, folder: &Path, data: &Data, frames_per_second: u32) -> Result<Arc<Clips>> {
        let key = (folder.to_owned(), data.resize, data.crop, frames_per_second);
        if let Some(read) = self.videos.get(&key) {
            return Ok(read.clone());
        }
        let set = VideoSet::load(folder, data.crop)?;
        self.say(folder, set.videos.len(), "videos", &set.skipped);
        let clips = Arc::new(Clips::new(set, data.resize, f64::from(frames_per_second)));
        self.videos.insert(key, clips.clone());
        Ok(clips)
    }

    fn say(&self, folder: &Path, count: usize, noun: &str, skipped: &[Skipped]) {
        let left_out = match skipped.len() {
            0 => String::new(),
            n => format!(", {n} skipped"),
        };
        self.progress.say(&format!("{}: {count} {noun}{left_out}", folder.display()));
        skipped.iter().for_each(|file| self.progress.say(&format!("  skipped {}: {}", file.name, file.reason)));
    }
}
