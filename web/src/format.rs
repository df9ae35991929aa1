//! Numbers, times and names as people read them.

use evaluator::experiment::Criterion;
use evaluator::metric::{ALL, Direction, by_name};
use evaluator::store::{TrainingStatus, TrialReport, TrialStatus};
use serde_json::Value;

/// Four significant digits; whole numbers whole, large ones with a prefix.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M")];
    match prefixes.into_iter().find(|(scale, _)| size >= *scale) {
        Some((scale, prefix)) => format!("{} {prefix}", four_digits(value / scale)),
        None if value.fract() == 0.0 => format!("{value:.0}"),
        None if size < 1e-4 => format!("{value:.2e}"),
        None => four_digits(value),
    }
}

fn four_digits(value: f64) -> String {
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 7.0) as usize;
    format!("{value:.digits$}")
}

/// What a trial's threshold demands, before its value.
pub fn criterion(trial: &TrialReport) -> &'static str {
    match evaluator::report::criterion(trial) {
        Criterion::Mse => "mean squared error in [−1, 1] at most",
        Criterion::Ssim => "SSIM at least",
    }
}

/// The same, or a dash where there is none.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// `2026-03-01T09:30:00.123Z` as `2026-03-01 09:30 UTC`.
pub fn time(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..16)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// A duration in the two units that matter.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// The first digits of a hash: enough to recognize it.
pub fn short(hash: impl ToString) -> String {
    hash.to_string().chars().take(12).collect()
}

/// A metric's name in a heading.
pub fn metric(name: &str) -> String {
    match name {
        "mse" | "psnr" | "ssim" | "lpips" => name.to_uppercase(),
        "st_lpips" => "ST-LPIPS".to_owned(),
        "flops" => "FLOPs".to_owned(),
        "mean_colour_psnr" => "PSNR of mean colours".to_owned(),
        _ => name.replace('_', " "),
    }
}

/// Where a metric stands in tables: in the evaluator's order, unknown ones last.
pub fn metric_order(name: &str) -> usize {
    ALL.iter().position(|metric| metric.name == name).unwrap_or(ALL.len())
}

/// A threshold as it was written, or a dash.
pub fn threshold(threshold: Option<f64>) -> String {
    threshold.map_or_else(|| "–".to_owned(), |threshold| threshold.to_string())
}

/// Which way a metric gets better.
pub fn better(direction: Direction) -> &'static str {
    match direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
        Direction::Neither => "–",
    }
}

/// Where a trial stands; the style sheet knows the words too.
pub fn trial_status(status: TrialStatus) -> &'static str {
    match status {
        TrialStatus::Pending => "waiting",
        TrialStatus::Running => "running",
        TrialStatus::Failed => "failed",
        TrialStatus::Done => "done",
    }
}

/// Where a training run stands, in the same words.
pub fn training_status(status: TrainingStatus) -> &'static str {
    match status {
        TrainingStatus::Pending => "waiting",
        TrainingStatus::Running => "running",
        TrainingStatus::Stopped => "stopped",
        TrainingStatus::Failed => "failed",
        TrainingStatus::Done => "done",
    }
}

/// What a metric measures, in a sentence.
pub fn description(metric: &str) -> &'static str {
    by_name(metric).map_or("", |metric| metric.description)
}

/// The mean of one of a trial's metrics, or a dash.
pub fn mean(trial: &TrialReport, metric: &str, digits: usize) -> String {
    let mean = trial.summary(metric).map(|summary| summary.mean);
    mean.map_or_else(|| "–".to_owned(), |mean| format!("{mean:.digits$}"))
}

/// JSON on several lines.
pub fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits_and_whole_ones_no_more() {
        let cases = [
            (0.0, "0"),
            (64.0, "64"),
            (21.5, "21.50"),
            (-0.91234, "-0.9123"),
            (0.003, "0.003000"),
            (0.000_012, "1.20e-5"),
            (999_999.5, "1000000"),
            (6.1e9, "6.100 G"),
            (6.1e8, "610.0 M"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn times_are_short_and_strange_ones_unchanged() {
        assert_eq!(time("2026-03-01T09:30:12.123Z"), "2026-03-01 09:30 UTC");
        assert_eq!(time("yesterday"), "yesterday");
        assert_eq!(duration(0.25), "0.2 s");
        assert_eq!(duration(95.4), "1 min 35 s");
        assert_eq!(duration(3_725.0), "1 h 02 min");
    }
}
