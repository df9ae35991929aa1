//! What a regressor sees of blocks, packed for one pass.

use super::RegressorConfig;
use crate::block::Layout;
use crate::mask::PrefixMask;
use crate::ops::Scope;
use crate::tensor::{Tokens, tokens};
use std::borrow::Borrow;
use std::sync::Arc;

/// A block, and what is known of those before it in its clip.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenBlock {
    /// Its patches in [−1, 1]: tokens · patch values.
    pub patches: Arc<[f32]>,
    /// The blocks before it with the tokens that each kept, oldest first. Those farther back than
    /// [`RegressorConfig::earlier`] are not looked at.
    pub earlier: Vec<(Arc<[f32]>, usize)>,
}

impl SeenBlock {
    /// A block of a picture, or the first of a clip.
    pub fn alone(patches: impl Into<Arc<[f32]>>) -> Self {
        Self { patches: patches.into(), earlier: Vec::new() }
    }
}

/// Blocks behind their earlier ones: sequences of one length, the short ones filled up in front.
pub(super) struct Batch {
    /// (sequences · blocks · tokens, patch).
    pub(super) patches: Tokens,
    /// What fills up is a segment of its own, which nobody else sees.
    pub(super) scope: Scope,
    pub(super) kept: PrefixMask,
}

/// Segments of a sequence.
const FILLING: i32 = 0;
const SEEN: i32 = 1;

impl Batch {
    pub(super) fn of(blocks: &[impl Borrow<SeenBlock>], config: &RegressorConfig) -> Self {
        let (tokens_per_block, patch) = (config.block.tokens(), config.block.patch_values());
        let looked_at = |seen: &SeenBlock| seen.earlier.len().min(config.earlier);
        let longest = blocks.iter().map(|seen| looked_at(seen.borrow())).max().unwrap_or(0);
        let layout = Layout { sequences: blocks.len(), blocks: longest + 1, tokens_per_block };
        let (mut patches, mut kept) = (Vec::with_capacity(layout.tokens() * patch), Vec::new());
        let mut segments = Vec::with_capacity(layout.tokens());
        for seen in blocks {
            let SeenBlock { patches: own, earlier } = seen.borrow();
            let earlier = &earlier[earlier.len() - looked_at(seen.borrow())..];
            let filling = longest - earlier.len();
            patches.resize(patches.len() + filling * own.len(), 0.0);
            kept.resize(kept.len() + filling, tokens_per_block);
            for (block, count) in earlier {
                patches.extend_from_slice(block);
                kept.push(*count);
            }
            patches.extend_from_slice(own);
            kept.push(tokens_per_block);
            segments.resize(segments.len() + filling * tokens_per_block, FILLING);
            segments.resize(segments.len() + (earlier.len() + 1) * tokens_per_block, SEEN);
        }
        let mut scope = Scope::block_causal(layout);
        scope.segments = segments.contains(&FILLING).then(|| segments.into());
        Self { patches: tokens(patches, layout.tokens(), patch), scope, kept: PrefixMask::new(tokens_per_block, kept) }
    }
}
