//! Ticks: which values an axis names, and how it writes them.
//!
//! Values are kept as whole numbers times a power of ten until they are written, so no label shows float noise.
//! Candidates come from fine to coarse; the axis takes the first whose labels fit.

use super::Scale;

/// A value that an axis names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub value: f64,
    pub label: String,
}

/// The ticks of an axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ticks {
    pub labelled: Vec<Tick>,
    /// Values marked without a label: what shows the reader that an axis is logarithmic.
    pub minor: Vec<f64>,
}

impl Ticks {
    pub(super) fn labelled_values(&self) -> Vec<f64> {
        self.labelled.iter().map(|tick| tick.value).collect()
    }
}

/// A whole number times a power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    digits: i64,
    exponent: i32,
}

/// More labels than this are clutter.
const MOST_LINEAR_LABELS: usize = 9;
const MOST_LOG10_LABELS: usize = 12;

/// The finest ticks between `low` and `high` whose labels fit.
pub(super) fn choose(scale: Scale, (low, high): (f64, f64), fits: impl Fn(&[Tick]) -> bool) -> Ticks {
    let (candidates, most) = match scale {
        Scale::Linear => (linear(low, high), MOST_LINEAR_LABELS),
        Scale::Log10 => (log10(low, high), MOST_LOG10_LABELS),
    };
    let fitting = |candidate: &Vec<Tick>| candidate.len() <= most && fits(candidate);
    let labelled = candidates.into_iter().find(fitting).unwrap_or_default();
    let minor = match scale {
        Scale::Linear => Vec::new(),
        Scale::Log10 => log10_minor(low, high, &labelled),
    };
    Ticks { labelled, minor }
}

/// Multiples of 1, 2 and 5 times a power of ten, from fine to coarse.
fn linear(low: f64, high: f64) -> Vec<Vec<Tick>> {
    let finest = ((high - low) / MOST_LOG10_LABELS as f64).log10().floor() as i32;
    (finest..finest + 3)
        .flat_map(|exponent| [1, 2, 5].map(|mantissa| linear_labels(&multiples(mantissa, exponent, low, high))))
        .collect()
}

/// All multiples of `mantissa × 10^exponent` from `low` to `high`.
fn multiples(mantissa: i64, exponent: i32, low: f64, high: f64) -> Vec<Decimal> {
    let step = Decimal { digits: mantissa, exponent }.value();
    // 0.3 / 0.1 is a little less than 3: an end that is a multiple but for rounding counts as one.
    let first = (low / step - 1e-6).ceil() as i64;
    let last = (high / step + 1e-6).floor() as i64;
    (first..=last).map(|count| Decimal { digits: count * mantissa, exponent }).collect()
}

/// Labels with equally many decimals, and one power of ten where the numbers are very large or small.
fn linear_labels(values: &[Decimal]) -> Vec<Tick> {
    let magnitude = values.iter().map(|value| value.magnitude()).max().unwrap_or(0);
    let power = if (-4..6).contains(&magnitude) { 0 } else { magnitude };
    let label = |value: &Decimal| match (power, value.digits) {
        (0, _) => value.plain(),
        (_, 0) => "0".into(),
        _ => {
            let mantissa = Decimal { exponent: value.exponent - power, ..*value };
            format!("{}×10{}", mantissa.plain(), superscript(power))
        }
    };
    values.iter().map(|value| Tick { value: value.value(), label: label(value) }).collect()
}

/// 1, 2, 5 in every decade, then whole decades, then every second, third, fifth … decade. A range with fewer than
/// three of 1, 2, 5 takes linear ticks instead.
fn log10(low: f64, high: f64) -> Vec<Vec<Tick>> {
    let one_two_five = decades(low, high, &[1, 2, 5], 1);
    if one_two_five.len() < 3 {
        return linear(low, high);
    }
    let coarser = [1, 2, 3, 5, 10, 20, 50, 100, 200].map(|step| decades(low, high, &[1], step));
    std::iter::once(one_two_five).chain(coarser).map(|values| log10_labels(&values)).collect()
}

/// The mantissas times every `step`-th power of ten, from `low` to `high`.
fn decades(low: f64, high: f64, mantissas: &[i64], step: i32) -> Vec<Decimal> {
    let (first, last) = (low.log10().floor() as i32 - 1, high.log10().ceil() as i32 + 1);
    let (low, high) = (low * (1.0 - 1e-9), high * (1.0 + 1e-9));
    (first..=last)
        .filter(|exponent| exponent % step == 0)
        .flat_map(|exponent| mantissas.iter().map(move |&digits| Decimal { digits, exponent }))
        .filter(|value| (low..=high).contains(&value.value()))
        .collect()
}

/// Labels as short as possible: 0.1, 0.5, 1, 10; or powers of ten on the whole axis once one number is long.
fn log10_labels(values: &[Decimal]) -> Vec<Tick> {
    let short = values.iter().all(|value| (-4..6).contains(&value.magnitude()));
    let label = |value: &Decimal| match value.digits {
        _ if short => value.plain(),
        1 => format!("10{}", superscript(value.exponent)),
        digits => format!("{digits}×10{}", superscript(value.exponent)),
    };
    values.iter().map(|value| Tick { value: value.value(), label: label(value) }).collect()
}

/// 1 to 9 in every decade, or bare decades where there are many, less what has a label.
fn log10_minor(low: f64, high: f64, labelled: &[Tick]) -> Vec<f64> {
    let mantissas: &[i64] = if high.log10() - low.log10() <= 6.0 { &[1, 2, 3, 4, 5, 6, 7, 8, 9] } else { &[1] };
    decades(low, high, mantissas, 1)
        .into_iter()
        .map(Decimal::value)
        .filter(|value| labelled.iter().all(|tick| tick.value != *value))
        .collect()
}

impl Decimal {
    /// The float nearest to it.
    fn value(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().expect("digits, «e» and an exponent make a number")
    }

    /// The power of ten of its first digit.
    fn magnitude(self) -> i32 {
        self.digits.unsigned_abs().checked_ilog10().map_or(i32::MIN, |order| order as i32 + self.exponent)
    }

    /// Written out, with as many decimals as its power of ten asks for.
    fn plain(self) -> String {
        let sign = if self.digits < 0 { "−" } else { "" };
        let digits = self.digits.unsigned_abs().to_string();
        if self.digits == 0 && self.exponent >= 0 {
            return "0".into();
        }
        if self.exponent >= 0 {
            return format!("{sign}{digits}{}", "0".repeat(self.exponent as usize));
        }
        let decimals = self.exponent.unsigned_abs() as usize;
        let digits = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        format!("{sign}{whole}.{fraction}")
    }
}

fn superscript(power: i32) -> String {
    power
        .to_string()
        .chars()
        .map(|character| match character {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁰',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64, most: usize) -> String {
        let ticks = choose(scale, (low, high), |ticks| ticks.len() <= most);
        ticks.labelled.iter().map(|tick| tick.label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn linear_labels_are_those_a_person_would_write() {
        assert_eq!(labels(Scale::Linear, 0.0, 0.3, 4), "0.0 0.1 0.2 0.3");
        assert_eq!(labels(Scale::Linear, 31.2, 37.9, 4), "32 34 36");
        assert_eq!(labels(Scale::Linear, -1.0, 1.0, 5), "−1.0 −0.5 0.0 0.5 1.0");
        assert_eq!(labels(Scale::Linear, 0.0, 260.0, 7), "0 50 100 150 200 250");
        assert_eq!(labels(Scale::Linear, 0.0, 2.0e6, 5), "0 0.5×10⁶ 1.0×10⁶ 1.5×10⁶ 2.0×10⁶");
        assert_eq!(labels(Scale::Linear, 0.0, 2.0e-6, 3), "0 1×10⁻⁶ 2×10⁻⁶");
    }

    #[test]
    fn logarithmic_labels_are_one_two_five_then_decades() {
        assert_eq!(labels(Scale::Log10, 0.1, 10.0, 7), "0.1 0.2 0.5 1 2 5 10");
        assert_eq!(labels(Scale::Log10, 0.09, 110.0, 7), "0.1 1 10 100");
        assert_eq!(labels(Scale::Log10, 1e-6, 1e2, 9), "10⁻⁶ 10⁻⁵ 10⁻⁴ 10⁻³ 10⁻² 10⁻¹ 10⁰ 10¹ 10²");
        assert_eq!(labels(Scale::Log10, 1e-6, 1e2, 5), "10⁻⁶ 10⁻⁴ 10⁻² 10⁰ 10²");
        assert_eq!(labels(Scale::Log10, 130.0, 190.0, 7), "130 140 150 160 170 180 190");
    }

    #[test]
    fn decades_leave_the_values_between_them_as_minor_ticks() {
        let ticks = choose(Scale::Log10, (1.0, 100.0), |ticks| ticks.len() <= 3);
        assert_eq!(ticks.minor[..8], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(ticks.minor.len(), 16);
    }

    /// Ranges over many magnitudes, from a fixed multiplicative generator.
    fn ranges() -> impl Iterator<Item = (f64, f64)> {
        let mut state: u64 = 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..2000).map(move |_| {
            let span = 10f64.powf(next() * 16.0 - 8.0);
            let low = (next() - 0.5) * span * 10f64.powf(next() * 4.0);
            (low, low + span)
        })
    }

    #[test]
    fn linear_ticks_cover_the_range_in_equal_steps_of_one_two_or_five() {
        for (low, high) in ranges() {
            let ticks = choose(Scale::Linear, (low, high), |ticks| ticks.len() <= 8).labelled;
            assert!((2..=8).contains(&ticks.len()), "{low}..{high} has {} ticks", ticks.len());
            let step = ticks[1].value - ticks[0].value;
            let mantissa = step / 10f64.powf(step.log10().floor());
            let near = |value: f64| (mantissa - value).abs() < 1e-3;
            assert!(near(1.0) || near(2.0) || near(5.0) || near(10.0), "{low}..{high} has step {step}");
            let slack = step * 1e-3;
            assert!(ticks[0].value > low - slack && ticks[0].value - step < low + slack);
            let last = ticks[ticks.len() - 1].value;
            assert!(last < high + slack && last + step > high - slack);
            assert!(ticks.windows(2).all(|pair| (pair[1].value - pair[0].value - step).abs() < slack));
        }
    }

    #[test]
    fn labels_are_never_repeated_and_name_their_values() {
        for (low, high) in ranges() {
            let positive = (low.abs().max(1e-9), low.abs().max(1e-9) + high - low);
            for (scale, range) in [(Scale::Linear, (low, high)), (Scale::Log10, positive)] {
                let ticks = choose(scale, range, |ticks| ticks.len() <= 9).labelled;
                assert!(ticks.windows(2).all(|pair| pair[0].value < pair[1].value && pair[0].label != pair[1].label));
                for tick in ticks.iter().filter(|tick| !tick.label.contains("10")) {
                    assert_eq!(tick.label.replace('−', "-").parse::<f64>().unwrap(), tick.value);
                }
            }
        }
    }
}
