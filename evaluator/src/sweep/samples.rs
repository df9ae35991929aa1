//! The samples of a variant: cut from its folders, registered in the store.

use super::Run;
use super::cut::{CutClips, CutCrops, Keep};
use super::sample::Sample;
use super::sets::{Sets, Test};
use crate::error::Result;
use crate::experiment::{Data, Variant, Videos};
use crate::metric::Protocol;
use crate::store::{ContentHash, DatasetId, NewDataset, NewSource, SourceId, Split};
use engine::BlockShape;
use engine::data::video::VideoSet;
use engine::data::{Clip, Clips, Photo, PhotoSet, drawn_clips, drawn_crops, fixed_crops, spread_clips};

/// The training and held-out samples of one variant.
pub(super) struct Samples {
    pub(super) sets: Sets,
    pub(super) train_dataset: DatasetId,
    pub(super) test_dataset: DatasetId,
    pub(super) protocol: Protocol,
    pub(super) held_out: Vec<Sample>,
    train_sources: Vec<SourceId>,
}

impl Samples {
    /// Cuts and registers the samples of one variant.
    pub(super) async fn register(run: &Run<'_>, sets: &Sets, variant: &Variant) -> Result<Self> {
        let (train_dataset, train_sources) = register_training(run, sets, &variant.data).await?;
        let (test_dataset, protocol, held_out) = match (&sets.test, &variant.data.videos) {
            (Test::Videos(clips), Some(videos)) => {
                held_out_clips(run, clips, videos, &variant.data, variant.model.block).await?
            }
            (Test::Photos(photos), _) => held_out_crops(run, photos, &variant.data).await?,
            (Test::Videos(_), None) => unreachable!("held-out videos were read from the folder that is named"),
        };
        Ok(Self { sets: sets.clone(), train_dataset, test_dataset, protocol, held_out, train_sources })
    }

    /// What predictors are trained on, with its protocol: drawn crops of the training pictures, or drawn clips of the
    /// training videos where clips are searched (or there are no pictures).
    pub(super) async fn training_samples(&self, run: &Run<'_>, variant: &Variant) -> Result<(Vec<Sample>, Protocol)> {
        let (data, block) = (&variant.data, variant.model.block);
        let sets = &self.sets;
        let clips = match &sets.test {
            Test::Videos(_) => sets.train_videos.as_ref(),
            Test::Photos(_) => sets.train_videos.as_ref().filter(|_| sets.train_photos.is_none()),
        };
        if let (Some(clips), Some(videos)) = (clips, &data.videos) {
            let blocks = variant.curve_blocks();
            let count = variant.regressor.curves.div_ceil(blocks);
            let places = drawn_clips(clips, data.crop, block.frames, blocks, count, CURVES_SEED)?;
            let first_video = sets.train_photos.as_ref().map_or(0, |photos| photos.photos.len());
            let sources = &self.train_sources[first_video..];
            let cut = CutClips { clips, sources, data, videos, block, keep: Keep::Places };
            let protocol = Protocol::random_clips(data.resize, data.crop, videos.frames_per_second);
            return Ok((cut.register(run, places.into_iter().enumerate()).await?, protocol));
        }
        let photos = sets.train_photos.as_ref().expect("training sees pictures or videos");
        let places = drawn_crops(photos, data.crop, variant.regressor.curves, CURVES_SEED);
        let places = places.into_iter().enumerate().map(|(number, (photo, crop))| (photo, number, crop));
        let cut = CutCrops { set: photos, sources: &self.train_sources, data, keep: Keep::Places };
        Ok((cut.register(run, places).await?, Protocol::random_crops(data.resize, data.crop)))
    }
}

/// The training files as one dataset, photographs first.
async fn register_training(run: &Run<'_>, sets: &Sets, data: &Data) -> Result<(DatasetId, Vec<SourceId>)> {
    let photos = sets.train_photos.iter().flat_map(|photos| photo_sources(photos));
    let videos = sets.train_videos.iter().flat_map(|clips| video_sources(clips.set()));
    let videos_folder = data.videos.as_ref().and_then(|videos| videos.train.as_ref());
    let folders = sets.train_photos.iter().map(|photos| &photos.folder).chain(videos_folder);
    let name = folders.map(|folder| folder.to_string_lossy()).collect::<Vec<_>>().join(" + ");
    register_set(run, sets.training_key(), name, Split::Train, photos.chain(videos).collect()).await
}

async fn held_out_crops(run: &Run<'_>, set: &PhotoSet, data: &Data) -> Result<(DatasetId, Protocol, Vec<Sample>)> {
    let name = set.folder.to_string_lossy().into_owned();
    let (dataset, sources) =
        register_set(run, set.key().into(), name, Split::Test, photo_sources(set).collect()).await?;
    let crops = |photo: &Photo| fixed_crops(&photo.picture, data.crop, data.crops_per_picture);
    let places = set.photos.iter().enumerate().flat_map(|(index, photo)| {
        crops(photo).into_iter().enumerate().map(move |(ordinal, crop)| (index, ordinal, crop))
    });
    let cut = CutCrops { set, sources: &sources, data, keep: Keep::Pictures };
    let held_out = cut.register(run, places).await?;
    Ok((dataset, Protocol::fixed_crops(data.resize, data.crop, data.crops_per_picture), held_out))
}

/// The centres of some runs of every held-out video.
async fn held_out_clips(
    run: &Run<'_>,
    clips: &Clips,
    videos: &Videos,
    data: &Data,
    block: BlockShape,
) -> Result<(DatasetId, Protocol, Vec<Sample>)> {
    let set = clips.set();
    let name = set.folder.to_string_lossy().into_owned();
    let (dataset, sources) =
        register_set(run, set.key().into(), name, Split::Test, video_sources(set).collect()).await?;
    let length = videos.clip_blocks * block.frames;
    let mut places = Vec::new();
    for video in 0..set.videos.len() {
        let frames = clips.frames(video)?;
        let crop = fixed_crops(&frames[0], data.crop, 1)[0];
        let spread = spread_clips(frames.len(), length, block.frames, videos.clips_per_video);
        let clip = |(ordinal, (start, frames))| (ordinal, Clip { video, start, frames, crop });
        places.extend(spread.into_iter().enumerate().map(clip));
    }
    let cut = CutClips { clips, sources: &sources, data, videos, block, keep: Keep::Pictures };
    let held_out = cut.register(run, places).await?;
    Ok((dataset, Protocol::clips(data.resize, data.crop, videos.frames_per_second), held_out))
}

/// All predictors see the same crops and clips, whatever the seed of the model.
const CURVES_SEED: u64 = 0;

fn photo_sources(set: &PhotoSet) -> impl Iterator<Item = NewSource> {
    set.photos.iter().map(|photo| NewSource {
        hash: photo.hash.into(),
        name: photo.name.clone(),
        width: photo.width as u32,
        height: photo.height as u32,
        frames: 1,
    })
}

fn video_sources(set: &VideoSet) -> impl Iterator<Item = NewSource> {
    set.videos.iter().map(|video| NewSource {
        hash: video.hash.into(),
        name: video.name.clone(),
        width: video.info.width as u32,
        height: video.info.height as u32,
        frames: video.info.frames as u32,
    })
}

async fn register_set(
    run: &Run<'_>,
    key: ContentHash,
    name: String,
    split: Split,
    sources: Vec<NewSource>,
) -> Result<(DatasetId, Vec<SourceId>)> {
    let dataset = NewDataset { key, name, split, sources: sources.len() as u32 };
    let dataset = run.store.put_dataset(&dataset).await?.id;
    let stored = run.store.put_sources(dataset, &sources).await?;
    Ok((dataset, stored.into_iter().map(|source| source.id).collect()))
}
