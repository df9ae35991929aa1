//! What the kept tokens would cost behind an entropy coder that learns as it goes.
//!
//! [`bits`](super::bits) pays the same for every code. An adaptive arithmetic coder pays less for frequent ones and needs
//! no table: coder and decoder count what they have seen, and level `l` of a dimension with `L` levels costs
//!
//!   −log2 p,  p = (n_l + ½) / (n + L/2)   (Krichevsky and Trofimov 1981),
//!
//! after n earlier tokens of which n_l had it. A code of many dimensions is coded digit by digit, each dimension with its
//! own counts: 64 000 codes could not be counted with a few thousand tokens, 8 levels can. What dimensions say of each
//! other, or a token of the next, is not used: a better model may need fewer bits.
//!
//! The counts live through the blocks of one sample, so that a block can be read only after the earlier ones. The length
//! is the ideal one: a real coder adds at most two bits a *sample* (the tests have one).
use super::rate::count_bits;
use super::{Direction, MetricDef};
use engine::TokenRange;
use engine::bottleneck::Fsq;

/// [`adaptive_bits`].
pub const ADAPTIVE_BITS: MetricDef = MetricDef {
    name: "adaptive_bits",
    version: 1,
    unit: "bit/block",
    direction: Direction::Lower,
    noisy: false,
    description: "Ideal code length of the kept tokens under a Krichevsky–Trofimov model of each FSQ dimension that \
                  learns over the sample, + ceil(log2(possible counts)), mean over the sample's blocks.",
};

/// Bits of the kept tokens of a sample's blocks, given as numbers of codes of `levels`, mean over blocks.
///
/// # Panics
/// If there is no block, or a number is outside the codebook.
pub fn adaptive_bits(kept_codes: &[&[u32]], levels: &[usize], range: TokenRange) -> f64 {
    assert!(!kept_codes.is_empty(), "a sample has at least one block");
    let fsq = Fsq::new(levels);
    let codebook_size = levels.iter().product::<usize>();
    let mut dimensions: Vec<SeenLevels> = levels.iter().map(|&levels| SeenLevels::none(levels)).collect();
    let mut codes = 0.0;
    for &code in kept_codes.iter().copied().flatten() {
        assert!((code as usize) < codebook_size, "code {code} is outside a codebook of {codebook_size}");
        for (seen, level) in dimensions.iter_mut().zip(fsq.digits(code)) {
            codes += seen.bits(level);
            seen.add(level);
        }
    }
    codes / kept_codes.len() as f64 + count_bits(range)
}

/// How often each level of one dimension has been seen, in halves and with the half each starts with: 2·n_l + 1.
struct SeenLevels(Vec<u32>);

impl SeenLevels {
    fn none(levels: usize) -> Self {
        Self(vec![1; levels])
    }

    /// What the next token costs if it has this level.
    fn bits(&self, level: usize) -> f64 {
        (f64::from(self.total()) / f64::from(self.0[level])).log2()
    }

    fn add(&mut self, level: usize) {
        self.0[level] += 2;
    }

    fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A range of one count, which costs nothing.
    fn free() -> TokenRange {
        TokenRange::new(1, 1).unwrap()
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn two_tokens_of_two_levels_by_hand() {
        // The first costs ½ → 1 bit. Then n = 1: the same level has (1 + ½)/(1 + 1) = ¾, the other ¼.
        assert!(close(adaptive_bits(&[&[0, 0]], &[2], free()), 1.0 + (4.0_f64 / 3.0).log2()));
        assert!(close(adaptive_bits(&[&[0, 1]], &[2], free()), 1.0 + 2.0));
    }

    #[test]
    fn each_dimension_learns_for_itself() {
        // Levels 2 × 3, first fastest: code 1 is (1, 0), code 5 is (1, 2).
        // First dimension 1, 1: ½ · ¾. Second 0, 2: ⅓ · ½/(1 + 3/2) = ⅓ · ⅕.
        let expected = -(0.5 * 0.75 / 3.0 / 5.0_f64).log2();
        assert!(close(adaptive_bits(&[&[1, 5]], &[2, 3], free()), expected));
    }

    #[test]
    fn the_first_token_costs_what_a_code_without_a_model_costs() {
        assert!(close(adaptive_bits(&[&[63_999]], &[8, 8, 8, 5, 5, 5], free()), 64_000_f64.log2()));
    }

    #[test]
    fn counts_live_through_the_blocks_and_each_block_pays_for_its_count() {
        // 16 counts: 4 bits a block. Codes: 1 bit, then log2(4/3).
        let range = TokenRange::new(1, 16).unwrap();
        let expected = (1.0 + (4.0_f64 / 3.0).log2()) / 2.0 + 4.0;
        assert!(close(adaptive_bits(&[&[1], &[1]], &[2], range), expected));
    }

    proptest! {
        #[test]
        fn the_order_of_tokens_does_not_matter(mut codes in prop::collection::vec(0_u32..60, 1..80)) {
            let bits = adaptive_bits(&[&codes], &[3, 4, 5], free());
            codes.sort_unstable();
            prop_assert!(close(adaptive_bits(&[&codes], &[3, 4, 5], free()), bits));
        }

        #[test]
        fn learning_costs_little_more_than_having_known(codes in prop::collection::vec(0_u32..5, 1..300)) {
            // Against the best fixed frequencies, n·H bits: at most (L − 1)/2 · log2 n + log2 L more, and never less.
            let tokens = codes.len() as f64;
            let known: f64 = (0..5)
                .map(|level| codes.iter().filter(|&&code| code == level).count() as f64)
                .filter(|&seen| seen > 0.0)
                .map(|seen| seen * (tokens / seen).log2())
                .sum();
            let learning = adaptive_bits(&[&codes], &[5], free()) - known;
            prop_assert!(learning > -1e-9 && learning < 2.0 * tokens.log2() + 5_f64.log2() + 1e-9, "{}", learning);
        }
    }

    /// An adaptive arithmetic coder (Witten, Neal and Cleary 1987) over the same counts: proof that the estimate is one.
    mod coder {
        use super::*;

        const HALF: u64 = 1 << 31;
        const QUARTER: u64 = HALF / 2;

        /// The part of [0, 2³²) that the levels so far have left, both ends included.
        struct Interval {
            low: u64,
            high: u64,
        }

        impl Interval {
            fn all() -> Self {
                Self { low: 0, high: 2 * HALF - 1 }
            }

            /// Keeps the share of `level`.
            fn narrow(&mut self, seen: &SeenLevels, level: usize) {
                let (width, total) = (self.high - self.low + 1, u64::from(seen.total()));
                let below: u64 = seen.0[..level].iter().map(|&count| u64::from(count)).sum();
                self.high = self.low + width * (below + u64::from(seen.0[level])) / total - 1;
                self.low += width * below / total;
            }

            /// While the interval is at most half as wide as it could be: what to subtract before doubling it.
            fn doubling(&mut self) -> Option<u64> {
                let less = match (self.low, self.high) {
                    (_, high) if high < HALF => 0,
                    (low, _) if low >= HALF => HALF,
                    (low, high) if low >= QUARTER && high < HALF + QUARTER => QUARTER,
                    _ => return None,
                };
                (self.low, self.high) = (2 * (self.low - less), 2 * (self.high - less) + 1);
                Some(less)
            }
        }

        fn dimensions(levels: &[usize]) -> Vec<SeenLevels> {
            levels.iter().map(|&levels| SeenLevels::none(levels)).collect()
        }

        /// Appends a bit and the opposite ones that had waited for it.
        fn emit(bits: &mut Vec<bool>, waiting: &mut usize, bit: bool) {
            bits.push(bit);
            bits.extend(std::iter::repeat_n(!bit, std::mem::take(waiting)));
        }

        fn encode(codes: &[u32], levels: &[usize]) -> Vec<bool> {
            let (fsq, mut dimensions) = (Fsq::new(levels), dimensions(levels));
            let (mut interval, mut bits, mut waiting) = (Interval::all(), Vec::new(), 0);
            for &code in codes {
                for (seen, level) in dimensions.iter_mut().zip(fsq.digits(code)) {
                    interval.narrow(seen, level);
                    seen.add(level);
                    while let Some(less) = interval.doubling() {
                        match less {
                            QUARTER => waiting += 1,
                            _ => emit(&mut bits, &mut waiting, less == HALF),
                        }
                    }
                }
            }
            // Two bits name a quarter that lies inside whatever is left.
            waiting += 1;
            emit(&mut bits, &mut waiting, interval.low >= QUARTER);
            bits
        }

        fn decode(bits: &[bool], tokens: usize, levels: &[usize]) -> Vec<u32> {
            let mut dimensions = dimensions(levels);
            let mut bits = bits.iter().map(|&bit| u64::from(bit)).chain(std::iter::repeat(0));
            let mut next = move || bits.next().expect("zeros follow the code for ever");
            let (mut interval, mut value) = (Interval::all(), (0..32).fold(0, |value, _| 2 * value + next()));
            let mut token = || {
                let (mut code, mut place) = (0, 1);
                for seen in &mut dimensions {
                    let holds = |level: &usize| {
                        let mut part = Interval { ..interval };
                        part.narrow(seen, *level);
                        (part.low..=part.high).contains(&value)
                    };
                    let level = (0..seen.0.len()).find(holds).expect("the levels' shares fill the interval");
                    interval.narrow(seen, level);
                    seen.add(level);
                    while let Some(less) = interval.doubling() {
                        value = 2 * (value - less) + next();
                    }
                    code += level as u32 * place;
                    place *= seen.0.len() as u32;
                }
                code
            };
            (0..tokens).map(|_| token()).collect()
        }

        fn reaches_the_estimate(codes: &[u32], levels: &[usize]) {
            let estimate = adaptive_bits(&[codes], levels, free());
            let bits = encode(codes, levels);
            assert_eq!(decode(&bits, codes.len(), levels), codes);
            // Two bits end the code; rounding 32-bit intervals costs some hundredths more.
            let more = bits.len() as f64 - estimate;
            assert!((-0.1..2.5).contains(&more), "{} bits for an estimate of {estimate}", bits.len());
        }

        #[test]
        fn a_real_coder_needs_two_bits_more_than_the_estimate_and_can_be_read() {
            let levels = [8, 8, 8, 5, 5, 5];
            let even: Vec<u32> = (0..4096_u32).map(|i| i.wrapping_mul(2_654_435_761) % 64_000).collect();
            let skewed: Vec<u32> = even.iter().map(|code| code % 7 * (code % 3)).collect();
            for codes in [&even[..], &skewed, &[0; 4096], &[63_999; 3], &[]] {
                reaches_the_estimate(codes, &levels);
            }
            // 4096 · log2 64 000 = 65 396 bits without a model: learning that there is nothing to learn costs little.
            let [even, skewed] = [even, skewed].map(|codes| encode(&codes, &levels).len());
            assert!(even < 65_396 + 300 && skewed < even / 2, "{even} {skewed}");
        }

        proptest! {
            #[test]
            fn so_it_does_for_any_tokens(codes in prop::collection::vec(0_u32..60, 0..200)) {
                reaches_the_estimate(&codes, &[3, 4, 5]);
            }
        }
    }
}
