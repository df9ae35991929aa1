//! Cuts samples out of pictures and videos, and registers them in the store.

use super::Run;
use super::sample::{Sample, sheet};
use crate::error::Result;
use crate::experiment::{Data, Videos};
use crate::store::{ContentHash, MediaType, NewSample, SampleId, SourceId, Stored};
use engine::BlockShape;
use engine::data::{Clip, Clips, Crop, PhotoSet, Picture, to_png};

/// What is stored of a sample.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keep {
    /// Its place and its picture.
    Pictures,
    /// Its place: pictures of thousands of crops nobody looks at.
    Places,
}

impl Keep {
    async fn artifact(self, run: &Run<'_>, picture: impl FnOnce() -> Picture) -> Result<Option<ContentHash>> {
        Ok(match self {
            Self::Pictures => Some(run.store.put_artifact(to_png(&picture())?, MediaType::Png).await?.id),
            Self::Places => None,
        })
    }
}

/// Cuts squares out of a set's pictures.
pub(super) struct CutCrops<'a> {
    pub(super) set: &'a PhotoSet,
    pub(super) sources: &'a [SourceId],
    pub(super) data: &'a Data,
    pub(super) keep: Keep,
}

impl CutCrops<'_> {
    /// Samples at (picture, ordinal, place).
    pub(super) async fn register(
        &self,
        run: &Run<'_>,
        places: impl IntoIterator<Item = (usize, usize, Crop)>,
    ) -> Result<Vec<Sample>> {
        let (side, set_key) = (self.data.crop, self.set.key().to_hex().to_string());
        let (mut new, mut cuts) = (Vec::new(), Vec::new());
        for (source, ordinal, Crop { x, y }) in places {
            let photo = &self.set.photos[source];
            let cut = photo.picture.crop(x, y, side, side);
            let identity = (&set_key, &photo.name, self.data.resize, x, y, &cut.pixels);
            let key = ContentHash::of(format!("{identity:?}").as_bytes());
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
                artifact: self.keep.artifact(run, || cut.clone()).await?,
            });
            cuts.push((source, key, cut.pixels));
        }
        registered(run, new, cuts).await
    }
}

/// Cuts clips of whole blocks out of a set's videos.
pub(super) struct CutClips<'a> {
    pub(super) clips: &'a Clips,
    pub(super) sources: &'a [SourceId],
    pub(super) data: &'a Data,
    pub(super) videos: &'a Videos,
    pub(super) block: BlockShape,
    pub(super) keep: Keep,
}

impl CutClips<'_> {
    /// Samples at (ordinal, place).
    pub(super) async fn register(
        &self,
        run: &Run<'_>,
        places: impl IntoIterator<Item = (usize, Clip)>,
    ) -> Result<Vec<Sample>> {
        let (side, set) = (self.data.crop, self.clips.set());
        let set_key = set.key().to_hex().to_string();
        let (mut new, mut cuts) = (Vec::new(), Vec::new());
        for (ordinal, clip) in places {
            let pixels = self.clips.cut(&clip, side)?;
            let Clip { video, start, frames, crop: Crop { x, y } } = clip;
            let name = &set.videos[video].name;
            let identity = (&set_key, name, self.data.resize, self.videos.frames_per_second, start, x, y, &pixels);
            let key = ContentHash::of(format!("{identity:?}").as_bytes());
            new.push(NewSample {
                key,
                source: self.sources[video],
                ordinal: ordinal as u32,
                x: x as u32,
                y: y as u32,
                width: side as u32,
                height: side as u32,
                frames: frames as u32,
                blocks: (frames / self.block.frames) as u32,
                artifact: self.keep.artifact(run, || sheet(self.block, &pixels)).await?,
            });
            cuts.push((video, key, pixels));
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
