//! Sums and sweeps over a row, in an order that does not depend on the vector width the CPU happens to have.

use super::simd::vectorized;
use rayon::prelude::*;

/// Partial sums are kept in this many lanes: enough for two AVX-512 registers, the same on every CPU.
pub(crate) const LANES: usize = 32;

/// Elements of a long row that one thread works on at a time.
const LONG: usize = 1 << 15;

/// Σ fᵢ, in `LANES` interleaved partial sums that are then added in order.
#[inline(always)]
pub(crate) fn sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, partial) in lanes.iter_mut().enumerate() {
            *partial += term(start + lane);
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for i in whole..n {
        sum += term(i);
    }
    sum
}

/// The partial sums of a row, without what is behind its last whole [`LANES`] elements.
pub(crate) type Lanes = [f32; LANES];

/// The sums of rows' lanes, in [`sum`]'s order. Each addition waits for the one before it: those of several rows go on side by
/// side.
#[inline(always)]
pub(crate) fn totals<const ROWS: usize>(lanes: &[Lanes; ROWS]) -> [f32; ROWS] {
    let mut sums = [0.0; ROWS];
    for lane in 0..LANES {
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum += lanes[lane];
        }
    }
    sums
}

/// The sum of a row, of which the lanes' is `total`: with the elements that are in none.
#[inline(always)]
pub(crate) fn with_rest(total: f32, x: &[f32]) -> f32 {
    x.as_chunks::<LANES>().1.iter().fold(total, |sum, x| sum + x)
}

/// Σ xᵢ².
#[inline(always)]
pub(crate) fn sum_of_squares(x: &[f32]) -> f32 {
    sum(x.len(), |i| x[i] * x[i])
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    sum(a.len(), |i| a[i] * b[i])
}

/// x ·= factor.
#[inline(always)]
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

vectorized! {
    /// y += x.
    pub(crate) fn add(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

/// y += x for long rows, on every core.
pub(crate) fn add_on_all_threads(y: &mut [f32], x: &[f32]) {
    y.par_chunks_mut(LONG).zip(x.par_chunks(LONG)).for_each(|(y, x)| add(y, x));
}

/// A copy of a long row, made on every core.
#[allow(unsafe_code)]
pub(crate) fn copy_on_all_threads(x: &[f32]) -> Vec<f32> {
    let mut copy = Vec::with_capacity(x.len());
    let room = copy.spare_capacity_mut()[..x.len()].par_chunks_mut(LONG);
    room.zip(x.par_chunks(LONG)).for_each(|(copy, x)| {
        copy.write_copy_of_slice(x);
    });
    // SAFETY: as many elements were written, from the first on.
    unsafe { copy.set_len(x.len()) };
    copy
}

vectorized! {
    /// y += factor · x.
    pub(crate) fn add_scaled(y: &mut [f32], x: &[f32], factor: f32) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += factor * x;
        }
    }
}

/// The largest element (of finite ones; an empty row has none: −∞).
#[inline(always)]
pub(crate) fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    // Half by half: one lane after the other would wait for each.
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = if lanes[lane + half] > lanes[lane] { lanes[lane + half] } else { lanes[lane] };
        }
        half /= 2;
    }
    rest.iter().fold(lanes[0], |m, x| if *x > m { *x } else { m })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_cover_every_element_of_any_length() {
        for n in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            let ones = vec![1.0; n];
            assert_eq!(dot(&x, &ones), (n * (n + 1) / 2) as f32);
            assert_eq!(sum_of_squares(&x), (n * (n + 1) * (2 * n + 1) / 6) as f32);
        }
    }

    #[test]
    fn rows_side_by_side_have_the_bits_of_each_alone() {
        let x: Vec<f32> = (0..3 * LANES).map(|i| (i * 37 % 211) as f32 * 0.61).collect();
        let (lanes, _) = x.as_chunks::<LANES>();
        let [a, b, c] = totals(&[lanes[0], lanes[1], lanes[2]]);
        for (total, lanes) in [a, b, c].into_iter().zip(lanes) {
            assert_eq!(total.to_bits(), sum(LANES, |i| lanes[i]).to_bits());
        }
        let part = &x[..LANES + 3];
        assert_eq!(with_rest(a, part).to_bits(), sum(part.len(), |i| part[i]).to_bits());
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        assert_eq!(maximum(&[]), f32::NEG_INFINITY);
        for n in 1..=100 {
            for place in 0..n {
                let x: Vec<f32> = (0..n).map(|i| if i == place { -1.0 } else { -2.0 - i as f32 }).collect();
                assert_eq!(maximum(&x), -1.0, "at {place} of {n}");
            }
        }
    }
}
