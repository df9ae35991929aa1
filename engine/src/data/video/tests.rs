//! Everything against ffmpeg, on a clip of our own and on whatever clips have been fetched; and damage.

use super::mp4::Mp4;
use super::yuv::Planes;
use super::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// 48 pictures of 128 × 96 with B-pictures and an edit list: tests/fixtures/video/README.md says how it was made.
fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/video/pan.mp4")
}

/// The repository's clip and every fetched one. Says loudly what is missing.
fn clips() -> Vec<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/data/fetched/videos");
    let mut clips = vec![clip()];
    let folders = ["train", "test"].map(|split| std::fs::read_dir(fetched.join(split)));
    if folders.iter().any(Result::is_err) {
        eprintln!("SKIPPED: the fetched clips (run experiments/data/fetch.sh); only our own is compared");
    }
    clips.extend(folders.into_iter().flatten().flatten().map(|entry| entry.unwrap().path()));
    clips.sort();
    clips
}

/// Whether ffmpeg can be run. Says loudly if not, and fails where it must be.
fn ffmpeg_is_here() -> bool {
    let here = Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success());
    if !here {
        let required = std::env::var("ELASTICTOK_TESTS_REQUIRE").is_ok_and(|programs| programs.contains("ffmpeg"));
        assert!(!required, "ffmpeg is not installed");
        eprintln!("SKIPPED: a comparison with ffmpeg, which is not installed");
    }
    here
}

/// blake3 of each picture that ffmpeg shows, and its decoded bytes' total.
fn shown_by_ffmpeg(path: &Path, format: &[&str], picture_size: usize) -> Vec<blake3::Hash> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(path).args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    command.args(format).args(["-f", "rawvideo", "-"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut hashes = Vec::new();
    let mut picture = vec![0; picture_size];
    while output.read_exact(&mut picture).is_ok() {
        hashes.push(blake3::hash(&picture));
    }
    assert!(child.wait().unwrap().success());
    hashes
}

fn hash_of(planes: &Planes) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&planes.y).update(&planes.u).update(&planes.v).finalize()
}

fn assert_same(path: &Path, ours: &[blake3::Hash], theirs: &[blake3::Hash]) {
    let first = ours.iter().zip(theirs).position(|(our, their)| our != their);
    assert_eq!(first, None, "{}: the first picture that differs", path.display());
    assert_eq!(ours.len(), theirs.len(), "{}: pictures", path.display());
}

#[test]
fn decoded_planes_equal_ffmpegs_in_number_order_and_every_sample() {
    if !ffmpeg_is_here() {
        return;
    }
    for path in clips() {
        let mut mp4 = Mp4::open(File::open(&path).unwrap()).unwrap();
        let VideoInfo { width, height, frames, .. } = mp4.info();
        let ours: Vec<_> = std::iter::from_fn(|| mp4.next_planes()).map(|next| hash_of(&next.unwrap().0)).collect();
        assert_eq!(ours.len(), frames, "{}: the pictures that were promised", path.display());
        let theirs = shown_by_ffmpeg(&path, &["-pix_fmt", "yuv420p"], width * height * 3 / 2);
        assert_same(&path, &ours, &theirs);
        eprintln!("{}: {frames} pictures equal", path.display());
    }
}

#[test]
fn rgb_equals_ffmpegs_in_every_sample() {
    if !ffmpeg_is_here() {
        return;
    }
    for path in clips() {
        let reader = VideoReader::open(&path).unwrap();
        let VideoInfo { width, height, .. } = reader.info();
        let ours: Vec<_> = reader.map(|frame| blake3::hash(&frame.unwrap().picture.pixels)).collect();
        let format = ["-sws_flags", ffmpeg::SCALER, "-pix_fmt", "rgb24"];
        assert_same(&path, &ours, &shown_by_ffmpeg(&path, &format, width * height * 3));
    }
}

/// The same without ffmpeg: the committed hash of what ffmpeg decoded.
#[test]
fn our_clip_decodes_to_the_committed_hash() {
    let mut mp4 = Mp4::open(File::open(clip()).unwrap()).unwrap();
    let mut hasher = blake3::Hasher::new();
    while let Some(next) = mp4.next_planes() {
        let (planes, _) = next.unwrap();
        hasher.update(&planes.y).update(&planes.u).update(&planes.v);
    }
    let expected = include_str!("../../../../tests/fixtures/video/pan.yuv420p.blake3");
    assert_eq!(hasher.finalize().to_string(), expected.trim());
    let reader = VideoReader::open(&clip()).unwrap();
    let expected = VideoInfo { width: 128, height: 96, frames_per_second: 24.0, frames: 48, decoder: "H.264" };
    assert_eq!(reader.info(), expected);
    for (i, frame) in reader.enumerate() {
        assert!((frame.unwrap().seconds - i as f64 / 24.0).abs() < 1e-9);
    }
}

/// A copy of our clip with some of its bytes changed.
fn altered(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(clip()).unwrap();
    change(&mut bytes);
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn after(bytes: &[u8], letters: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == letters).unwrap() + 4
}

#[test]
fn rotated_and_cut_clips_equal_ffmpegs() {
    if !ffmpeg_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The matrix is 40 bytes into the content of tkhd: a, b, u, c, d.
    for (name, a, b, c, d) in [("90", 0, 1, -1, 0), ("180", -1, 0, 0, -1), ("270", 0, -1, 1, 0)] {
        let path = altered(folder.path(), &format!("turned-{name}.mp4"), |bytes| {
            let at = after(bytes, b"tkhd") + 40;
            for (place, value) in [(0, a), (4, b), (12, c), (16, d)] {
                bytes[at + place..at + place + 4].copy_from_slice(&(value * 0x1_0000_i32).to_be_bytes());
            }
        });
        let reader = VideoReader::open(&path).unwrap();
        assert_eq!(reader.info().width, if name == "180" { 128 } else { 96 });
        let ours: Vec<_> = reader.map(|frame| blake3::hash(&frame.unwrap().picture.pixels)).collect();
        let format = ["-sws_flags", ffmpeg::SCALER, "-pix_fmt", "rgb24"];
        assert_same(&path, &ours, &shown_by_ffmpeg(&path, &format, 128 * 96 * 3));
    }
    // Five pictures cut off at the front and ten at the back (a picture lasts 512 of 12288 units, and 1/24 of 1000).
    let path = altered(folder.path(), "cut.mp4", |bytes| {
        let at = after(bytes, b"elst") + 8;
        let start = i32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) + 5 * 512;
        bytes[at..at + 4].copy_from_slice(&(33 * 1000_u32 / 24).to_be_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&start.to_be_bytes());
    });
    let mut mp4 = Mp4::open(File::open(&path).unwrap()).unwrap();
    assert_eq!(mp4.info().frames, 33);
    let ours: Vec<_> = std::iter::from_fn(|| mp4.next_planes()).map(|next| hash_of(&next.unwrap().0)).collect();
    assert_same(&path, &ours, &shown_by_ffmpeg(&path, &["-pix_fmt", "yuv420p"], 128 * 96 * 3 / 2));
}

/// Our clip, encoded again by ffmpeg.
fn converted(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(clip()).args(options).arg(&path);
    assert!(command.status().unwrap().success(), "{name} {options:?}");
    path
}

#[test]
fn every_sampling_range_and_matrix_equals_ffmpegs_rgb() {
    if !ffmpeg_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let full = "scale=out_range=pc";
    let bt709 = ["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_primaries", "bt709"];
    for (name, decoder, options) in [
        ("420.y4m", "Y4M", &["-pix_fmt", "yuv420p"][..]),
        ("420-full.y4m", "Y4M", &["-vf", full, "-pix_fmt", "yuvj420p"]),
        ("422.y4m", "Y4M", &["-pix_fmt", "yuv422p"]),
        ("444.y4m", "Y4M", &["-pix_fmt", "yuv444p"]),
        ("444-full.y4m", "Y4M", &["-vf", full, "-pix_fmt", "yuvj444p"]),
        ("mono.y4m", "Y4M", &["-pix_fmt", "gray"]),
        ("709.mp4", "H.264", &[&bt709[..], &["-pix_fmt", "yuv420p"]].concat()),
        ("full.mp4", "H.264", &["-vf", full, "-pix_fmt", "yuvj420p"]),
        ("422.mp4", "H.264", &["-pix_fmt", "yuv422p"]),
        ("baseline.mp4", "H.264", &["-profile:v", "baseline", "-pix_fmt", "yuv420p"]),
        ("interlaced.mp4", "H.264", &["-flags:v", "+ilme+ildct", "-pix_fmt", "yuv420p"]),
        ("cropped.mov", "H.264", &["-vf", "crop=90:50", "-pix_fmt", "yuv420p"]),
        ("ten-bits.mp4", "ffmpeg", &["-pix_fmt", "yuv420p10le"]),
        ("444.mp4", "ffmpeg", &["-pix_fmt", "yuv444p"]),
        ("fragmented.mp4", "ffmpeg", &["-c", "copy", "-movflags", "+frag_keyframe+empty_moov"]),
        ("mpeg4.mp4", "ffmpeg", &["-c:v", "mpeg4"]),
    ] {
        let path = converted(folder.path(), name, options);
        let reader = VideoReader::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let VideoInfo { width, height, frames, .. } = reader.info();
        assert_eq!((reader.info().decoder, frames), (decoder, 48), "{name}");
        let ours: Vec<_> = reader.map(|frame| blake3::hash(&frame.unwrap().picture.pixels)).collect();
        let format = ["-sws_flags", ffmpeg::SCALER, "-pix_fmt", "rgb24"];
        assert_same(&path, &ours, &shown_by_ffmpeg(&path, &format, width * height * 3));
    }
}

#[test]
fn times_of_a_variable_rate_are_ffmpegs() {
    if !ffmpeg_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let slower = ["-vf", "setpts=N*(N+20)/20/24/TB", "-fps_mode", "vfr", "-enc_time_base", "1/12288"];
    let path = converted(folder.path(), "slower.mp4", &slower);
    let ours: Vec<f64> = VideoReader::open(&path).unwrap().map(|frame| frame.unwrap().seconds).collect();
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "frame=pts_time", "-of", "csv=p=0"]).arg(&path);
    let text = String::from_utf8(probe.output().unwrap().stdout).unwrap();
    let word = |line: &str| line.trim_end_matches(',').parse::<f64>().unwrap();
    let theirs: Vec<f64> = text.lines().filter(|line| !line.is_empty()).map(word).collect();
    assert_eq!((ours.len(), theirs.len()), (48, 48));
    for (i, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert!((our - (their - theirs[0])).abs() < 2e-6, "{our} {their}");
        let meant = (i * (i + 20)) as f64 / 20.0 / 24.0;
        assert!((our - meant).abs() < 1e-3, "{our} {meant}");
    }
}

#[test]
fn animated_webp_is_read_and_a_still_picture_is_not_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let still = folder.path().join("still.webp");
    image::RgbImage::new(8, 8).save(&still).unwrap();
    let error = VideoReader::open(&still).err().unwrap().to_string();
    assert!(error.contains("still picture"), "{error}");
    if !ffmpeg_is_here() {
        return;
    }
    let path = converted(folder.path(), "clip.webp", &["-c:v", "libwebp_anim", "-lossless", "1", "-pix_fmt", "bgra"]);
    let (webp, mp4) = (VideoReader::open(&path).unwrap(), VideoReader::open(&clip()).unwrap());
    assert_eq!((webp.info().frames, webp.info().decoder), (48, "WebP"));
    for (i, (webp, mp4)) in webp.map(Result::unwrap).zip(mp4.map(Result::unwrap)).enumerate() {
        assert!((webp.seconds - i as f64 / 24.0).abs() < 0.03, "{i}: {}", webp.seconds);
        // ffmpeg converts by its default here: up to three levels darker, which is why it is not what we compare with.
        let off = webp.picture.pixels.iter().zip(&mp4.picture.pixels).map(|(a, b)| b.abs_diff(*a)).max();
        assert!(off <= Some(4), "{i}: {off:?}");
    }
}

#[test]
fn other_codecs_come_through_ffmpeg_with_the_same_pictures_and_times() {
    if !ffmpeg_is_here() {
        return;
    }
    // The same H.264 in a container that is not read here.
    let folder = tempfile::tempdir().unwrap();
    let path = converted(folder.path(), "clip.mkv", &["-c", "copy"]);
    let (here, there) = (VideoReader::open(&clip()).unwrap(), VideoReader::open(&path).unwrap());
    assert_eq!(there.info(), VideoInfo { decoder: "ffmpeg", ..here.info() });
    let mut count = 0;
    for (here, there) in here.map(Result::unwrap).zip(there.map(Result::unwrap)) {
        assert!(here.picture == there.picture, "picture {count}");
        // Matroska counts milliseconds.
        assert!((here.seconds - there.seconds).abs() <= 0.001, "{} {}", here.seconds, there.seconds);
        count += 1;
    }
    assert_eq!(count, 48);
}

#[test]
fn a_file_that_needs_ffmpeg_says_so_without_it() {
    let absent = Path::new("no-such-ffmpeg");
    let error = Ffmpeg::open(absent, absent, &clip(), "its codec is 'hvc1'").err().unwrap();
    assert!(["hvc1", "no-such-ffmpeg", "install ffmpeg", ".y4m"].iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn an_mp4_made_by_ffmpeg_from_our_pictures_comes_back() {
    if !ffmpeg_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.mp4");
    let pictures: Vec<Picture> = VideoReader::open(&clip()).unwrap().map(|frame| frame.unwrap().picture).collect();
    let mut writer = VideoWriter::create(&path, 128, 96, 24000.0 / 1001.0).unwrap();
    pictures.iter().for_each(|picture| writer.write(picture).unwrap());
    writer.finish().unwrap();
    let reader = VideoReader::open(&path).unwrap();
    assert_eq!((reader.info().frames, reader.info().decoder), (48, "H.264"));
    assert!((reader.info().frames_per_second - 24000.0 / 1001.0).abs() < 1e-6);
    for (frame, picture) in reader.zip(&pictures) {
        let squared = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
        let pixels = frame.unwrap().picture.pixels;
        let mse = pixels.iter().zip(&picture.pixels).map(squared).sum::<f64>() / pixels.len() as f64;
        let psnr = 10.0 * (255.0 * 255.0 / mse).log10();
        assert!(psnr > 34.0, "{psnr:.1} dB");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

/// How many pictures come out of a file, and the error if there is one.
fn drained(path: &Path) -> (usize, Option<String>) {
    let reader = match VideoReader::open(path) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error.to_string())),
    };
    let (mut frames, mut failure) = (0, None);
    for frame in reader {
        assert_eq!(failure, None, "nothing comes behind an error");
        match frame {
            Ok(frame) => {
                assert_eq!(frame.picture.pixels.len(), frame.picture.width * frame.picture.height * 3);
                frames += 1;
            }
            Err(error) => failure = Some(error.to_string()),
        }
    }
    (frames, failure)
}

#[test]
fn cut_off_clips_give_their_whole_pictures_and_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(clip()).unwrap();
    let mut last = 0;
    for part in 0..20 {
        let path = folder.path().join(format!("{part}.mp4"));
        std::fs::write(&path, &whole[..whole.len() * part / 20]).unwrap();
        let (frames, failure) = drained(&path);
        assert!(failure.is_some(), "{part}/20: {frames} pictures and no error");
        assert!((last..48).contains(&frames), "{part}/20: {frames} pictures after {last}");
        last = frames;
    }
    assert!(last > 40, "the longest part gives most pictures, not {last}");
    let pictures: Vec<Picture> = VideoReader::open(&clip()).unwrap().take(6).map(|f| f.unwrap().picture).collect();
    for name in ["clip.y4m", "clip.gif"] {
        let path = folder.path().join(name);
        let mut writer = VideoWriter::create(&path, 128, 96, 24.0).unwrap();
        pictures.iter().for_each(|picture| writer.write(picture).unwrap());
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(drained(&path), (6, None));
        for part in 1..20 {
            std::fs::write(&path, &whole[..whole.len() * part / 20]).unwrap();
            let (frames, failure) = drained(&path);
            assert!(frames < 6 && failure.is_some(), "{name} {part}/20: {frames} pictures, {failure:?}");
        }
    }
}

#[test]
fn flipped_bytes_give_errors_or_other_pictures_but_no_panic_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(clip()).unwrap();
    let path = folder.path().join("damaged.mp4");
    let (mut failed, mut different) = (0, 0);
    // The index densely, for that is where sizes and counts are; the pictures here and there.
    let index = after(&whole, b"moov")..whole.windows(4).position(|window| window == b"mdat").unwrap();
    let places = index.step_by(3).chain((0..whole.len()).step_by(211));
    for (round, place) in places.enumerate() {
        let mut bytes = whole.clone();
        bytes[place] ^= [0xFF, 0x80, 0x01, 0x40][round % 4];
        std::fs::write(&path, bytes).unwrap();
        if !matches!(VideoReader::open(&path).map(|reader| reader.info().decoder), Ok("ffmpeg")) {
            let (frames, failure) = drained(&path);
            assert!(frames <= 48, "byte {place}: {frames}");
            failed += usize::from(failure.is_some());
            different += usize::from(failure.is_none());
        }
    }
    eprintln!("{failed} damaged files gave an error, {different} did not");
    assert!(failed > 50 && different > 50);
}

#[test]
fn a_folder_of_clips_lists_what_decodes_and_says_why_the_rest_does_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::copy(clip(), folder.path().join("below/pan.mp4")).unwrap();
    std::fs::write(folder.path().join("empty.mp4"), b"").unwrap();
    std::fs::write(folder.path().join("cut.mov"), &std::fs::read(clip()).unwrap()[..200]).unwrap();
    std::fs::write(folder.path().join("note.txt"), b"not a video").unwrap();
    let set = VideoSet::load(folder.path(), 96).unwrap();
    let [video] = &set.videos[..] else { panic!("{:?}", set.videos) };
    assert_eq!((video.name.as_str(), video.info.frames), ("below/pan.mp4", 48));
    assert_eq!(video.hash, blake3::hash(&std::fs::read(clip()).unwrap()));
    let skipped: Vec<&str> = set.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(skipped, ["cut.mov", "empty.mp4"]);
    assert_eq!(set.open(video).unwrap().at_frame_rate(8.0).count(), 16);
    let error = VideoSet::load(folder.path(), 97).unwrap_err().to_string();
    assert!(error.contains("no usable video") && error.contains("128×96 pixels: smaller than"), "{error}");
}

#[test]
fn frames_are_resized_and_cropped_as_photographs_are() {
    let frame = VideoReader::open(&clip()).unwrap().nth(7).unwrap().unwrap();
    let small = frame.resized(48);
    assert_eq!(small.picture, resize_shortest_side(&frame.picture, 48));
    assert_eq!((small.picture.width, small.picture.height), (64, 48));
    let crop = super::super::fixed_crops(&small.picture, 48, 1)[0];
    assert_eq!((small.cropped(crop, 48).picture, small.seconds), (small.picture.crop(8, 0, 48, 48), frame.seconds));
}
