//! The pictures of an experiment: loaded once for all variants that share them, registered in the store.

use super::{Progress, Run};
use crate::error::Result;
use crate::experiment::{Data, Experiment, Variant};
use crate::metric::Protocol;
use crate::store::{
    ContentHash, DatasetId, MediaType, NewDataset, NewSample, NewSource, SampleId, SourceId, Split, Stored,
};
use engine::BlockShape;
use engine::data::{Crop, Photo, PhotoSet, Picture, drawn_crops, fixed_crops, near_duplicates};
use engine::patch::normalize;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use std::collections::HashMap;
use std::sync::Arc;

/// Training and held-out pictures of one `[data]`.
pub(super) struct Pictures {
    pub(super) train: Arc<PhotoSet>,
    pub(super) train_dataset: DatasetId,
    pub(super) test_dataset: DatasetId,
    pub(super) protocol: Protocol,
    pub(super) held_out: Vec<Sample>,
    train_sources: Vec<SourceId>,
}

/// One crop of one picture.
pub(super) struct Sample {
    pub(super) id: SampleId,
    /// Which photograph: intervals are clustered by it.
    pub(super) source: usize,
    pub(super) key: ContentHash,
    pub(super) pixels: Vec<u8>,
}

impl Sample {
    /// The crop as one block of patches, in [−1, 1]; a still image fills a block by repetition.
    pub(super) fn block(&self, shape: BlockShape) -> Vec<f32> {
        normalize(&shape.patchify(&self.pixels.repeat(shape.frames)))
    }
}

/// The picture folders of an experiment, read before anything is written.
pub struct PictureSets(HashMap<Data, (Arc<PhotoSet>, PhotoSet)>);

impl PictureSets {
    /// Reads the folders of every variant; says what was skipped and what looks alike.
    ///
    /// # Errors
    /// A folder that is missing or holds no usable picture.
    pub fn load(experiment: &Experiment, progress: &dyn Progress) -> Result<Self> {
        let mut sets = HashMap::new();
        for Variant { data, .. } in &experiment.variants {
            if sets.contains_key(data) {
                continue;
            }
            let load = |folder| PhotoSet::load(folder, data.resize, data.crop);
            let (train, test) = (load(&data.train)?, load(&data.test)?);
            for set in [&train, &test] {
                let skipped = match set.skipped.len() {
                    0 => String::new(),
                    n => format!(", {n} skipped"),
                };
                progress.say(&format!("{}: {} pictures{skipped}", set.folder.display(), set.photos.len()));
                set.skipped.iter().for_each(|file| progress.say(&format!("  skipped {}: {}", file.name, file.reason)));
            }
            for pair in near_duplicates(&train, &test) {
                progress.say(&format!(
                    "  near-duplicate: held-out {} looks like training {} ({} of 64 bits differ), its scores flatter",
                    pair.test, pair.train, pair.distance
                ));
            }
            sets.insert(data.clone(), (Arc::new(train), test));
        }
        Ok(Self(sets))
    }

    /// How many held-out samples a variant with this data is evaluated on.
    pub fn held_out(&self, data: &Data) -> usize {
        let crops = |photo: &Photo| fixed_crops(&photo.picture, data.crop, data.crops_per_picture).len();
        self.0[data].1.photos.iter().map(crops).sum()
    }
}

impl Pictures {
    /// Cuts and registers the pictures of one variant.
    pub(super) async fn register(run: &Run<'_>, sets: &PictureSets, data: &Data) -> Result<Self> {
        let (train, test) = &sets.0[data];
        let (train_dataset, train_sources) = register_set(run, train, Split::Train).await?;
        let (test_dataset, sources) = register_set(run, test, Split::Test).await?;
        let crops = |photo: &Photo| fixed_crops(&photo.picture, data.crop, data.crops_per_picture);
        let places = test.photos.iter().enumerate().flat_map(|(index, photo)| {
            crops(photo).into_iter().enumerate().map(move |(ordinal, crop)| (index, ordinal, crop))
        });
        let cut = Cut { set: test, set_key: test.key().to_hex().to_string(), sources: &sources, data };
        let held_out = cut.register(run, places.collect(), Keep::Pictures).await?;
        let protocol = Protocol::fixed_crops(data.resize, data.crop, data.crops_per_picture);
        Ok(Self { train: train.clone(), train_dataset, train_sources, test_dataset, protocol, held_out })
    }

    /// `count` drawn crops of the training pictures, which predictors are trained on.
    pub(super) async fn training_samples(&self, run: &Run<'_>, data: &Data, count: usize) -> Result<Vec<Sample>> {
        let places = drawn_crops(&self.train, data.crop, count, CURVE_CROPS_SEED);
        let places = places.into_iter().enumerate().map(|(number, (photo, crop))| (photo, number, crop)).collect();
        let set_key = self.train.key().to_hex().to_string();
        Cut { set: &self.train, set_key, sources: &self.train_sources, data }.register(run, places, Keep::Places).await
    }
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
                Keep::Pictures => Some(run.store.put_artifact(png(&cut)?, MediaType::Png).await?.id),
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
        let ids = run.store.put_samples(&new).await?;
        let sample =
            |(stored, (source, key, pixels)): (Stored<SampleId>, _)| Sample { id: stored.id, source, key, pixels };
        Ok(ids.into_iter().zip(cuts).map(sample).collect())
    }
}

async fn register_set(run: &Run<'_>, set: &PhotoSet, split: Split) -> Result<(DatasetId, Vec<SourceId>)> {
    let dataset = NewDataset {
        key: set.key().into(),
        name: set.folder.to_string_lossy().into_owned(),
        split,
        sources: set.photos.len() as u32,
    };
    let dataset = run.store.put_dataset(&dataset).await?.id;
    let sources = set.photos.iter().map(|photo| NewSource {
        hash: photo.hash.into(),
        name: photo.name.clone(),
        width: photo.width as u32,
        height: photo.height as u32,
        frames: 1,
    });
    let stored = run.store.put_sources(dataset, &sources.collect::<Vec<_>>()).await?;
    Ok((dataset, stored.into_iter().map(|source| source.id).collect()))
}

/// A picture as PNG.
pub(super) fn png(picture: &Picture) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    let (width, height) = (picture.width as u32, picture.height as u32);
    encoder.write_image(&picture.pixels, width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}
