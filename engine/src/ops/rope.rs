//! Rotary position embedding (Su et al. 2021) on interleaved pairs: (x₂ᵢ, x₂ᵢ₊₁) turns by position · θ^(−2i/d).

use crate::kernel::simd::vectorized;
use std::sync::Arc;

/// Rotary position embedding (Su et al. 2021): cosines and sines for the positions of a head of d = `dim` values.
///
/// On interleaved pairs, as the reference: (x₂ᵢ, x₂ᵢ₊₁) turns by the angle position · θ^(−2i/d). Positions count tokens
/// over the whole sequence, from 0. `dim` is even.
///
/// Kept in f32 whatever the arithmetic of the model: in bf16 the table is wrong past position ~100.
#[derive(Clone, Debug)]
pub struct RopeTable {
    half: usize,
    cosine: Arc<[f32]>,
    sine: Arc<[f32]>,
}

impl RopeTable {
    /// The table for positions 0 .. `positions`.
    pub fn new(positions: usize, dim: usize, theta: f32) -> Self {
        Self::between(0, positions, dim, theta)
    }

    /// The table for `positions` tokens, the first of which stands at position `first`.
    pub fn between(first: usize, positions: usize, dim: usize, theta: f32) -> Self {
        Self::at_positions(first..first + positions, dim, theta)
    }

    /// The table for tokens that stand at these positions, in this order.
    pub fn at_positions(positions: impl Iterator<Item = usize> + Clone, dim: usize, theta: f32) -> Self {
        let half = dim / 2;
        // The power is rounded to f32 once, as numpy does for the reference.
        let power = |i: usize| f64::from(theta).powf(f64::from((2 * i) as f32 / dim as f32)) as f32;
        let frequencies: Vec<f32> = (0..half).map(|i| 1.0 / power(i)).collect();
        // The angle is rounded to f32 as the reference does; its cosine and sine are then exact to the last bit.
        let angles = || positions.clone().flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        Self {
            half,
            cosine: angles().map(|a| a.cos() as f32).collect(),
            sine: angles().map(|a| a.sin() as f32).collect(),
        }
    }

    /// How many positions it covers.
    pub fn positions(&self) -> usize {
        self.cosine.len().checked_div(self.half).unwrap_or(0)
    }

    /// Cosines and sines of the table's `position`-th position, `dim / 2` each.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cosine[range.clone()], &self.sine[range])
    }

    /// Turns rows of one head, the first of which is the table's `first`.
    pub(crate) fn rotate_rows(&self, x: &mut [f32], dim: usize, first: usize) {
        let from = first * self.half;
        rotate_rows(x, dim, &self.cosine[from..], &self.sine[from..], 1.0);
    }

    /// Turns back: the transpose of [`rotate_rows`](Self::rotate_rows), which carries gradients.
    pub(crate) fn rotate_rows_back(&self, x: &mut [f32], dim: usize, first: usize) {
        let from = first * self.half;
        rotate_rows(x, dim, &self.cosine[from..], &self.sine[from..], -1.0);
    }
}

vectorized! {
    fn rotate_rows(x: &mut [f32], dim: usize, cosine: &[f32], sine: &[f32], direction: f32) {
        let rows = x.chunks_exact_mut(dim).zip(cosine.chunks_exact(dim / 2)).zip(sine.chunks_exact(dim / 2));
        for ((row, cosine), sine) in rows {
            for ((pair, c), s) in row.as_chunks_mut::<2>().0.iter_mut().zip(cosine).zip(sine) {
                let s = s * direction;
                *pair = [pair[0] * c - pair[1] * s, pair[0] * s + pair[1] * c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts `x` at `position` and turns it there.
    fn turned(table: &RopeTable, x: &[f32], position: usize) -> Vec<f32> {
        let mut rows = x.repeat(position + 1);
        table.rotate_rows(&mut rows, x.len(), 0);
        rows[position * x.len()..].to_vec()
    }

    #[test]
    fn scores_depend_only_on_the_distance_between_positions() {
        let table = RopeTable::new(40, 8, 1e4);
        let score = |i: usize, j: usize| -> f32 {
            let q = turned(&table, &[0.3, -1.0, 0.7, 0.2, 0.9, -0.4, 0.1, 0.5], i);
            let k = turned(&table, &[1.0, 0.4, -0.6, 0.8, 0.2, 0.3, -0.9, 0.1], j);
            q.iter().zip(k).map(|(q, k)| q * k).sum()
        };
        assert!((score(3, 10) - score(30, 37)).abs() < 1e-5);
        assert!((score(3, 10) - score(3, 11)).abs() > 1e-3);
    }

    #[test]
    fn turning_back_undoes_the_turn() {
        let table = RopeTable::new(100, 6, 5e6);
        let x = [0.1, 0.2, -0.3, 0.4, 0.5, -0.6].repeat(100);
        let mut y = x.clone();
        table.rotate_rows(&mut y, 6, 0);
        table.rotate_rows_back(&mut y, 6, 0);
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-6));
    }
}
