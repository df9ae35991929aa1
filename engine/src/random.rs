//! Randomness as a function: a stream for each purpose and number, so that nothing needs to be remembered.
//!
//! Step 1000's crops are drawn from (seed, "crop", …) whether or not steps 1 … 999 were run in this process. The state
//! of the random numbers and the position in the data are therefore the step itself, and a resumed run is the same run.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The stream of random numbers for the `number`-th draw of some `purpose`: ChaCha8, keyed by a blake3 hash of all
/// three.
pub fn stream(seed: u64, purpose: &str, number: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(purpose.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// Values for tests, from −1 to 1.
#[cfg(test)]
pub(crate) fn drawn(count: usize, number: u64) -> Vec<f32> {
    use rand::Rng as _;
    let mut random = stream(0, "values of a test", number);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore as _;

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, number| stream(seed, purpose, number).next_u64();
        assert_eq!(first(1, "crop", 2), first(1, "crop", 2));
        let all = [first(1, "crop", 2), first(2, "crop", 2), first(1, "noise", 2), first(1, "crop", 3)];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])));
    }
}
