//! How much of its codebook a model speaks.
//!
//! A codebook of 64 000 codes of which 300 occur is one of 300. Usage counts which codes occur at all; perplexity, e to
//! the entropy of their frequencies, is the size of a codebook that would be as varied if all its codes were equally
//! frequent. Both are estimates from the tokens at hand and **too low when these are few**: n tokens can show neither
//! more than n codes nor a perplexity above n. So the number of tokens is part of the answer, and values from different
//! numbers of tokens do not compare.
//!
//! Only kept tokens speak. A dropped token's z = 0 is also a valid code; the released statistics count it.
use super::{Direction, MetricDef};

/// [`CodebookUse::usage`]. A value of a trial: no sample has one.
pub const CODEBOOK_USAGE: MetricDef = MetricDef {
    name: "codebook_usage",
    version: 1,
    unit: "",
    direction: Direction::Higher,
    noisy: false,
    description: "Share of the codebook that occurs among the kept tokens of all samples; too low when these are few.",
};

/// [`CodebookUse::perplexity`]. A value of a trial: no sample has one.
pub const CODEBOOK_PERPLEXITY: MetricDef = MetricDef {
    name: "codebook_perplexity",
    version: 1,
    unit: "codes",
    direction: Direction::Higher,
    noisy: false,
    description: "exp(entropy) of the frequencies of codes among the kept tokens of all samples; too low when these \
                  are few.",
};

/// What the kept tokens of a set of samples say about the codebook.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodebookUse {
    /// Codes that occur over all codes, in (0, 1]; at most `tokens` / codebook size.
    pub usage: f64,
    /// exp(−Σ p·ln p), in codes: from 1 to the number of codes that occur.
    pub perplexity: f64,
    /// Kept tokens it was estimated from.
    pub tokens: usize,
}

/// The use of a codebook by `kept_codes`, the codes' numbers of each block's *kept* tokens; `None` without a token.
///
/// # Panics
/// If a number is not below `codebook_size`.
pub fn codebook_use<'a>(kept_codes: impl IntoIterator<Item = &'a [u32]>, codebook_size: u64) -> Option<CodebookUse> {
    let mut codes: Vec<u32> = kept_codes.into_iter().flatten().copied().collect();
    codes.sort_unstable();
    let largest = u64::from(*codes.last()?);
    assert!(largest < codebook_size, "code {largest} is outside a codebook of {codebook_size}");
    let tokens = codes.len() as f64;
    let (mut different, mut entropy) = (0, 0.0);
    for equal in codes.chunk_by(|left, right| left == right) {
        let frequency = equal.len() as f64 / tokens;
        different += 1;
        entropy -= frequency * frequency.ln();
    }
    Some(CodebookUse {
        usage: f64::from(different) / codebook_size as f64,
        perplexity: entropy.exp(),
        tokens: codes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::bottleneck::Fsq;
    use proptest::prelude::*;

    #[test]
    fn usage_and_perplexity_by_hand() {
        // 3, 3, 3, 3 | 0, 0, 7, 7 of 16 codes: frequencies ½, ¼, ¼; entropy 1.5·ln 2, perplexity 2^1.5.
        let found = codebook_use([&[3, 0, 3, 7][..], &[7, 3, 3, 0]], 16).unwrap();
        assert_eq!((found.usage, found.tokens), (3.0 / 16.0, 8));
        assert!((found.perplexity - 8_f64.sqrt()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_dropped_token_is_not_counted_although_its_zero_is_a_valid_code() {
        // The last two of four tokens were dropped: z = 0 is code 0 + 3·1 = 4 of levels 3 × 3.
        let fsq = Fsq::new(&[3, 3]);
        let dropped = fsq.index(&[0.0, 0.0]);
        let (block, kept_tokens) = ([8, 8, dropped, dropped], 2);
        let found = codebook_use([&block[..kept_tokens]], 9).unwrap();
        assert_eq!(found, CodebookUse { usage: 1.0 / 9.0, perplexity: 1.0, tokens: 2 });
        assert_eq!(codebook_use([&block[..]], 9).unwrap().usage, 2.0 / 9.0);
    }

    #[test]
    fn no_token_says_nothing() {
        assert_eq!(codebook_use([], 16), None);
        assert_eq!(codebook_use([&[][..], &[]], 16), None);
    }

    #[test]
    fn few_tokens_of_an_even_source_show_less_than_it_has() {
        // 64 codes in even turn: all of them need 64 tokens; 16 tokens show a quarter.
        let source: Vec<u32> = (0..64).map(|turn| turn * 27 % 64).collect();
        for tokens in [1, 16, 64] {
            let found = codebook_use([&source[..tokens]], 64).unwrap();
            assert_eq!(found.usage, tokens as f64 / 64.0);
            assert!((found.perplexity - tokens as f64).abs() < 1e-9, "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn perplexity_lies_between_one_and_the_codes_that_occur(codes in prop::collection::vec(0_u32..32, 1..200)) {
            let found = codebook_use([&codes[..]], 32).unwrap();
            let occurring = found.usage * 32.0;
            prop_assert!(found.perplexity > 1.0 - 1e-9 && found.perplexity < occurring + 1e-9);
            prop_assert!(occurring <= found.tokens as f64);
        }

        #[test]
        fn which_block_a_token_is_in_does_not_matter(
            codes in prop::collection::vec(0_u32..8, 1..60), block in 1_usize..9,
        ) {
            prop_assert_eq!(codebook_use(codes.chunks(block), 8), codebook_use([&codes[..]], 8));
        }
    }
}
