//! Tokens against what is in the picture (the paper's Figure 9).

use super::compared::Compared;
use super::{Cell, Report, Table, text};
use crate::error::Result;
use crate::report::outcome::{Outcome, Outcomes};
use crate::report::table::{Column, column};
use crate::statistics::{BOOTSTRAP_SEED, clustered_correlation, pearson, spearman};

const COLUMNS: [Column; 6] = [
    column("variant", "variant", 0),
    column("τ", "threshold", 4),
    column("energy, Spearman", "high_frequency_spearman", 2),
    column("log energy, Pearson", "high_frequency_pearson", 2),
    column("JPEG bytes, Spearman", "jpeg_spearman", 2),
    column("blocks", "blocks", 0),
];

/// Every variant whose counts differ from block to block × threshold.
pub(super) fn content(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let (mut rows, mut trials) = (Vec::new(), Vec::new());
    for compared in Compared::all(report, outcomes) {
        let correlation = |x: fn(&Outcome) -> Option<f64>, coefficient| {
            let pairs = compared
                .blocks()
                .filter_map(|block| Some((block.row.source_id, x(block)?, f64::from(block.row.kept_tokens))));
            clustered_correlation(pairs.collect::<Vec<_>>(), coefficient, BOOTSTRAP_SEED)
        };
        let energy = |block: &Outcome| block.row.high_frequency;
        let log_energy = |block: &Outcome| block.row.high_frequency.filter(|e| *e > 0.0).map(f64::log10);
        let jpeg = |block: &Outcome| block.row.jpeg_bytes;
        let cells = [
            correlation(energy, spearman as fn(&[(f64, f64)]) -> Option<f64>),
            correlation(log_energy, pearson),
            correlation(jpeg, spearman),
        ];
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let cell = |found: &Option<crate::statistics::Correlation>| match found {
            None => Cell::Missing,
            Some(found) => match found.interval {
                None => Cell::Number(found.coefficient),
                Some(interval) => Cell::Estimate(found.coefficient, interval.low, interval.high),
            },
        };
        let mut row = vec![text(compared.variant), Cell::Number(compared.threshold)];
        row.extend(cells.iter().map(cell));
        row.push(Cell::Number(compared.blocks().count() as f64));
        rows.push(row);
        trials.push(compared.ids());
    }
    let caption = format!(
        "{}: correlation of a block's kept tokens with its high-frequency energy (luma above the 9 × 9 mean) and with \
         its bytes as JPEG; brackets are 95 % intervals, clustered by {}",
        report.experiment.name,
        report.source()
    );
    Ok(Table { caption, columns: COLUMNS.to_vec(), rows, trials })
}
