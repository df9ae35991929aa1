//! What each block of a clip gains from the blocks before it.

use super::{Cell, Report, Table, estimated, text};
use crate::error::Result;
use crate::metric::psnr_of;
use crate::report::context::{Conditioned, Pair, pooled};
use crate::report::outcome::{Estimate, Outcomes};
use crate::report::table::{Column, column};

const CONTEXT: [Column; 8] = [
    column("variant", "variant", 0),
    column("kept", "strategy", 0),
    column("block", "block", 0),
    column("MSE behind", "mse_behind", 5),
    column("MSE alone", "mse_alone", 5),
    column("PSNR behind (dB)", "psnr_behind", 2),
    column("PSNR alone (dB)", "psnr_alone", 2),
    column("gain (dB)", "gain_db", 2),
];

/// Of all blocks together, then block by block.
pub(super) fn context(report: &Report, outcomes: &[Outcomes]) -> Result<Table> {
    let (mut rows, mut trials) = (Vec::new(), Vec::new());
    for known in Conditioned::all(report, outcomes) {
        let by_number = known.by_number();
        let each = by_number.iter().map(|(number, pairs)| ((number + 1).to_string(), pairs));
        for (block, pairs) in std::iter::once(("all".to_owned(), &known.blocks)).chain(each) {
            rows.push(row(&known, block, pairs));
            trials.push(known.trials.clone());
        }
    }
    let caption = format!(
        "{}: held-out blocks by their place in the clip, reconstructed behind the blocks before them and alone, as the first \
         of a sequence of their own, by the same weights with the same tokens kept. PSNR is that of the mean error; gain is \
         the mean of the blocks' own; brackets are 95 % intervals, clustered by {}",
        report.experiment.name,
        report.source()
    );
    Ok(Table { caption, columns: CONTEXT.to_vec(), rows, trials })
}

fn row(known: &Conditioned<'_>, block: String, pairs: &[Pair]) -> Vec<Cell> {
    let (behind, _) = pooled(pairs, |pair| pair.behind);
    let (alone, _) = pooled(pairs, |pair| pair.alone);
    let (mean, interval) = pooled(pairs, Pair::gain);
    let psnr = |mse| Cell::Number(psnr_of(mse));
    vec![
        text(known.variant),
        text(known.strategy),
        text(block),
        Cell::Number(behind),
        Cell::Number(alone),
        psnr(behind),
        psnr(alone),
        estimated(Some(Estimate { mean, interval }), 1.0),
    ]
}
