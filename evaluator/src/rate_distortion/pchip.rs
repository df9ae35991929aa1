//! A smooth curve through measured points that does not invent bumps.
//!
//! A cubic spline overshoots beside a steep piece; a rate curve must not, for its integral is the result. This is the
//! cubic whose slope at each knot is a weighted harmonic mean of the slopes beside it, and 0 where they differ in sign
//! (Fritsch & Butland, «A method for constructing local monotone piecewise cubic interpolants», 1984): it rises where
//! the points rise. The numbers are those of scipy's `PchipInterpolator`.

/// Piecewise cubic through knots, monotone between each two.
#[derive(Clone, Debug)]
pub struct Pchip {
    knots: Vec<(f64, f64)>,
    /// dy/dx at each knot.
    slopes: Vec<f64>,
}

impl Pchip {
    /// The curve through knots `(x, y)`; through two of them it is a line.
    ///
    /// # Panics
    /// With fewer than two knots, if one is not finite, or if x does not rise from each to the next.
    pub fn new(knots: Vec<(f64, f64)>) -> Self {
        assert!(knots.len() >= 2, "a curve needs two knots, not {}", knots.len());
        assert!(knots.iter().all(|(x, y)| x.is_finite() && y.is_finite()), "the knots of a curve must be finite");
        assert!(knots.is_sorted_by(|left, right| left.0 < right.0), "x must rise from each knot to the next");
        let pieces: Vec<Piece> = knots.windows(2).map(Piece::between).collect();
        let last = pieces.len() - 1;
        let slopes = match pieces[..] {
            [only] => vec![only.secant; 2],
            _ => std::iter::once(end_slope(pieces[0], pieces[1]))
                .chain(pieces.windows(2).map(|beside| inner_slope(beside[0], beside[1])))
                .chain(std::iter::once(end_slope(pieces[last], pieces[last - 1])))
                .collect(),
        };
        Self { knots, slopes }
    }

    /// The x of the first knot and of the last: where the curve is known.
    pub fn domain(&self) -> (f64, f64) {
        (self.knots[0].0, self.knots[self.knots.len() - 1].0)
    }

    /// The curve's value.
    ///
    /// # Panics
    /// Outside the [`domain`](Self::domain): the curve is not extrapolated.
    pub fn at(&self, x: f64) -> f64 {
        self.assert_inside(x);
        let piece = self.knots[1..self.knots.len() - 1].partition_point(|knot| knot.0 <= x);
        self.taylor(piece, x)[0]
    }

    /// ∫ curve dx from `low` to `high`, exact but for rounding.
    ///
    /// # Panics
    /// Outside the [`domain`](Self::domain), or if `low` is above `high`.
    pub fn integral(&self, low: f64, high: f64) -> f64 {
        self.assert_inside(low);
        self.assert_inside(high);
        assert!(low <= high, "an integral from {low} to {high} runs backwards");
        (0..self.slopes.len() - 1)
            .map(|piece| {
                let (start, end) = (self.knots[piece].0, self.knots[piece + 1].0);
                let (from, to) = (low.clamp(start, end), high.clamp(start, end));
                // About its own beginning: the difference of two antiderivatives would drown a short integral.
                let [value, slope, square, cube] = self.taylor(piece, from);
                let s = to - from;
                s * (value + s * (slope / 2.0 + s * (square / 3.0 + s * cube / 4.0)))
            })
            .sum()
    }

    /// The piece's cubic as coefficients of 1, s, s² and s³, where s is the distance from `x`.
    fn taylor(&self, piece: usize, x: f64) -> [f64; 4] {
        let Piece { width, secant } = Piece::between(&self.knots[piece..piece + 2]);
        let (slope, next) = (self.slopes[piece], self.slopes[piece + 1]);
        let square = (3.0 * secant - 2.0 * slope - next) / width;
        let cube = (slope + next - 2.0 * secant) / (width * width);
        let (start, value) = self.knots[piece];
        let s = x - start;
        [
            value + s * (slope + s * (square + s * cube)),
            slope + s * (2.0 * square + 3.0 * s * cube),
            square + 3.0 * s * cube,
            cube,
        ]
    }

    fn assert_inside(&self, x: f64) {
        let (low, high) = self.domain();
        assert!((low..=high).contains(&x), "{x} is outside the curve's {low} to {high}");
    }
}

/// What lies between two knots.
#[derive(Clone, Copy)]
struct Piece {
    width: f64,
    /// Slope of the line between them.
    secant: f64,
}

impl Piece {
    fn between(knots: &[(f64, f64)]) -> Self {
        let width = knots[1].0 - knots[0].0;
        Self { width, secant: (knots[1].1 - knots[0].1) / width }
    }
}

/// Slope at the knot between two pieces.
fn inner_slope(left: Piece, right: Piece) -> f64 {
    if !same_direction(left.secant, right.secant) {
        return 0.0;
    }
    let left_weight = 2.0 * right.width + left.width;
    let right_weight = right.width + 2.0 * left.width;
    (left_weight + right_weight) / (left_weight / left.secant + right_weight / right.secant)
}

/// Slope at an end, of the parabola through three knots, limited so that the first piece stays monotone.
fn end_slope(end: Piece, next: Piece) -> f64 {
    let slope = ((2.0 * end.width + next.width) * end.secant - end.width * next.secant) / (end.width + next.width);
    if !same_direction(slope, end.secant) {
        0.0
    } else if !same_direction(end.secant, next.secant) && slope.abs() > 3.0 * end.secant.abs() {
        3.0 * end.secant
    } else {
        slope
    }
}

fn same_direction(one: f64, other: f64) -> bool {
    (one > 0.0 && other > 0.0) || (one < 0.0 && other < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_slope_between_two_pieces_by_hand() {
        // Widths 1 and 2, secants 2 and 1: weights 5 and 4; 9 / (5/2 + 4/1).
        let slope = inner_slope(Piece { width: 1.0, secant: 2.0 }, Piece { width: 2.0, secant: 1.0 });
        assert!((slope - 9.0 / 6.5).abs() < 1e-15, "{slope}");
    }

    #[test]
    fn a_line_stays_a_line() {
        let line = Pchip::new([0.0, 0.5, 3.0, 4.0].map(|x| (x, 2.0 * x - 1.0)).to_vec());
        assert!((line.at(1.7) - 2.4).abs() < 1e-15);
        // ∫ 2x − 1 from 1 to 4 = 15 − 3.
        assert!((line.integral(1.0, 4.0) - 12.0).abs() < 1e-14);
    }

    #[test]
    fn a_short_integral_is_as_exact_as_a_long_one() {
        let curve = Pchip::new(vec![(0.0, 3.0), (1.0, 8.0), (4.0, 9.0)]);
        let (low, high) = (0.5, 0.5 + 1e-9);
        let mean = curve.integral(low, high) / (high - low);
        assert!((mean - f64::midpoint(curve.at(low), curve.at(high))).abs() < 1e-14, "{mean}");
    }

    #[test]
    #[should_panic(expected = "4.5 is outside the curve's 1 to 4")]
    fn it_is_not_extrapolated() {
        Pchip::new(vec![(1.0, 0.0), (4.0, 1.0)]).at(4.5);
    }

    #[test]
    #[should_panic(expected = "x must rise")]
    fn knots_must_rise() {
        Pchip::new(vec![(1.0, 0.0), (1.0, 1.0)]);
    }

    fn any_knots() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((1_u8..20, -20_i8..20), 2..12).prop_map(|steps| {
            let mut x = -5.0;
            let knot = |(width, y): (u8, i8)| {
                x += f64::from(width) / 8.0;
                (x, f64::from(y) / 4.0)
            };
            steps.into_iter().map(knot).collect()
        })
    }

    proptest! {
        #[test]
        fn it_passes_through_its_knots_and_stays_between_them(knots in any_knots()) {
            let curve = Pchip::new(knots.clone());
            for pair in knots.windows(2) {
                let ((left, from), (right, to)) = (pair[0], pair[1]);
                prop_assert!((curve.at(left) - from).abs() < 1e-12 && (curve.at(right) - to).abs() < 1e-12);
                let values: Vec<f64> = (0..=20).map(|i| curve.at(left + (right - left) * f64::from(i) / 20.0)).collect();
                let sign = (to - from).signum();
                prop_assert!(values.is_sorted_by(|one, next| sign * one <= sign * next + 1e-12), "{values:?}");
            }
        }

        #[test]
        fn integrals_add_up_and_turn_with_the_curve(knots in any_knots(), share in 0.0_f64..=1.0) {
            let curve = Pchip::new(knots.clone());
            let (low, high) = curve.domain();
            let middle = (low + share * (high - low)).clamp(low, high);
            let whole = curve.integral(low, high);
            prop_assert!((curve.integral(low, middle) + curve.integral(middle, high) - whole).abs() < 1e-11);
            let mirrored = Pchip::new(knots.into_iter().rev().map(|(x, y)| (-x, -y)).collect());
            prop_assert!((mirrored.integral(-high, -low) + whole).abs() < 1e-11);
        }
    }
}
