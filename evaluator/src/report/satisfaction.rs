//! How many blocks meet a threshold within a budget: the paper's Figure 4, for a model of every budget.
//!
//! An elastic model is asked to spend at most `cap` tokens a block. A block that meets the threshold with n* ≤ cap
//! tokens spends n*; any other spends the cap and misses. Sweeping the cap traces a curve.

/// One cap's outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Capped {
    /// Mean tokens spent over all tokens, 0 to 1.
    pub(super) token_share: f64,
    /// Share of blocks that meet the threshold.
    pub(super) met_share: f64,
}

/// The outcome of every cap, rising, from each block's smallest sufficient count n* (`None`: no count suffices).
pub(super) fn capped(sufficient: &[Option<usize>], caps: &[usize], max_tokens: usize) -> Vec<(usize, Capped)> {
    let blocks = sufficient.len() as f64;
    let outcome = |cap: usize| {
        let spent: usize = sufficient.iter().map(|n| n.map_or(cap, |n| n.min(cap))).sum();
        let met = sufficient.iter().flatten().filter(|n| **n <= cap).count();
        Capped { token_share: spent as f64 / (blocks * max_tokens as f64), met_share: met as f64 / blocks }
    };
    caps.iter().map(|cap| (*cap, outcome(*cap))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_spend_what_they_need_up_to_the_cap() {
        // Three blocks need 2, 6 and more than all 8 tokens.
        let outcomes = capped(&[Some(2), Some(6), None], &[1, 4, 8], 8);
        let shares: Vec<(f64, f64)> = outcomes.iter().map(|(_, o)| (o.token_share, o.met_share)).collect();
        let expected = [(3.0 / 24.0, 0.0), (10.0 / 24.0, 1.0 / 3.0), (16.0 / 24.0, 2.0 / 3.0)];
        assert_eq!(shares, expected);
    }

    #[test]
    fn more_budget_never_meets_fewer() {
        let sufficient: Vec<Option<usize>> = (0..50).map(|i| (i % 7 != 0).then_some(1 + i * 13 % 64)).collect();
        let outcomes = capped(&sufficient, &(1..=64).collect::<Vec<_>>(), 64);
        assert!(outcomes.is_sorted_by(|a, b| a.1.met_share <= b.1.met_share && a.1.token_share <= b.1.token_share));
    }
}
