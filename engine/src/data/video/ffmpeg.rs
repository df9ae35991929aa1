//! Videos that are not decoded here, and mp4 that is not encoded here: the `ffmpeg` program over pipes.
//!
//! It is asked for portable pixmaps, which carry their size, and `showinfo` tells each picture's time on stderr before the
//! picture comes. Every picture is passed on once, whatever the frame rate varies to; edit lists and rotation are applied.

use super::{Frame, VideoInfo};
use crate::data::Picture;
use crate::patch::CHANNELS;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// The conversion that [`super::yuv`] does.
pub(super) const SCALER: &str = "neighbor+accurate_rnd+full_chroma_int+bitexact";

/// A program that decodes.
pub(super) struct Ffmpeg {
    child: Child,
    output: BufReader<ChildStdout>,
    times: Receiver<f64>,
    /// Reads stderr; returns what went wrong.
    listener: Option<JoinHandle<String>>,
    info: VideoInfo,
    /// Read ahead, for its size.
    first: Option<Frame>,
    /// The first picture's time.
    start: f64,
    ended: bool,
}

impl Ffmpeg {
    /// Starts `program` on a file that needs it because of `why`.
    pub(super) fn open(program: &Path, prober: &Path, path: &Path, why: &str) -> Result<Self, String> {
        let (frames_per_second, frames) = probe(prober, path, why)?;
        let mut command = Command::new(program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]);
        command.arg("-i").arg(local(path));
        command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "showinfo", "-sws_flags", SCALER]);
        command.args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| absent(program, why, &error))?;
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let errors = child.stderr.take().expect("it was piped");
        let (sender, times) = channel();
        let listener = Some(std::thread::spawn(move || listen(BufReader::new(errors), &sender)));
        let info = VideoInfo { width: 0, height: 0, frames_per_second, frames, decoder: "ffmpeg" };
        let mut ffmpeg = Self { child, output, times, listener, info, first: None, start: 0.0, ended: false };
        let first = ffmpeg.read()?.ok_or_else(|| "ffmpeg found no picture in it".to_owned())?;
        ffmpeg.start = first.seconds;
        (ffmpeg.info.width, ffmpeg.info.height) = (first.picture.width, first.picture.height);
        ffmpeg.first = Some(first);
        Ok(ffmpeg)
    }

    pub(super) fn info(&self) -> VideoInfo {
        self.info
    }

    /// The next picture with its own time.
    fn read(&mut self) -> Result<Option<Frame>, String> {
        let told = |error: std::io::Error| format!("ffmpeg's output ended early: {error}");
        let mut header = Vec::new();
        for _ in 0..3 {
            self.output.read_until(b'\n', &mut header).map_err(told)?;
        }
        if header.is_empty() {
            return self.end().map(|()| None);
        }
        let words: Vec<&str> = std::str::from_utf8(&header).unwrap_or_default().split_ascii_whitespace().collect();
        let ["P6", width, height, "255"] = words[..] else {
            return Err("ffmpeg's output is not a pixmap".to_owned());
        };
        let number =
            |word: &str| word.parse::<usize>().map_err(|error| format!("ffmpeg's output has size {word}: {error}"));
        let (width, height) = (number(width)?, number(height)?);
        let mut pixels = vec![0; width * height * CHANNELS];
        self.output.read_exact(&mut pixels).map_err(told)?;
        let seconds = self.times.recv().map_err(|_| "ffmpeg did not tell a picture's time".to_owned())?;
        Ok(Some(Frame { seconds, picture: Picture { width, height, pixels } }))
    }

    /// Its exit: an error if it failed.
    fn end(&mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let errors = self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default();
        if status.success() { Ok(()) } else { Err(format!("ffmpeg failed ({status}): {errors}")) }
    }
}

impl Iterator for Ffmpeg {
    type Item = Result<Frame, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.first.take().map_or_else(|| self.read().transpose(), |first| Some(Ok(first)));
        self.ended = !matches!(frame, Some(Ok(_)));
        let start = self.start;
        frame.map(|frame| frame.map(|frame| Frame { seconds: frame.seconds - start, ..frame }))
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Where it has ended by itself, neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends every `pts_time:` of showinfo and returns the last few complaints.
fn listen(errors: impl std::io::BufRead, times: &Sender<f64>) -> String {
    let mut complaints: Vec<String> = Vec::new();
    for line in errors.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let time =
            line.split_once("pts_time:").and_then(|(_, rest)| rest.split_ascii_whitespace().next()?.parse().ok());
        if let Some(time) = time {
            // Nobody listens any more once the reader is dropped.
            let _ = times.send(time);
        } else if line.contains("[error]") || line.contains("[fatal]") {
            complaints.truncate(4);
            complaints.push(line.replace("[error] ", "").replace("[fatal] ", ""));
        }
    }
    complaints.join("; ")
}

/// Pictures a second and how many there are.
fn probe(program: &Path, path: &Path, why: &str) -> Result<(f64, usize), String> {
    let mut command = Command::new(program);
    command.args(["-loglevel", "error", "-select_streams", "v:0", "-count_packets"]);
    command.args(["-show_entries", "stream=avg_frame_rate,nb_read_packets", "-of", "default=noprint_wrappers=1"]);
    let output = command.arg(local(path)).output().map_err(|error| absent(program, why, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let rate = value("avg_frame_rate").and_then(|rate| {
        let (over, under) = rate.split_once('/')?;
        let rate = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
        (rate.is_finite() && rate > 0.0).then_some(rate)
    });
    let frames = value("nb_read_packets").and_then(|frames| frames.parse().ok());
    rate.zip(frames).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        format!("{why}, and ffprobe finds no video in it: {said}")
    })
}

/// A file's name that ffmpeg takes for nothing else: not for an option, not for a protocol.
fn local(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn absent(program: &Path, why: &str, error: &std::io::Error) -> String {
    let program = program.display();
    format!(
        "{why}; that needs the program {program}, which cannot be run ({error}): install ffmpeg 5.1 or newer (apt-get \
         install ffmpeg, brew install ffmpeg), or use H.264 in .mp4, .y4m, or an animated .gif or .webp"
    )
}

/// A program that encodes H.264 into an mp4 at `path`, from raw RGB on its standard input.
pub(super) struct Encoder {
    child: Child,
    input: Option<ChildStdin>,
}

impl Encoder {
    pub(super) fn start(
        program: &Path,
        path: &Path,
        width: usize,
        height: usize,
        rate: (u32, u32),
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-s", &format!("{width}x{height}"), "-r", &format!("{}/{}", rate.0, rate.1), "-i", "pipe:0"]);
        // Visually lossless; 4:2:0 and the index in front, so that browsers play it; the matrix that was used, by name.
        command.args(["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-sws_flags", "accurate_rnd+bitexact"]);
        command.args(["-colorspace", "smpte170m", "-color_range", "tv", "-movflags", "+faststart", "-f", "mp4", "-y"]);
        command.arg(local(path)).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| absent(program, ".mp4 is written by ffmpeg", &error))?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    pub(super) fn write(&mut self, picture: &Picture) -> Result<(), String> {
        use std::io::Write as _;
        let input = self.input.as_mut().ok_or_else(|| "ffmpeg has already ended".to_owned())?;
        if input.write_all(&picture.pixels).is_ok() {
            return Ok(());
        }
        // It closed its end: what it said is worth more than "broken pipe".
        Err(self.end().err().unwrap_or_else(|| "ffmpeg ended early".to_owned()))
    }

    /// Waits until everything is written.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.input = None;
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut said).map_err(|error| error.to_string())?;
        }
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let said = said.trim().replace('\n', "; ");
        if status.success() { Ok(()) } else { Err(format!("ffmpeg failed ({status}): {said}")) }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
