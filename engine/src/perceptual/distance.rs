//! How far two pictures' features of one stage lie apart.
//!
//! Zhang et al. 2018, equation 1: each pixel's features are scaled to length one, their squared differences weighed
//! channel by channel, and averaged over the pixels.

use super::map::FeatureMap;
use crate::kernel::{rows, simd::vectorized};
use rayon::prelude::*;

/// Added to a pixel's length, as LPIPS does: a pixel without features stays without.
const EPSILON: f32 = 1e-10;

/// Pixels compared at a time by one thread; sums over pixels have one order.
const PIXELS_PER_TASK: usize = 64;

/// The distance of one stage: a, b (height, width, channels), `head` one weight a channel.
pub(super) fn distance(a: &FeatureMap, b: &FeatureMap, head: &[f32]) -> f64 {
    let chunk = PIXELS_PER_TASK * a.channels;
    let sums = a.values.par_chunks(chunk).zip(b.values.par_chunks(chunk)).map(|(a, b)| {
        let mut difference = vec![0.0; head.len()];
        compare(a, b, head, &mut difference)
    });
    let sums: Vec<f64> = sums.collect();
    sums.iter().sum::<f64>() / (a.height * a.width) as f64
}

/// The same, and its gradient with respect to `a`.
pub(super) fn distance_and_gradient(a: &FeatureMap, b: &FeatureMap, head: &[f32]) -> (f64, FeatureMap) {
    let chunk = PIXELS_PER_TASK * a.channels;
    let mut gradient = FeatureMap::zeros(a.height, a.width, a.channels);
    let pixels = (a.height * a.width) as f64;
    let share = (1.0 / pixels) as f32;
    let sums: Vec<f64> = gradient
        .values
        .par_chunks_mut(chunk)
        .zip(a.values.par_chunks(chunk).zip(b.values.par_chunks(chunk)))
        .map(|(gradient, (a, b))| compare_with_gradient(a, b, head, share, gradient))
        .collect();
    (sums.iter().sum::<f64>() / pixels, gradient)
}

vectorized! {
    /// Σ over pixels and channels of head · (a/|a| − b/|b|)².
    fn compare(a: &[f32], b: &[f32], head: &[f32], difference: &mut [f32]) -> f64 {
        let mut sum = 0.0;
        for (a, b) in a.chunks_exact(head.len()).zip(b.chunks_exact(head.len())) {
            sum += f64::from(pixel(a, b, head, inverse_length(a), difference));
        }
        sum
    }
}

vectorized! {
    /// The same, and its gradient times `share`: with u = a/(|a| + ε) and g = 2 · head · (u − v),
    /// (g − u · ⟨g, u⟩ (|a| + ε)/|a|) / (|a| + ε).
    fn compare_with_gradient(a: &[f32], b: &[f32], head: &[f32], share: f32, gradient: &mut [f32]) -> f64 {
        let channels = head.len();
        let mut sum = 0.0;
        for ((gradient, a), b) in gradient.chunks_exact_mut(channels).zip(a.chunks_exact(channels)).zip(b.chunks_exact(channels)) {
            let inverse = inverse_length(a);
            sum += f64::from(pixel(a, b, head, inverse, gradient));
            let length = rows::sum_of_squares(a).sqrt();
            for i in 0..channels {
                gradient[i] *= 2.0 * share * head[i];
            }
            // A pixel without features has no direction to turn in.
            let turn = if length > 0.0 { rows::dot(gradient, a) * inverse / length } else { 0.0 };
            for i in 0..channels {
                gradient[i] = (gradient[i] - a[i] * turn) * inverse;
            }
        }
        sum
    }
}

#[inline(always)]
fn inverse_length(a: &[f32]) -> f32 {
    1.0 / (rows::sum_of_squares(a).sqrt() + EPSILON)
}

/// difference = a/|a| − b/|b|; returns Σ head · difference².
#[inline(always)]
fn pixel(a: &[f32], b: &[f32], head: &[f32], inverse_a: f32, difference: &mut [f32]) -> f32 {
    let inverse_b = inverse_length(b);
    for i in 0..head.len() {
        difference[i] = a[i] * inverse_a - b[i] * inverse_b;
    }
    rows::sum(head.len(), |i| head[i] * difference[i] * difference[i])
}
