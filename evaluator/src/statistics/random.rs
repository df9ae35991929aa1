//! Randomness that stays the same for ever.
//!
//! Stored intervals and p-values must be made again from their seed on any machine and after any update of a library,
//! so the generator is written out here.

/// Steele, Lea & Flood's SplitMix64 (2014): small, and fixed for ever.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; its bias, `end` in 2⁶⁴, is far below what thousands of draws could show.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// Roughly normal, deviation 1: twelve uniform numbers less their mean (the classic sum of twelve).
#[cfg(test)]
pub(crate) fn normal(random: &mut SplitMix64) -> f64 {
    (0..12).map(|_| (random.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
}

/// Differences of a simulated experiment: `sources` photographs whose effects deviate by 1 around `effect`, with 1 to 9
/// crops each that deviate by 0.3 around the effect of their photograph.
#[cfg(test)]
pub(super) fn simulated(sources: usize, effect: f64, random: &mut SplitMix64) -> Vec<(usize, f64)> {
    let mut differences = Vec::new();
    for source in 0..sources {
        let of_source = effect + normal(random);
        for _ in 0..=random.below(9) {
            differences.push((source, of_source + 0.3 * normal(random)));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567 in the reference implementation's own test vector.
        let mut random = SplitMix64(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
