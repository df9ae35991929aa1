//! The samples of a variant: cut from its folders, registered in the store.

use super::Run;
use super::sample::{Sample, sheet};
use super::sets::{Sets, Test};
use crate::error::Result;
use crate::experiment::{Data, Variant, Videos};
use crate::metric::Protocol;
use crate::store::{
    ContentHash, DatasetId, MediaType, NewDataset, NewSample, NewSource, SampleId, SourceId, Split, Stored,
};
use engine::BlockShape;
use engine::data::video::VideoSet;
use engine::data::{Clips, Crop, Photo, PhotoSet, drawn_crops, fixed_crops, spread_clips, to_png};

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

    /// `count` drawn crops of the training pictures, which predictors are trained on.
    pub(super) async fn training_samples(&self, run: &Run<'_>, data: &Data, count: usize) -> Result<Vec<Sample>> {
        let Some(photos) = &self.sets.train_photos else { return Ok(Vec::new()) };
        let places = drawn_crops(photos, data.crop, count, CURVE_CROPS_SEED);
        let places = places.into_iter().enumerate().map(|(number, (photo, crop))| (photo, number, crop)).collect();
        let set_key = photos.key().to_hex().to_string();
        let cut = Cut { set: photos, set_key, sources: &self.train_sources, data };
        cut.register(run, places, Keep::Places).await
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
    let cut = Cut { set, set_key: set.key().to_hex().to_string(), sources: &sources, data };
    let held_out = cut.register(run, places.collect(), Keep::Pictures).await?;
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
    let (side, set_key) = (data.crop, set.key().to_hex().to_string());
    let length = videos.clip_blocks * block.frames;
    let (mut new, mut cuts) = (Vec::new(), Vec::new());
    for (source, video) in set.videos.iter().enumerate() {
        let frames = clips.frames(source)?;
        let Crop { x, y } = fixed_crops(&frames[0], side, 1)[0];
        let places = spread_clips(frames.len(), length, block.frames, videos.clips_per_video);
        for (ordinal, (start, count)) in places.into_iter().enumerate() {
            // A video shorter than a block ends in a still.
            let shown = (start..start + count).map(|i| &frames[i.min(frames.len() - 1)]);
            let pixels: Vec<u8> = shown.flat_map(|frame| frame.crop(x, y, side, side).pixels).collect();
            let identity = (&set_key, &video.name, data.resize, videos.frames_per_second, start, x, y, &pixels);
            let key = ContentHash::of(format!("{identity:?}").as_bytes());
            let picture = sheet(block, &pixels);
            let artifact = Some(run.store.put_artifact(to_png(&picture)?, MediaType::Png).await?.id);
            new.push(NewSample {
                key,
                source: sources[source],
                ordinal: ordinal as u32,
                x: x as u32,
                y: y as u32,
                width: side as u32,
                height: side as u32,
                frames: count as u32,
                blocks: (count / block.frames) as u32,
                artifact,
            });
            cuts.push((source, key, pixels));
        }
    }
    let protocol = Protocol::clips(data.resize, data.crop, videos.frames_per_second);
    Ok((dataset, protocol, registered(run, new, cuts).await?))
}

/// All predictors see the same crops, whatever the seed of the model.
const CURVE_CROPS_SEED: u64 = 0;

/// What is stored of a sample.
#[derive(PartialEq)]
enum Keep {
    /// Its place and its picture.
    Pictures,
    /// Its place: pictures of thousands of crops nobody looks at.
    Places,
}

/// Cuts samples out of a set's pictures.
struct Cut<'a> {
    set: &'a PhotoSet,
    set_key: String,
    sources: &'a [SourceId],
    data: &'a Data,
}

impl Cut<'_> {
    /// Samples at (photograph, ordinal, place), registered in the store.
    async fn register(&self, run: &Run<'_>, places: Vec<(usize, usize, Crop)>, keep: Keep) -> Result<Vec<Sample>> {
        let side = self.data.crop;
        let (mut new, mut cuts) = (Vec::new(), Vec::new());
        for (source, ordinal, Crop { x, y }) in places {
            let photo = &self.set.photos[source];
            let cut = photo.picture.crop(x, y, side, side);
            let identity = (&self.set_key, &photo.name, self.data.resize, x, y, &cut.pixels);
            let key = ContentHash::of(format!("{identity:?}").as_bytes());
            let artifact = match keep {
                Keep::Pictures => Some(run.store.put_artifact(to_png(&cut)?, MediaType::Png).await?.id),
                Keep::Places => None,
            };
            new.push(NewSample {
                key,
                source: self.sources[source],
                ordinal: ordinal as u32,
                x: x as u32,
                y: y as u32,
                width: side as u32,
                height: side as u32,
                frames: 1,
                blocks: 1,
                artifact,
            });
            cuts.push((source, key, cut.pixels));
        }
        registered(run, new, cuts).await
    }
}

/// Puts samples into the store: (source, key, pixels) of each.
async fn registered(
    run: &Run<'_>,
    new: Vec<NewSample>,
    cuts: Vec<(usize, ContentHash, Vec<u8>)>,
) -> Result<Vec<Sample>> {
    let ids = run.store.put_samples(&new).await?;
    let sample = |(stored, (source, key, pixels)): (Stored<SampleId>, _)| Sample { id: stored.id, source, key, pixels };
    Ok(ids.into_iter().zip(cuts).map(sample).collect())
}

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
