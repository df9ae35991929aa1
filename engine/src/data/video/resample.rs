//! Fewer pictures a second.

use super::Frame;
use crate::error::EngineError;

/// Which of `frames` pictures at `from` a second stand for `to` a second, as the reference picks them: as many as fit,
/// spread evenly from the first picture to the last, positions cut down to whole numbers (`numpy.linspace`). So their
/// distance is a little more than `from / to`, and a picture is given twice where `to` exceeds `from`. A rate that
/// varies counts by its average. Positions count from 0 and do not fall.
///
/// # Panics
/// If a rate is not above 0.
pub fn evenly_spread(frames: usize, from: f64, to: f64) -> impl Iterator<Item = usize> {
    assert!(from > 0.0 && to > 0.0, "frame rates are positive: {from}, {to}");
    let count = if frames == 0 { 0 } else { (frames as f64 / from * to) as usize };
    let last = frames.saturating_sub(1);
    let step = last as f64 / count.saturating_sub(1).max(1) as f64;
    // Not a list: a damaged file's rate may ask for any number of them.
    (0..count).map(move |i| if i > 0 && i + 1 == count { last } else { (i as f64 * step) as usize })
}

/// The pictures at some positions of a stream, counted from 0; those between are decoded and dropped.
///
/// A position below the one before it is a panic.
pub struct Picked<Frames, Indices> {
    frames: Frames,
    /// `None` once the stream has ended.
    indices: Option<Indices>,
    /// The last picture taken from the stream, and how many were.
    held: Option<Frame>,
    taken: usize,
}

impl<Frames, Indices> Picked<Frames, Indices> {
    /// The pictures of `frames` at `indices`, which must not fall.
    pub fn new(frames: Frames, indices: Indices) -> Self {
        Self { frames, indices: Some(indices), held: None, taken: 0 }
    }
}

impl<Frames, Indices> Iterator for Picked<Frames, Indices>
where
    Frames: Iterator<Item = Result<Frame, EngineError>>,
    Indices: Iterator<Item = usize>,
{
    type Item = Result<Frame, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.indices.as_mut()?.next()?;
        assert!(index + 1 >= self.taken, "a stream does not run backwards, to picture {index}");
        while self.taken <= index {
            match self.frames.next() {
                Some(Ok(frame)) => self.held = Some(frame),
                ended => {
                    // Fewer pictures than were promised: there is no use in going on.
                    self.indices = None;
                    return ended;
                }
            }
            self.taken += 1;
        }
        self.held.clone().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Picture;

    fn spread(frames: usize, from: f64, to: f64) -> Vec<usize> {
        evenly_spread(frames, from, to).collect()
    }

    #[test]
    fn pictures_are_picked_as_the_reference_picks_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/reference/pixels.json");
        let pixels: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let flower = &pixels["flower"];
        let (frames, fps) = (flower["frames"].as_u64().unwrap() as usize, flower["fps"].as_f64().unwrap());
        let expected = |key: &str| -> Vec<usize> {
            flower[key].as_array().unwrap().iter().map(|position| position.as_f64().unwrap() as usize).collect()
        };
        assert_eq!(spread(frames, fps, 8.0), expected("fps8_float_idx"));
        assert_eq!(spread(frames, fps, 24.0)[..8], expected("frame_idx_fps24"));
        assert_eq!(spread(frames, fps, 24.0), (0..frames).collect::<Vec<_>>());
    }

    #[test]
    fn short_videos_and_higher_rates_have_positions_too() {
        assert_eq!(spread(0, 24.0, 8.0), [] as [usize; 0]);
        // numpy.linspace(0, 9, 1) is [0].
        assert_eq!(spread(10, 24.0, 3.0), [0]);
        assert_eq!(spread(10, 24.0, 2.0), [] as [usize; 0]);
        assert_eq!(spread(3, 10.0, 20.0), [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn a_picked_stream_gives_the_pictures_at_the_positions_and_ends_with_the_stream() {
        let frame =
            |i: usize| Frame { seconds: i as f64, picture: Picture { width: 1, height: 1, pixels: vec![0; 3] } };
        let picked = Picked::new((0..7).map(|i| Ok(frame(i))), [0, 2, 2, 6, 7, 8].into_iter());
        let seconds: Vec<f64> = picked.map(|frame| frame.unwrap().seconds).collect();
        assert_eq!(seconds, [0.0, 2.0, 2.0, 6.0]);
    }
}
