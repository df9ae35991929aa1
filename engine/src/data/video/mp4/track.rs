//! The H.264 track of an mp4: where its samples lie, when they are shown, how they are to be seen.
//!
//! Times follow the edit list as ffmpeg does: what the edit leaves out is decoded (later pictures need it) but not shown.

use super::boxes::{Fields, Reason, find, need};
use super::{Orientation, Unfit};
use crate::data::video::yuv::Colour;
use std::ops::Range;

/// One coded picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Of its first byte in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// When it is shown, in the track's time units.
    pub time: i64,
}

/// A track of H.264 pictures.
#[derive(Debug)]
pub(super) struct Track {
    /// In the order of decoding.
    pub samples: Vec<Sample>,
    /// Time units a second.
    pub timescale: u32,
    /// Sum of the samples' durations, in time units.
    pub duration: u64,
    /// Samples whose time lies in here are shown.
    pub shown: Range<i64>,
    /// The `avcC` box: parameter sets and the size of length fields.
    pub avcc: Vec<u8>,
    /// What the `colr` box says, if there is one. The stream's own word goes before it.
    pub colour: Option<Colour>,
    /// How the pictures are to be turned.
    pub orientation: Orientation,
}

impl Track {
    /// The first video track of a `moov` box's content.
    pub(super) fn parse(moov: &[u8]) -> Result<Self, Unfit> {
        let movie_timescale = {
            let mut mvhd = need(moov, &[b"mvhd"])?;
            let version = mvhd.version()?;
            mvhd.bytes(if version == 1 { 16 } else { 8 })?;
            mvhd.u32()?
        };
        let mut boxes = Fields(moov);
        let mut fragmented = false;
        let mut video = None;
        while let Some((kind, content)) = boxes.next_box()? {
            fragmented |= kind == *b"mvex";
            if kind == *b"trak" && video.is_none() && is_video(content)? {
                video = Some(content);
            }
        }
        if fragmented {
            return Err(Unfit::Other("it is fragmented".to_owned()));
        }
        let trak = video.ok_or_else(|| "there is no video track".to_owned())?;
        let mut mdhd = need(trak, &[b"mdia", b"mdhd"])?;
        let version = mdhd.version()?;
        mdhd.bytes(if version == 1 { 16 } else { 8 })?;
        let timescale = mdhd.u32()?;
        if timescale == 0 || movie_timescale == 0 {
            return Err("its time scale is 0".to_owned().into());
        }
        let stbl = need(trak, &[b"mdia", b"minf", b"stbl"])?.0;
        let (avcc, colour) = sample_entry(stbl)?;
        let (samples, duration) = samples(stbl)?;
        let shown = edit(trak, timescale, movie_timescale)?;
        Ok(Self { samples, timescale, duration, shown, avcc, colour, orientation: orientation(trak)? })
    }
}

fn is_video(trak: &[u8]) -> Result<bool, Reason> {
    let Some(hdlr) = find(trak, &[b"mdia", b"hdlr"])? else { return Ok(false) };
    Ok(hdlr.get(8..12) == Some(b"vide"))
}

/// `avcC` and colour of the one H.264 sample description.
fn sample_entry(stbl: &[u8]) -> Result<(Vec<u8>, Option<Colour>), Unfit> {
    let mut stsd = need(stbl, &[b"stsd"])?;
    stsd.version()?;
    let entries = stsd.u32()?;
    let (codec, entry) = stsd.next_box()?.ok_or_else(|| "its sample description is missing".to_owned())?;
    if codec != *b"avc1" {
        let codec = String::from_utf8_lossy(&codec).into_owned();
        return Err(Unfit::Other(format!("its codec is '{codec}', not H.264 ('avc1')")));
    }
    if entries != 1 {
        return Err(Unfit::Other(format!("it has {entries} sample descriptions")));
    }
    // VisualSampleEntry: 78 bytes before the boxes. Its width and height are the display's; the stream knows better.
    let mut fields = Fields(entry);
    fields.bytes(78)?;
    let avcc = need(fields.0, &[b"avcC"])?.0.to_vec();
    let Some(colr) = find(fields.0, &[b"colr"])? else { return Ok((avcc, None)) };
    let mut colr = Fields(colr);
    let kind = colr.bytes(4)?;
    if kind != b"nclx" && kind != b"nclc" {
        return Ok((avcc, None));
    }
    colr.bytes(4)?;
    let matrix = colr.u16()? as u8;
    let full_range = kind == b"nclx" && colr.u8()? & 0x80 != 0;
    Ok((avcc, Some(Colour { matrix, full_range })))
}

/// Every sample, and the sum of their durations in time units.
fn samples(stbl: &[u8]) -> Result<(Vec<Sample>, u64), Reason> {
    let sizes = sizes(stbl)?;
    let offsets = chunk_offsets(stbl)?;
    let mut samples = Vec::with_capacity(sizes.len());
    let mut stsc = need(stbl, &[b"stsc"])?;
    stsc.version()?;
    let mut runs = Vec::new();
    for _ in 0..stsc.count(12)? {
        runs.push((stsc.u32()? as usize, stsc.u32()?));
        stsc.u32()?;
    }
    for (i, (first, per_chunk)) in runs.iter().enumerate() {
        let end = runs.get(i + 1).map_or(offsets.len() + 1, |next| next.0);
        // Chunks are counted from 1.
        let chunks = first.checked_sub(1).and_then(|first| offsets.get(first..end.checked_sub(1)?));
        for chunk in
            chunks.ok_or_else(|| format!("chunks {first} to {end} are not in its table of {}", offsets.len()))?
        {
            let mut offset = *chunk;
            for size in sizes.iter().skip(samples.len()).take(*per_chunk as usize) {
                samples.push(Sample { offset, size: *size, time: 0 });
                offset = offset.checked_add(u64::from(*size)).ok_or("a sample lies behind the end of all files")?;
            }
        }
    }
    if samples.is_empty() || samples.len() < sizes.len() {
        return Err(format!("its chunks hold {} of its {} samples", samples.len(), sizes.len()));
    }
    let duration = set_times(stbl, &mut samples)?;
    Ok((samples, duration))
}

/// Bytes of each sample.
fn sizes(stbl: &[u8]) -> Result<Vec<u32>, Reason> {
    let mut stsz = need(stbl, &[b"stsz"])?;
    stsz.version()?;
    match stsz.u32()? {
        0 => (0..stsz.count(4)?).map(|_| stsz.u32()).collect(),
        // No encoder of pictures makes them all alike, and the count could be any.
        size => Err(format!("each of its pictures is said to have {size} bytes")),
    }
}

fn chunk_offsets(stbl: &[u8]) -> Result<Vec<u64>, Reason> {
    if let Some(co64) = find(stbl, &[b"co64"])? {
        let mut co64 = Fields(co64);
        co64.version()?;
        return (0..co64.count(8)?).map(|_| co64.u64()).collect();
    }
    let mut stco = need(stbl, &[b"stco"])?;
    stco.version()?;
    (0..stco.count(4)?).map(|_| stco.u32().map(u64::from)).collect()
}

/// Decode times from `stts`, plus the offsets of `ctts`: when each is shown. Returns the sum of the durations.
fn set_times(stbl: &[u8], samples: &mut [Sample]) -> Result<u64, Reason> {
    let mut stts = need(stbl, &[b"stts"])?;
    stts.version()?;
    let mut rest = samples.iter_mut();
    let mut time = 0_i64;
    for _ in 0..stts.count(8)? {
        let (count, step) = (stts.u32()?, stts.u32()?);
        for sample in rest.by_ref().take(count as usize) {
            sample.time = time;
            // At most 2³² samples of 2³² units: no overflow.
            time += i64::from(step);
        }
    }
    if rest.len() > 0 {
        return Err(format!("{} samples have no time", rest.len()));
    }
    if let Some(ctts) = find(stbl, &[b"ctts"])? {
        let mut ctts = Fields(ctts);
        ctts.version()?;
        let mut rest = samples.iter_mut();
        for _ in 0..ctts.count(8)? {
            // Version 0 says unsigned, but files with negative offsets in it exist; everybody reads them signed.
            let (count, offset) = (ctts.u32()?, ctts.i32()?);
            rest.by_ref().take(count as usize).for_each(|sample| sample.time += i64::from(offset));
        }
    }
    Ok(time as u64)
}

/// Which times are shown.
fn edit(trak: &[u8], timescale: u32, movie_timescale: u32) -> Result<Range<i64>, Unfit> {
    let Some(elst) = find(trak, &[b"edts", b"elst"])? else { return Ok(i64::MIN..i64::MAX) };
    let mut elst = Fields(elst);
    let version = elst.version()?;
    let mut shown = None;
    for _ in 0..elst.count(if version == 1 { 20 } else { 12 })? {
        let duration = elst.wide(version)?;
        let start = if version == 1 { elst.u64()? as i64 } else { i64::from(elst.i32()?) };
        let rate = elst.i32()?;
        if start == -1 {
            // A wait before the video begins: times are counted from the first picture anyway.
            continue;
        }
        if shown.is_some() || rate != 0x1_0000 || start < 0 {
            return Err(Unfit::Other("its edit list has several parts or another speed".to_owned()));
        }
        let (from, to) = (u128::from(movie_timescale), u128::from(timescale));
        let units = (u128::from(duration) * to + from / 2) / from;
        let end = i64::try_from(units).ok().and_then(|units| start.checked_add(units)).unwrap_or(i64::MAX);
        shown = Some(if duration == 0 { start..i64::MAX } else { start..end });
    }
    Ok(shown.unwrap_or(i64::MIN..i64::MAX))
}

/// The matrix of the track's header.
fn orientation(trak: &[u8]) -> Result<Orientation, Unfit> {
    let mut tkhd = need(trak, &[b"tkhd"])?;
    let version = tkhd.version()?;
    tkhd.bytes(if version == 1 { 32 } else { 20 } + 16)?;
    let (a, b, _) = (tkhd.i32()?, tkhd.i32()?, tkhd.i32()?);
    let (c, d) = (tkhd.i32()?, tkhd.i32()?);
    let whole = |value: i32| (value % 0x1_0000 == 0).then_some(value / 0x1_0000);
    let matrix = [a, b, c, d].map(whole);
    Orientation::new(matrix).ok_or_else(|| Unfit::Other("its pictures are turned by no multiple of 90°".to_owned()))
}
