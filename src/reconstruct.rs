//! `reconstruct`: what a model makes of a picture or a video, beside the original.

use crate::cli::{Cli, Reconstruct};
use crate::console::print;
use crate::decode::blocks;
use crate::encode::Tokenizer;
use crate::frames::FrameWriter;
use anyhow::Result;
use engine::data::{Picture, to_frames};

pub(crate) fn reconstruct(cli: &Cli, command: &Reconstruct) -> Result<()> {
    let mesh = command.shared.mesh;
    let tokenizer = Tokenizer::read(cli, &command.checkpoint, &command.encoding)?.shared_by(mesh)?;
    let shape = tokenizer.shape();
    // Begun first: what cannot be written is better known before the work than after.
    let frames = tokenizer.frames(&command.input)?;
    let expected = frames.source(frames.expected)?;
    let mut writer = FrameWriter::create(&command.output, size(shape.width, shape.height), &expected)?;
    let encoded = tokenizer.encode_showing(cli, frames)?;
    let share = |kept: usize| kept as f64 / shape.tokens() as f64;
    let shares: Vec<f64> = encoded.tokens.iter().map(|tokens| share(tokens.kept_tokens)).collect();
    // Every frame shows the whole strip: the file is read again, so that neither its frames nor what is made of them need
    // to be held.
    let mut frames = tokenizer.frames(&command.input)?;
    let decoded = blocks(&tokenizer.model, tokenizer.window, mesh, &encoded.tokens)?;
    for (number, made) in decoded.enumerate() {
        let originals = frames.next_block(shape.frames)?;
        for (original, made) in originals.iter().zip(&to_frames(&made?, shape)) {
            writer.write(side_by_side(original, made, &shares, number))?;
        }
    }
    writer.finish()?;
    print(&format!("{}{}\n", tokenizer.summary(&encoded), command.output.display()))
}

/// Between the pictures and around the strip.
const GAP: usize = 2;
/// The strip's share of a picture's height, and its smallest height.
const STRIP: (usize, usize) = (8, 8);
const BACKGROUND: [u8; 3] = [24, 24, 24];
const TRACK: [u8; 3] = [64, 64, 64];
const BAR: [u8; 3] = [86, 180, 233];
/// The block that is shown.
const SHOWN: [u8; 3] = [230, 159, 0];

/// Width and height of pictures of `width` × `height` side by side, with the strip.
fn size(width: usize, height: usize) -> [usize; 2] {
    [2 * width + GAP, height + GAP + strip(height)]
}

fn strip(height: usize) -> usize {
    (height / STRIP.0).max(STRIP.1)
}

/// Original left, reconstruction right; below a strip with a bar for each block, as high as its share of kept tokens.
fn side_by_side(original: &Picture, made: &Picture, shares: &[f64], shown: usize) -> Picture {
    let strip = strip(original.height);
    let [width, height] = size(original.width, original.height);
    let mut canvas = Canvas { width, pixels: BACKGROUND.repeat(width * height) };
    for (picture, x) in [(original, 0), (made, original.width + GAP)] {
        for (y, row) in picture.pixels.chunks(picture.width * 3).enumerate() {
            canvas.row(x, y)[..row.len()].copy_from_slice(row);
        }
    }
    let top = original.height + GAP;
    for column in 0..width {
        let block = column * shares.len() / width;
        // Wide enough, bars stand apart.
        let is_gap =
            width / shares.len() > 4 && (column + 1) * shares.len() / width > block && block + 1 < shares.len();
        if is_gap {
            continue;
        }
        let filled = (shares[block] * strip as f64).round().max(1.0) as usize;
        for y in 0..strip {
            let bar = if block == shown { SHOWN } else { BAR };
            let colour = if y >= strip - filled { bar } else { TRACK };
            canvas.row(column, top + y)[..3].copy_from_slice(&colour);
        }
    }
    Picture { width, height, pixels: canvas.pixels }
}

struct Canvas {
    width: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// From a pixel to the picture's end.
    fn row(&mut self, x: usize, y: usize) -> &mut [u8] {
        &mut self.pixels[(y * self.width + x) * 3..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_side_by_side_over_a_bar_for_each_block() {
        let plain = |value: u8| Picture { width: 16, height: 16, pixels: vec![value; 16 * 16 * 3] };
        let made = side_by_side(&plain(10), &plain(200), &[0.25, 1.0], 1);
        assert_eq!((made.width, made.height, made.pixels.len()), (34, 26, 34 * 26 * 3));
        let at = |x: usize, y: usize| <[u8; 3]>::try_from(&made.pixels[(y * 34 + x) * 3..][..3]).unwrap();
        assert_eq!(
            [at(0, 0), at(15, 15), at(16, 0), at(18, 0), at(33, 15)],
            [[10; 3], [10; 3], BACKGROUND, [200; 3], [200; 3]]
        );
        // The strip's eight rows: a quarter is two of them, from below.
        let column = |x: usize| (18..26).map(|y| at(x, y)).collect::<Vec<_>>();
        assert_eq!(column(3), [&[TRACK; 6][..], &[BAR; 2]].concat());
        assert_eq!(column(16), [BACKGROUND; 8]);
        assert_eq!(column(20), [SHOWN; 8]);
    }
}
