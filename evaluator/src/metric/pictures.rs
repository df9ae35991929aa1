//! Pictures as people see them: 8-bit samples.
//!
//! A reconstruction leaves the model as numbers in [-1, 1]; what is shown, stored and compared by PSNR and SSIM is
//! what they become as bytes. The way there is part of the protocol: rounding and truncation differ by half a level.

/// Pictures of one size as interleaved bytes, `(frame, row, column, channel)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures<'a> {
    frames: usize,
    height: usize,
    width: usize,
    channels: usize,
    samples: &'a [u8],
}

/// Why two sets of pictures cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The samples do not fill the frames.
    #[error(
        "{samples} samples are not {frames} frames of {height} × {width} with {channels} channels (each at least 1)"
    )]
    NotWholeFrames {
        /// Samples given.
        samples: usize,
        /// Frames they should fill.
        frames: usize,
        /// Rows of a frame.
        height: usize,
        /// Columns of a frame.
        width: usize,
        /// Samples of a pixel.
        channels: usize,
    },
    /// Original and reconstruction have different shapes, as (frames, height, width, channels).
    #[error("the original is {0:?} but the reconstruction {1:?} (frames, height, width, channels)")]
    ShapesDiffer([usize; 4], [usize; 4]),
    /// The pictures are smaller than SSIM's window.
    #[error("pictures of {height} × {width} are smaller than SSIM's window of {window} × {window}")]
    SmallerThanWindow {
        /// Rows of a frame.
        height: usize,
        /// Columns of a frame.
        width: usize,
        /// Side of the window.
        window: usize,
    },
    /// The pictures are smaller than a perceptual network can see, or not in colour.
    #[error(
        "the perceptual network needs colour pictures of at least {smallest} × {smallest}, not {height} × {width} with \
         {channels} channels"
    )]
    SmallerThanNetwork {
        /// Rows of a frame.
        height: usize,
        /// Columns of a frame.
        width: usize,
        /// Samples of a pixel.
        channels: usize,
        /// The smallest side it can take.
        smallest: usize,
    },
    /// Halved as often as multi-scale SSIM asks, the pictures become smaller than its window.
    #[error("multi-scale SSIM needs pictures of at least {smallest} × {smallest}, not {height} × {width}")]
    SmallerThanScales {
        /// Rows of a frame.
        height: usize,
        /// Columns of a frame.
        width: usize,
        /// The smallest side it can take.
        smallest: usize,
    },
}

impl<'a> Pictures<'a> {
    /// Takes `samples` as `frames` pictures of `height` rows, `width` columns and `channels` samples a pixel.
    ///
    /// # Errors
    /// [`MetricError::NotWholeFrames`] if the samples do not fill them exactly, or there are none.
    pub fn new([frames, height, width, channels]: [usize; 4], samples: &'a [u8]) -> Result<Self, MetricError> {
        if samples.is_empty() || samples.len() != frames * height * width * channels {
            return Err(MetricError::NotWholeFrames { samples: samples.len(), frames, height, width, channels });
        }
        Ok(Self { frames, height, width, channels, samples })
    }

    /// `[frames, height, width, channels]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.frames, self.height, self.width, self.channels]
    }

    /// All samples, `(frame, row, column, channel)`.
    pub fn samples(&self) -> &'a [u8] {
        self.samples
    }

    /// Samples of each frame, `(row, column, channel)`.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.samples.chunks_exact(self.height * self.width * self.channels)
    }

    /// Checks that `other` can be compared with these pictures.
    pub(super) fn same_shape(&self, other: &Self) -> Result<(), MetricError> {
        if self.shape() == other.shape() { Ok(()) } else { Err(MetricError::ShapesDiffer(self.shape(), other.shape())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_do_not_fill_the_frames_are_refused() {
        let error = Pictures::new([2, 4, 4, 3], &[0; 95]).unwrap_err();
        assert_eq!(error.to_string(), "95 samples are not 2 frames of 4 × 4 with 3 channels (each at least 1)");
        assert!(Pictures::new([0, 4, 4, 3], &[]).is_err());
    }
}
