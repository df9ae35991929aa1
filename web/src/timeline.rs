//! What each block of a clip keeps, as bars in the order of time.

use askama::Template;
use evaluator::store::BlockRecord;

/// A bar's place in the drawing, and the height of all tokens.
const STEP: usize = 10;
const HEIGHT: f64 = 100.0;

/// The bars of a sample.
#[derive(Debug, Template)]
#[template(path = "timeline.html")]
pub struct Timeline {
    bars: Vec<Bar>,
    width: usize,
    max_tokens: u32,
    misses: bool,
}

#[derive(Debug)]
struct Bar {
    block: u32,
    x: usize,
    y: String,
    height: String,
    missed: bool,
    title: String,
}

impl Timeline {
    /// Of blocks that can keep so many tokens.
    pub fn of(blocks: &[BlockRecord], max_tokens: u32) -> Self {
        let bars: Vec<Bar> =
            blocks.iter().enumerate().map(|(place, block)| Bar::of(place, block, max_tokens)).collect();
        Self { width: STEP * bars.len(), max_tokens, misses: bars.iter().any(|bar| bar.missed), bars }
    }
}

impl Bar {
    fn of(place: usize, block: &BlockRecord, max_tokens: u32) -> Self {
        let height = HEIGHT * f64::from(block.kept_tokens) / f64::from(max_tokens.max(1));
        let met = match block.threshold_met {
            Some(true) => ", meets τ",
            Some(false) => ", misses τ",
            None => "",
        };
        Self {
            block: block.block,
            x: STEP * place + 1,
            y: format!("{:.1}", HEIGHT - height),
            height: format!("{height:.1}"),
            missed: block.threshold_met == Some(false),
            title: format!("block {}: {} of {max_tokens} tokens{met}", block.block, block.kept_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_share_of_all_tokens() {
        let block = |block, kept_tokens, met| BlockRecord {
            block,
            kept_tokens,
            threshold_met: Some(met),
            ..BlockRecord::default()
        };
        let timeline = Timeline::of(&[block(0, 16, true), block(1, 64, false)], 64);
        let [first, last] = &timeline.bars[..] else { panic!("a bar a block") };
        assert_eq!((first.x, first.y.as_str(), first.height.as_str(), first.missed), (1, "75.0", "25.0", false));
        assert_eq!((last.x, last.y.as_str(), last.height.as_str(), last.missed), (11, "0.0", "100.0", true));
        assert_eq!(last.title, "block 1: 64 of 64 tokens, misses τ");
        assert!(timeline.misses && timeline.render().unwrap().contains("data-block=\"1\""));
    }
}
