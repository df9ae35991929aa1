//! Samples of a file into pictures in the order in which they are shown.

use super::boxes::Reason;
use super::track::Sample;
use super::{Planes, Unfit};
use crate::data::video::yuv::{Chroma, Colour};
use rust_h264::decoder::{ChromaFormat, Frame, OrderedDecoder};
use rust_h264::nal::{NalUnit, NalUnitType, SpsInfo, parse_avcc, parse_avcc_config, parse_sps_info};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the stream's first parameter set says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Of the cropped picture.
    pub width: usize,
    /// Of the cropped picture.
    pub height: usize,
    /// If it says anything about colour.
    pub colour: Option<Colour>,
}

/// The largest picture of any level (H.264 table A-1, levels 6 to 6.2): 139 264 macroblocks of 16 × 16.
const LARGEST_PICTURE: u64 = 139_264 * 256;

/// A running decoder. Pictures come with the time of the sample they were in.
pub(super) struct H264 {
    file: File,
    file_size: u64,
    samples: std::vec::IntoIter<Sample>,
    length_size: usize,
    stream: Stream,
    /// `None` once the stream has ended or failed.
    decoder: Option<OrderedDecoder<i64>>,
    ready: VecDeque<(Frame, i64)>,
    /// Told once the pictures before it have come out.
    failure: Option<Reason>,
    /// Samples fed without a picture so far.
    owed: usize,
}

impl H264 {
    pub(super) fn new(file: File, avcc: &[u8], samples: Vec<Sample>) -> Result<Self, Unfit> {
        let file_size = file.metadata().map_err(|error| error.to_string())?.len();
        let config = parse_avcc_config(avcc).map_err(ToOwned::to_owned)?;
        let first =
            config.sps_nals.first().ok_or_else(|| Unfit::Other("its parameter sets are in the stream".to_owned()))?;
        let info = parse_sps_info(first).map_err(|error| error.to_string())?;
        check(&info)?;
        let colour = Colour { matrix: info.matrix, full_range: info.full_range };
        let stream = Stream {
            width: info.width as usize,
            height: info.height as usize,
            colour: (colour != Colour::UNSPECIFIED).then_some(colour),
        };
        let mut h264 = Self {
            file,
            file_size,
            samples: samples.into_iter(),
            length_size: config.length_size,
            stream,
            decoder: Some(OrderedDecoder::new()),
            ready: VecDeque::new(),
            failure: None,
            owed: 0,
        };
        h264.decode(config.sps_nals.iter().chain(&config.pps_nals), 0)?;
        Ok(h264)
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Reads and decodes one sample.
    fn feed(&mut self, sample: Sample) -> Result<(), Reason> {
        let end = sample.offset.saturating_add(u64::from(sample.size));
        if end > self.file_size {
            let held = self.file_size;
            return Err(format!(
                "a picture lies at bytes {} to {end}, and the file has {held}: it is cut off",
                sample.offset
            ));
        }
        let mut bytes = vec![0; sample.size as usize];
        let read = self.file.seek(SeekFrom::Start(sample.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| error.to_string())?;
        self.owed += 1;
        self.decode(&parse_avcc(&bytes, self.length_size), sample.time)
    }

    fn decode<'a>(&mut self, nals: impl IntoIterator<Item = &'a NalUnit<'a>>, time: i64) -> Result<(), Reason> {
        for nal in nals {
            if nal.nal_unit_type == NalUnitType::Sps {
                let info = parse_sps_info(nal).map_err(|error| error.to_string())?;
                // A damaged parameter set must not set memory aside.
                check(&info).map_err(|unfit| match unfit {
                    Unfit::Broken(reason) | Unfit::Other(reason) => reason,
                })?;
            }
            let pictures = self.guarded(|decoder| decoder.decode_nal_with_meta(nal, time))?;
            self.ready.extend(pictures.map_err(|error| format!("H.264: {error}"))?);
        }
        Ok(())
    }

    /// The end of the stream: the pictures still held back.
    fn flush(&mut self) -> Result<(), Reason> {
        let rest = self.guarded(OrderedDecoder::flush_with_meta)?;
        self.decoder = None;
        self.ready.extend(rest);
        Ok(())
    }

    /// `rust_h264` is checked against damaged streams by its authors, but panics are possible (an index past a picture's
    /// end, a picture without its time): they are caught here, the panic's own message goes to stderr, and the decoder,
    /// which may be half changed, is not used again.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut OrderedDecoder<i64>) -> R) -> Result<R, Reason> {
        let broken = || "the H.264 decoder gave up: the stream is damaged".to_owned();
        let mut decoder = self.decoder.take().ok_or_else(broken)?;
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut decoder))).map_err(|_| broken())?;
        self.decoder = Some(decoder);
        Ok(result)
    }

    /// Feeds samples until a picture comes out, and keeps the first failure for when all before it have come out.
    fn advance(&mut self) {
        while self.ready.is_empty() && self.decoder.is_some() {
            let failed = match self.samples.next() {
                Some(sample) => self.feed(sample).err(),
                None => self.flush().err(),
            };
            if let Some(reason) = failed {
                self.failure = Some(reason);
                if self.decoder.is_some() && self.flush().is_err() {
                    self.decoder = None;
                }
            }
        }
    }
}

impl Iterator for H264 {
    type Item = Result<(Planes, i64), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance();
        let Some((frame, time)) = self.ready.pop_front() else {
            let owed = std::mem::take(&mut self.owed);
            let missing = (owed > 0).then(|| format!("{owed} of its pictures do not decode"));
            return self.failure.take().or(missing).map(Err);
        };
        self.owed = self.owed.saturating_sub(1);
        let (width, height) = (frame.width as usize, frame.height as usize);
        if (width, height) != (self.stream.width, self.stream.height) {
            self.decoder = None;
            self.ready.clear();
            self.owed = 0;
            let Stream { width: first_width, height: first_height, .. } = self.stream;
            return Some(Err(format!("pictures of {first_width}×{first_height} are followed by {width}×{height}")));
        }
        let chroma = match frame.chroma_format {
            ChromaFormat::Yuv420 => Chroma::Yuv420,
            ChromaFormat::Yuv422 => Chroma::Yuv422,
        };
        Some(Ok((Planes { width, height, chroma, y: frame.y, u: frame.u, v: frame.v }, time)))
    }
}

/// Whether the decoder can do it, in sane memory.
fn check(info: &SpsInfo) -> Result<(), Unfit> {
    let SpsInfo { width, height, coded_width, coded_height, .. } = *info;
    if u64::from(coded_width) * u64::from(coded_height) > LARGEST_PICTURE || info.reference_frames > 16 {
        let frames = info.reference_frames;
        return Err(
            format!("{frames} reference pictures of {coded_width}×{coded_height}: more than H.264 allows").into()
        );
    }
    if width == 0 || height == 0 || width > coded_width || height > coded_height {
        return Err(format!("pictures of {width}×{height}, cut out of {coded_width}×{coded_height}").into());
    }
    if info.bit_depth_luma != 8 || info.bit_depth_chroma != 8 || info.chroma_format > 2 {
        let SpsInfo { bit_depth_luma: luma, bit_depth_chroma: chroma, chroma_format, .. } = *info;
        let format = format!("chroma format {chroma_format} with {luma} and {chroma} bits a sample");
        return Err(Unfit::Other(format!("its H.264 has {format}, not 4:2:0 or 4:2:2 with 8")));
    }
    Ok(())
}
