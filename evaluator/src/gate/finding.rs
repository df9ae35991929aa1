//! One comparison, and what came of it.

use super::rule::Kind;
use crate::metric::Direction;
use crate::statistics::{Comparison, Interval};
use serde::{Deserialize, Serialize};

/// What came of a comparison, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Worse beyond its tolerance, and sure of it.
    Regression,
    /// In the baseline, and not in the run.
    Missing,
    /// Of other data, protocol or version; a cost of another machine.
    NotComparable,
    /// A regression that is expected until some day.
    Expected,
    /// Worse beyond its tolerance, but another run did not show it.
    NotConfirmed,
    /// Worse beyond its tolerance, but chance is not excluded.
    NotSignificant,
    /// A noisy cost that nothing was run beside.
    Advice,
    /// In the run, and not in the baseline.
    New,
    /// Better beyond its tolerance.
    Improved,
    /// Not equal, and not surely beyond its tolerance for the better.
    WithinTolerance,
    /// Equal.
    Unchanged,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Missing => "missing",
            Self::NotComparable => "not comparable",
            Self::Expected => "expected failure",
            Self::NotConfirmed => "not confirmed",
            Self::NotSignificant => "not significant",
            Self::Advice => "advice",
            Self::New => "new",
            Self::Improved => "improved",
            Self::WithinTolerance => "within tolerance",
            Self::Unchanged => "unchanged",
        }
    }

    /// Whether the gate fails for it.
    pub fn fails(self) -> bool {
        matches!(self, Self::Regression | Self::Missing)
    }
}

/// A comparison of the run with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What came of it.
    pub verdict: Verdict,
    /// Variant, search and threshold; empty for the whole run.
    pub trial: String,
    /// Its seed, where trials of several seeds are compared one by one.
    pub seed: Option<u64>,
    /// The metric, or «configuration», «weights», «trial», «run», «baseline».
    pub metric: String,
    /// Unit of its values.
    pub unit: String,
    /// Which values are better.
    pub better: Direction,
    /// The kind of its rule.
    pub kind: Kind,
    /// Mean in the baseline.
    pub baseline: Option<f64>,
    /// Mean of the run.
    pub run: Option<f64>,
    /// How much worse it is, in the unit of the tolerance; negative if it is better. Of an exact metric the samples that
    /// differ.
    pub effect: Option<f64>,
    /// How much worse it may be.
    pub tolerance: f64,
    /// Unit of effect, tolerance and interval.
    pub effect_unit: String,
    /// 95 % interval of the effect.
    pub interval: Option<(f64, f64)>,
    /// Of «no effect», before Holm's correction.
    pub p_value: Option<f64>,
    /// The same, corrected for all comparisons of the run.
    pub adjusted_p_value: Option<f64>,
    /// Samples, seeds or pairs compared.
    pub samples: usize,
    /// Files they come from.
    pub sources: usize,
    /// What else there is to say.
    pub detail: String,
}

/// A number that arithmetic alone could have put beyond a tolerance is not beyond it.
pub(super) const ROUNDING: f64 = 1e-9;

impl Finding {
    /// A comparison of which nothing is known yet but what it is of.
    pub(super) fn of(trial: &str, metric: &str, kind: Kind) -> Self {
        Self {
            verdict: Verdict::Unchanged,
            trial: trial.to_owned(),
            seed: None,
            metric: metric.to_owned(),
            unit: String::new(),
            better: Direction::Neither,
            kind,
            baseline: None,
            run: None,
            effect: None,
            tolerance: 0.0,
            effect_unit: String::new(),
            interval: None,
            p_value: None,
            adjusted_p_value: None,
            samples: 0,
            sources: 0,
            detail: String::new(),
        }
    }

    /// Of a run that came upon what is no number: it has become worse, and nothing else of it can be compared.
    pub fn not_finite(message: &str) -> Self {
        Self::of("", "run", Kind::Exact).decided(Verdict::Regression, format!("it ended early: {message}"))
    }

    /// With this verdict, for this reason.
    pub(super) fn decided(self, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { verdict, detail: detail.into(), ..self }
    }

    /// Says more of it.
    pub(super) fn tell(&mut self, more: &str) {
        if !self.detail.is_empty() {
            self.detail += "; ";
        }
        self.detail += more;
    }

    /// With the numbers of a statistical comparison whose difference is how much worse the run is.
    pub(super) fn tested(self, compared: &Comparison) -> Self {
        let Interval { low, high } = compared.interval;
        Self {
            effect: Some(compared.difference),
            interval: Some((low, high)),
            p_value: Some(compared.p_value),
            samples: compared.samples,
            sources: compared.sources,
            ..self
        }
    }

    /// With an effect that nothing tells from chance: of one file, one pair, or one seed alone.
    pub(super) fn untested(self, effect: f64) -> Self {
        let finding = Self { effect: Some(effect), ..self };
        let verdict = match effect {
            0.0 => Verdict::Unchanged,
            _ if finding.is_beyond() => Verdict::NotSignificant,
            _ => Verdict::WithinTolerance,
        };
        Self { verdict, ..finding }
    }

    /// Whether the effect is worse than what is tolerated.
    pub(super) fn is_beyond(&self) -> bool {
        self.effect.is_some_and(|effect| effect > self.tolerance * (1.0 + ROUNDING))
    }

    /// The effect in tolerances; of no tolerance, what differs is far beyond it, and so is what is no number.
    pub fn severity(&self) -> f64 {
        match self.effect {
            None if self.run.is_some_and(|run| !run.is_finite()) => f64::INFINITY,
            None | Some(0.0) => 0.0,
            Some(effect) if self.tolerance > 0.0 => effect / self.tolerance,
            Some(effect) => f64::INFINITY.copysign(effect),
        }
    }

    /// Whether nobody needs to look at it.
    pub fn is_quiet(&self) -> bool {
        matches!(self.verdict, Verdict::Advice | Verdict::WithinTolerance | Verdict::Unchanged)
    }

    /// The trial and its seed, for people, in one line; empty for the whole run.
    pub fn trial_title(&self) -> String {
        one_line(&match self.seed {
            Some(seed) => format!("{} · seed {seed}", self.trial),
            None => self.trial.clone(),
        })
    }

    /// What it is of, for people, in one line.
    pub fn title(&self) -> String {
        let (trial, metric) = (self.trial_title(), one_line(&self.metric));
        if trial.is_empty() { metric } else { format!("{trial} · {metric}") }
    }

    /// What was found, in a sentence for people, in one line.
    pub fn sentence(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| significant(value, 6));
        let mut text = self.verdict.words().to_owned();
        if self.baseline.is_some() || self.run.is_some() {
            text += &format!(": {} in the baseline, {} now", number(self.baseline), number(self.run));
            text += &if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        }
        if let Some(effect) = self.effect {
            let what = if self.kind == Kind::Exact { "unequal" } else { "worse by" };
            let [effect, tolerance] = [effect, self.tolerance].map(|value| self.in_effect_unit(value));
            text += &format!("; {what} {effect}, tolerated {tolerance}");
        }
        if let Some((low, high)) = self.interval {
            text += &format!(", 95 % interval [{}, {}]", significant(low, 3), significant(high, 3));
        }
        if let Some(p_value) = self.adjusted_p_value {
            text += &format!(", p = {} (Holm)", significant(p_value, 2));
        }
        if !self.detail.is_empty() {
            text += &format!("; {}", self.detail);
        }
        one_line(&text)
    }

    /// An effect, or its tolerance, for people.
    pub(super) fn in_effect_unit(&self, value: f64) -> String {
        format!("{} {}", significant(value, 3), self.effect_unit).trim_end().to_owned()
    }
}

/// Text that ends no line and steers no terminal: what a variant is called, or why a failure is expected, may hold
/// anything.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A number with so many significant digits, without trailing zeros.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-5..15).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_tell_something() {
        let written = [20.123_456, 0.010_04, -1.5, 0.0, 123_456_789.0, 1e-9, f64::NAN].map(|n| significant(n, 3));
        assert_eq!(written, ["20.1", "0.01", "-1.5", "0", "123456789", "1.00e-9", "NaN"]);
    }

    #[test]
    fn rounding_alone_is_not_beyond_a_tolerance() {
        let worse = |effect| Finding { effect: Some(effect), tolerance: 0.3, ..Finding::of("", "psnr", Kind::Paired) };
        assert!(!worse(0.1 + 0.2).is_beyond() && worse(0.300_001).is_beyond() && !worse(-1.0).is_beyond());
        assert_eq!((worse(0.6).severity(), worse(0.0).severity()), (2.0, 0.0));
    }
}
