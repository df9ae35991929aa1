//! What an axis shows: a metric, as people read it.

use evaluator::metric::Direction;
use evaluator::store::MetricRow;

use super::catalogue::{Catalogue, Entry};
use crate::format;

/// A metric on an axis or in a column.
#[derive(Debug, Clone, Copy)]
pub struct Quantity<'a> {
    /// Its name in the store.
    pub name: &'a str,
    versions: &'a [MetricRow],
}

/// A mean with its 95 % interval, if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval's ends.
    pub interval: Option<(f64, f64)>,
}

impl<'a> Quantity<'a> {
    /// The metric of this name, if the store has it.
    pub fn find(catalogue: &'a Catalogue, name: &str) -> Option<Self> {
        let (name, versions) = catalogue.metrics.get_key_value(name)?;
        Some(Self { name, versions })
    }

    /// All metrics that any of the entries has, in the evaluator's order.
    pub fn all<'e>(catalogue: &'a Catalogue, entries: impl Iterator<Item = &'e Entry> + Clone) -> Vec<Self> {
        let every = catalogue.metrics.iter().map(|(name, versions)| Self { name, versions });
        let mut known: Vec<Self> =
            every.filter(|quantity| entries.clone().any(|entry| quantity.of(entry).is_some())).collect();
        known.sort_by_key(|quantity| format::metric_order(quantity.name));
        known
    }

    /// Its value of a trial.
    pub fn of(&self, entry: &Entry) -> Option<Estimate> {
        let mean = entry.mean(self.versions)?;
        let scale = self.scale();
        let interval = mean.low.zip(mean.high).map(|(low, high)| (scale * low, scale * high));
        Some(Estimate { mean: scale * mean.mean, interval })
    }

    /// Which way it gets better.
    pub fn direction(&self) -> Direction {
        self.versions.first().map_or(Direction::Neither, |row| row.direction)
    }

    /// Shares are shown in per cent.
    pub fn scale(&self) -> f64 {
        if matches!(self.name, "token_share" | "threshold_met") { 100.0 } else { 1.0 }
    }

    /// Name and unit, for people.
    pub fn label(&self) -> String {
        let name = match self.name {
            "token_share" => return "tokens (% of all)".to_owned(),
            "threshold_met" => return "blocks that meet τ (%)".to_owned(),
            "kept_tokens" => return "kept tokens per block".to_owned(),
            "search_seconds" => return "search (s per block)".to_owned(),
            name => format::metric(name),
        };
        let unit = self.versions.first().map_or("", |row| row.unit.as_str());
        match unit.split_once('/') {
            // «bits per pixel (bit/pixel)» would say it twice, and so would «evaluations (evaluations/block)».
            Some((_, per)) if name.ends_with(&format!(" per {per}")) => name,
            Some((what, per)) if name.contains(what) => format!("{name} per {per}"),
            _ if unit.is_empty() => name,
            _ => format!("{name} ({unit})"),
        }
    }

    /// A value as the store has it, for people.
    pub fn text(&self, value: f64) -> String {
        self.scaled_text(self.scale() * value)
    }

    /// A value in the unit of the label, for people.
    pub fn scaled_text(&self, value: f64) -> String {
        let digits = self.digits();
        if value.abs() >= 1e6 { format::number(value) } else { format!("{value:.digits$}") }
    }

    /// Digits after the point that people read.
    pub fn digits(&self) -> usize {
        match self.name {
            "psnr" | "mean_colour_psnr" | "kept_tokens" | "evaluations" | "sequential_depth" => 2,
            "token_share" | "threshold_met" => 1,
            "flops" | "prediction_flops" | "jpeg_bytes" | "bits" | "adaptive_bits" => 0,
            _ => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use evaluator::metric::ALL;
    use evaluator::store::MetricId;

    use super::*;

    #[test]
    fn a_label_says_everything_once() {
        let label = |name: &str| {
            let metric = ALL.iter().find(|metric| metric.name == name).unwrap();
            let versions = [MetricRow {
                id: MetricId(1),
                name: name.to_owned(),
                version: metric.version,
                unit: metric.unit.to_owned(),
                direction: metric.direction,
                noisy: metric.noisy,
            }];
            Quantity { name, versions: &versions }.label()
        };
        for (name, expected) in [
            ("bits_per_pixel", "bits per pixel"),
            ("bits", "bits per block"),
            ("evaluations", "evaluations per block"),
            ("sequential_depth", "sequential depth (waits/block)"),
            ("psnr", "PSNR (dB)"),
            ("ssim", "SSIM"),
        ] {
            assert_eq!(label(name), expected);
        }
    }
}
