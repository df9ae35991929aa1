//! How much was kept: tokens, their share, bits, and whether the threshold was met for it.
//!
//! Bits are those of a file one could write today, without an entropy coder: the kept codes of a block as the digits of
//! one whole number in base `codebook_size`, behind the count itself as a number of fixed width.
use super::{Direction, MetricDef, mean_over_blocks};
use crate::search::meets;
use engine::TokenRange;

/// [`kept_tokens`].
pub const KEPT_TOKENS: MetricDef = MetricDef {
    name: "kept_tokens",
    version: 1,
    unit: "tokens/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Tokens kept of a block, mean over the sample's blocks.",
};

/// [`token_share`].
pub const TOKEN_SHARE: MetricDef = MetricDef {
    name: "token_share",
    version: 1,
    unit: "",
    direction: Direction::Lower,
    noisy: false,
    description: "Kept tokens over all tokens of a block, mean over the sample's blocks.",
};

/// [`bits`].
pub const BITS: MetricDef = MetricDef {
    name: "bits",
    version: 1,
    unit: "bit/block",
    direction: Direction::Lower,
    noisy: false,
    description: "ceil(kept tokens × log2(codebook size)) + ceil(log2(possible counts)), mean over the \
                  sample's blocks.",
};

/// [`bits_per_pixel`].
pub const BITS_PER_PIXEL: MetricDef = MetricDef {
    name: "bits_per_pixel",
    version: 1,
    unit: "bit/pixel",
    direction: Direction::Lower,
    noisy: false,
    description: "Bits of a block over the pixels of all its frames, mean over the sample's blocks.",
};

/// [`threshold_met`].
pub const THRESHOLD_MET: MetricDef = MetricDef {
    name: "threshold_met",
    version: 1,
    unit: "",
    direction: Direction::Higher,
    noisy: false,
    description: "1 where a block's final reconstruction meets the threshold, else 0, mean over the sample's blocks.",
};

/// Tokens kept, mean over blocks.
///
/// # Panics
/// If there is no block; so do all metrics of this file.
pub fn kept_tokens(kept_tokens: &[usize]) -> f64 {
    mean_over_blocks(kept_tokens.iter().map(|&kept| kept as f64))
}

/// Kept tokens over all tokens of a block, in (0, 1], mean over blocks.
pub fn token_share(kept: &[usize], range: TokenRange) -> f64 {
    kept_tokens(kept) / range.max() as f64
}

/// Whole bits of one block: `ceil(kept × log2(codebook_size)) + ceil(log2(range.len()))`.
///
/// The two parts are rounded up one by one, each block for itself: each block can be read without the others.
///
/// # Panics
/// If the codebook is empty.
pub fn block_bits(kept_tokens: usize, codebook_size: usize, range: TokenRange) -> f64 {
    assert!(codebook_size > 0, "a codebook has at least one code");
    let codes = (kept_tokens as f64 * (codebook_size as f64).log2()).ceil();
    codes + count_bits(range)
}

/// Whole bits of a block's count as a number of fixed width: `ceil(log2(range.len()))`.
pub(super) fn count_bits(range: TokenRange) -> f64 {
    f64::from(range.len().next_power_of_two().ilog2())
}

/// [`block_bits`], mean over blocks.
pub fn bits(kept_tokens: &[usize], codebook_size: usize, range: TokenRange) -> f64 {
    mean_over_blocks(kept_tokens.iter().map(|&kept| block_bits(kept, codebook_size, range)))
}

/// [`bits`] over the pixels of a block: width × height × frames, whatever the channels.
pub fn bits_per_pixel(kept_tokens: &[usize], codebook_size: usize, range: TokenRange, pixels_per_block: usize) -> f64 {
    assert!(pixels_per_block > 0, "a block has at least one pixel");
    bits(kept_tokens, codebook_size, range) / pixels_per_block as f64
}

/// Share of blocks whose final distortion meets the threshold; of one block, 0 or 1.
pub fn threshold_met(final_distortions: &[f64], threshold: f64) -> f64 {
    mean_over_blocks(final_distortions.iter().map(|&distortion| f64::from(u8::from(meets(distortion, threshold)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: usize, max: usize) -> TokenRange {
        TokenRange::new(min, max).unwrap()
    }

    #[test]
    fn tokens_are_averaged_over_blocks() {
        assert_eq!(kept_tokens(&[256, 1024]), 640.0);
        assert_eq!(token_share(&[256, 1024], range(256, 4096)), 0.15625);
    }

    #[test]
    fn bits_of_a_released_block_by_hand() {
        // 1000 codes of 64 000: 1000 × 15.96578… = 15 965.78 → 15 966; 3841 counts 256..=4096 need 12 bits.
        assert_eq!(block_bits(1000, 64_000, range(256, 4096)), 15_978.0);
        // Base 16 digits are whole: 5 × 4; one possible count needs no bits.
        assert_eq!(block_bits(5, 16, range(5, 5)), 20.0);
        // 16 counts need 4 bits, 17 need 5.
        assert_eq!(block_bits(0, 16, range(1, 16)), 4.0);
        assert_eq!(block_bits(0, 16, range(1, 17)), 5.0);
    }

    #[test]
    fn a_power_of_two_codebook_never_pays_for_rounding() {
        for exponent in 1..=20 {
            for kept in [1, 3, 4095, 4096] {
                assert_eq!(block_bits(kept, 1 << exponent, range(7, 7)), (kept * exponent) as f64);
            }
        }
    }

    #[test]
    fn bits_per_pixel_counts_the_pixels_of_all_frames() {
        // Two blocks of 20 and 40 bits, each of 2 frames of 4 × 4.
        assert_eq!(bits_per_pixel(&[5, 10], 16, range(10, 10), 32), 30.0 / 32.0);
    }

    #[test]
    fn a_distortion_equal_to_the_threshold_meets_it() {
        assert_eq!(threshold_met(&[0.01], 0.01), 1.0);
        assert_eq!(threshold_met(&[0.010_001], 0.01), 0.0);
        assert_eq!(threshold_met(&[0.0, 0.02, 0.01, 0.03], 0.01), 0.5);
    }
}
