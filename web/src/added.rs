//! A sample as tokens are added: stored reconstructions from few tokens to all, with the search's own among them.

use evaluator::store::{BlockRow, ContentHash, CurveRow, ProgressivePicture};

/// One of the pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What every block keeps, or the least and the most that some keep.
    pub tokens: String,
    /// In dB, if it was measured.
    pub psnr: Option<f64>,
    /// The picture.
    pub picture: ContentHash,
    /// Whether the search ended here.
    pub is_chosen: bool,
}

/// The search's reconstruction, and its PSNR if that was measured.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    /// The picture.
    pub picture: ContentHash,
    /// In dB.
    pub psnr: Option<f64>,
}

/// The stored pictures in order. The search's own joins them where it belongs, unless all its blocks keep a stored count;
/// alone it is no order.
pub fn steps(
    stored: &[ProgressivePicture],
    blocks: &[(BlockRow, Option<CurveRow>)],
    chosen: Option<Chosen>,
) -> Vec<Step> {
    let kept: Vec<u32> = blocks.iter().map(|(block, _)| block.record.kept_tokens).collect();
    let is_chosen = |count: u32| !kept.is_empty() && kept.iter().all(|kept| *kept == count);
    // A curve is of one block: it tells of a sample that has no other.
    let curve = match blocks {
        [(_, Some(curve))] => curve.points.as_slice(),
        _ => &[],
    };
    let psnr = |count: u32| match chosen {
        Some(chosen) if is_chosen(count) => chosen.psnr,
        _ => curve.iter().find(|point| point.kept_tokens == count).map(|point| point.psnr),
    };
    let step = |picture: &ProgressivePicture| Step {
        tokens: tokens(picture.kept_tokens, picture.kept_tokens),
        psnr: psnr(picture.kept_tokens),
        picture: picture.reconstruction,
        is_chosen: is_chosen(picture.kept_tokens),
    };
    let mut steps: Vec<Step> = stored.iter().map(step).collect();
    let ends = kept.iter().min().zip(kept.iter().max());
    if let (false, Some((least, most)), Some(chosen)) = (stored.is_empty(), ends, chosen)
        && !steps.iter().any(|step| step.is_chosen)
    {
        let all: u32 = kept.iter().sum();
        let place = stored.partition_point(|picture| picture.kept_tokens * (kept.len() as u32) < all);
        let Chosen { picture, psnr } = chosen;
        steps.insert(place, Step { tokens: tokens(*least, *most), psnr, picture, is_chosen: true });
    }
    steps
}

fn tokens(least: u32, most: u32) -> String {
    match (least, most) {
        (1, 1) => "1 token".to_owned(),
        _ if least == most => format!("{least} tokens"),
        _ => format!("{least}–{most} tokens"),
    }
}

#[cfg(test)]
mod tests {
    use evaluator::store::{BlockRecord, SampleId, SourceId};

    use super::*;

    fn hash(words: &str) -> ContentHash {
        ContentHash::of(words.as_bytes())
    }

    fn shown(counts: &[u32], kept: &[u32]) -> Vec<(String, bool)> {
        let stored: Vec<_> = counts
            .iter()
            .map(|&kept_tokens| ProgressivePicture { kept_tokens, reconstruction: hash("stored") })
            .collect();
        let block = |kept_tokens: &u32| {
            let record = BlockRecord { kept_tokens: *kept_tokens, ..BlockRecord::default() };
            let row = BlockRow {
                sample_id: SampleId(1),
                source_id: SourceId(1),
                source_name: String::new(),
                ordinal: 0,
                record,
            };
            (row, None)
        };
        let blocks: Vec<_> = kept.iter().map(block).collect();
        let chosen = Chosen { picture: hash("chosen"), psnr: Some(30.0) };
        let steps = steps(&stored, &blocks, Some(chosen));
        assert!(steps.iter().all(|step| step.psnr.is_some() == step.is_chosen));
        steps.into_iter().map(|step| (step.tokens, step.is_chosen)).collect()
    }

    fn named(steps: &[(&str, bool)]) -> Vec<(String, bool)> {
        steps.iter().map(|(tokens, is_chosen)| ((*tokens).to_owned(), *is_chosen)).collect()
    }

    #[test]
    fn the_searchs_own_picture_stands_where_it_belongs() {
        let before = named(&[("1 token", true), ("4 tokens", false), ("8 tokens", false)]);
        assert_eq!(shown(&[4, 8], &[1]), before);
        assert_eq!(shown(&[4, 8], &[5]), named(&[("4 tokens", false), ("5 tokens", true), ("8 tokens", false)]));
        assert_eq!(shown(&[4, 8], &[9]), named(&[("4 tokens", false), ("8 tokens", false), ("9 tokens", true)]));
        // Blocks of 4 and 12 tokens keep as many as two of 8: they stand before these.
        assert_eq!(shown(&[4, 8], &[4, 12]), named(&[("4 tokens", false), ("4–12 tokens", true), ("8 tokens", false)]));
    }

    #[test]
    fn a_count_that_all_blocks_keep_is_marked_and_not_shown_twice() {
        assert_eq!(shown(&[4, 8], &[8, 8]), named(&[("4 tokens", false), ("8 tokens", true)]));
    }

    #[test]
    fn one_picture_alone_is_no_order() {
        assert_eq!(shown(&[], &[8]), []);
    }
}
