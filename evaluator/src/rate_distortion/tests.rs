//! The laws of the measures, and their agreement with scipy: `fixtures/rate_distortion/make.py` wrote the numbers.
use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    interpolations: Vec<Interpolation>,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Interpolation {
    name: String,
    knots: Vec<(f64, f64)>,
    /// (x, value)
    values: Vec<(f64, f64)>,
    /// (low, high, integral)
    integrals: Vec<(f64, f64, f64)>,
}

#[derive(Deserialize)]
struct Pair {
    anchor: Vec<(f64, f64)>,
    compared: Vec<(f64, f64)>,
    bd_rate_percent: f64,
    bd_psnr_db: f64,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../../../tests/fixtures/rate_distortion/expected.json")).unwrap()
}

fn curve(points: &[(f64, f64)]) -> RateQualityCurve {
    let points: Vec<Point> = points.iter().map(|&(rate, quality)| Point { rate, quality }).collect();
    RateQualityCurve::new(&points).unwrap()
}

/// The curve with every point mapped.
fn mapped(of: &RateQualityCurve, map: impl Fn(Point) -> Point) -> RateQualityCurve {
    RateQualityCurve::new(&of.points().iter().copied().map(map).collect::<Vec<_>>()).unwrap()
}

#[test]
fn interpolation_and_integral_agree_with_scipy() {
    let Expected { interpolations, .. } = expected();
    assert_eq!(interpolations.len(), 6);
    for Interpolation { name, knots, values, integrals } in interpolations {
        let curve = Pchip::new(knots);
        for (x, value) in values {
            assert!((curve.at(x) - value).abs() < 1e-12, "{name} at {x}: {} against {value}", curve.at(x));
        }
        for (low, high, integral) in integrals {
            let ours = curve.integral(low, high);
            assert!((ours - integral).abs() < 1e-12, "{name} from {low} to {high}: {ours} against {integral}");
        }
    }
}

#[test]
fn the_measures_agree_with_numeric_integration() {
    let Expected { pairs, .. } = expected();
    assert_eq!(pairs.len(), 12);
    for Pair { anchor, compared, bd_rate_percent, bd_psnr_db } in pairs {
        let (anchor, compared) = (curve(&anchor), curve(&compared));
        let rate = bd_rate(&anchor, &compared).unwrap().rate_percent;
        assert!((rate - bd_rate_percent).abs() < 1e-10, "{rate} % against {bd_rate_percent} %");
        let psnr = bd_psnr(&anchor, &compared).unwrap().quality_difference;
        assert!((psnr - bd_psnr_db).abs() < 1e-10, "{psnr} dB against {bd_psnr_db} dB");
    }
}

#[test]
fn straight_curves_by_hand() {
    // Both gain 10 dB a factor e of rate, and the second is 10 dB behind: it needs e times the rate for a quality. They
    // share 20 to 30 dB of the 10 to 40 that one or the other covers, and all rates.
    let e = std::f64::consts::E;
    let anchor = curve(&[(1.0, 20.0), (e * e, 40.0)]);
    let compared = curve(&[(1.0, 10.0), (e * e, 30.0)]);
    let rate = bd_rate(&anchor, &compared).unwrap();
    assert!((rate.rate_percent - 100.0 * (e - 1.0)).abs() < 1e-10, "{rate:?}");
    assert_eq!((rate.overlap.low, rate.overlap.high), (20.0, 30.0));
    assert!((rate.overlap.share_of_union - 1.0 / 3.0).abs() < 1e-15);
    let psnr = bd_psnr(&anchor, &compared).unwrap();
    assert!((psnr.quality_difference + 10.0).abs() < 1e-12 && psnr.overlap.share_of_union == 1.0, "{psnr:?}");
    assert!((psnr.overlap.high - e * e).abs() < 1e-14);
}

#[test]
fn dropped_points_are_told() {
    let anchor = curve(&[(1.0, 20.0), (2.0, 30.0)]);
    let compared = curve(&[(1.0, 20.0), (1.5, 19.0), (1.7, 18.0), (2.0, 30.0)]);
    let rate = bd_rate(&anchor, &compared).unwrap();
    assert_eq!((rate.overlap.dropped_of_anchor, rate.overlap.dropped_of_compared), (0, 2));
    assert_eq!(rate.rate_percent, 0.0);
}

#[test]
fn curves_that_do_not_meet_are_refused() {
    let low = curve(&[(1.0, 20.0), (2.0, 25.0)]);
    let high = curve(&[(2.0, 25.0), (8.0, 31.0)]);
    assert_eq!(
        bd_rate(&low, &high).unwrap_err().to_string(),
        "the curves share no interval of quality: one covers 20 to 25, the other 25 to 31; measure where they meet"
    );
    assert!(matches!(bd_psnr(&low, &high), Err(RateDistortionError::NoOverlap { axis: "rate", .. })));
}

/// Curves of two to eight points about 1 bit and 30 dB, so that most pairs of them overlap.
fn any_curve() -> impl Strategy<Value = RateQualityCurve> {
    prop::collection::vec((0.05_f64..2.0, 0.1_f64..4.0), 2..8).prop_map(|steps| {
        let (mut rate, mut quality) = (0.3, 26.0);
        let step = |(octaves, gain): (f64, f64)| {
            rate *= octaves.exp2();
            quality += gain;
            Point { rate, quality }
        };
        RateQualityCurve::new(&steps.into_iter().map(step).collect::<Vec<_>>()).unwrap()
    })
}

proptest! {
    #[test]
    fn a_curve_does_not_differ_from_itself(of in any_curve()) {
        let (rate, psnr) = (bd_rate(&of, &of).unwrap(), bd_psnr(&of, &of).unwrap());
        prop_assert_eq!((rate.rate_percent, psnr.quality_difference), (0.0, 0.0));
        prop_assert_eq!((rate.overlap.share_of_union, psnr.overlap.share_of_union), (1.0, 1.0));
    }

    #[test]
    fn rate_scaled_everywhere_is_that_difference(of in any_curve(), factor in 0.2_f64..3.0) {
        let halved = mapped(&of, |point| Point { rate: point.rate / 2.0, ..point });
        prop_assert!((bd_rate(&of, &halved).unwrap().rate_percent + 50.0).abs() < 1e-9);
        let scaled = mapped(&of, |point| Point { rate: point.rate * factor, ..point });
        prop_assert!((bd_rate(&of, &scaled).unwrap().rate_percent - 100.0 * (factor - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn a_decibel_more_everywhere_is_a_decibel(of in any_curve(), shift in -3.0_f64..3.0) {
        let shifted = |by: f64| mapped(&of, |point| Point { quality: point.quality + by, ..point });
        for by in [1.0, shift] {
            let psnr = bd_psnr(&of, &shifted(by)).unwrap();
            prop_assert!((psnr.quality_difference - by).abs() < 1e-9, "{psnr:?}");
        }
    }

    #[test]
    fn the_other_way_round_is_the_inverse(left in any_curve(), right in any_curve()) {
        if let Ok(forth) = bd_rate(&left, &right) {
            let back = bd_rate(&right, &left).unwrap();
            let product = (1.0 + forth.rate_percent / 100.0) * (1.0 + back.rate_percent / 100.0);
            prop_assert!((product - 1.0).abs() < 1e-12, "{product}");
            prop_assert_eq!(back.overlap.share_of_union, forth.overlap.share_of_union);
        }
        if let Ok(forth) = bd_psnr(&left, &right) {
            prop_assert_eq!(bd_psnr(&right, &left).unwrap().quality_difference, -forth.quality_difference);
        }
    }

    #[test]
    fn units_of_rate_do_not_matter(left in any_curve(), right in any_curve()) {
        if let (Ok(rate), Ok(psnr)) = (bd_rate(&left, &right), bd_psnr(&left, &right)) {
            let [left, right] = [left, right].map(|of| mapped(&of, |p| Point { rate: 768.0 * p.rate, ..p }));
            let scaled = bd_rate(&left, &right).unwrap().rate_percent;
            prop_assert!((scaled - rate.rate_percent).abs() < 1e-9 * (100.0 + rate.rate_percent));
            let scaled = bd_psnr(&left, &right).unwrap();
            prop_assert!((scaled.overlap.low / psnr.overlap.low / 768.0 - 1.0).abs() < 1e-12);
            // Where the curves barely meet, the mean over their overlap is as uncertain as its ends.
            if psnr.overlap.share_of_union > 1e-3 {
                prop_assert!((scaled.quality_difference - psnr.quality_difference).abs() < 1e-8);
            }
        }
    }
}
