//! Where a table's rows come from: the trials, the code, the machine.

use super::table::column;
use super::{Cell, Column, Report, Table};
use crate::error::Result;
use crate::store::{ContentHash, Reader, TrialId};
use std::collections::BTreeSet;

const COLUMN: Column = column("trials", "trials", 0);

impl Report {
    /// The table with one more column, the numbers of each row's trials.
    pub fn with_trials(&self, table: Table) -> Table {
        let mut table = table;
        table.columns.push(COLUMN);
        for (index, row) in table.rows.iter_mut().enumerate() {
            let trials = table.trials.get(index).filter(|trials| !trials.is_empty());
            row.push(trials.map_or(Cell::Missing, |trials| Cell::Text(ranges(trials))));
        }
        table
    }

    /// One line for each trial of the table: key, weights, code and machine.
    pub async fn provenance(&self, reader: &Reader, table: &Table) -> Result<String> {
        let wanted: BTreeSet<TrialId> = table.trials.iter().flatten().copied().collect();
        let short = |hash: ContentHash| hash.to_string()[..16].to_owned();
        let meshes = reader.training_meshes().await?;
        let mut text = String::new();
        for trial in self.trials.iter().filter(|trial| wanted.contains(&trial.id)) {
            let made_by = match trial.provenance_id {
                None => "unknown code and machine".to_owned(),
                Some(id) => {
                    let row = reader.provenance(id).await?;
                    let commit =
                        row.git_commit.as_deref().map_or("unknown commit", |commit| &commit[..commit.len().min(12)]);
                    let dirty = if row.git_dirty == Some(true) { " with uncommitted changes" } else { "" };
                    format!(
                        "elastictok {} at {commit}{dirty}, {}, {}, {} threads",
                        row.version, row.rustc, row.cpu, row.threads
                    )
                }
            };
            let weights = trial.weights_hash.map_or_else(|| "none".to_owned(), short);
            let run = match trial.training_run_id {
                None => String::new(),
                Some(id) => {
                    let run = reader.training_run(id).await?;
                    let meshes = meshes.iter().filter(|(run, _)| *run == id).map(|(_, mesh)| format!(", mesh {mesh}"));
                    let meshes: String = meshes.collect();
                    format!(", training run {} of {} steps, seed {}{meshes}", short(run.key), run.steps, run.seed)
                }
            };
            text += &format!(
                "trial {}: {} {} τ = {}, key {}, weights {weights}{run}; {made_by}\n",
                trial.id,
                trial.variant,
                trial.strategy,
                trial.threshold.map_or_else(|| "–".to_owned(), |threshold| threshold.to_string()),
                short(trial.key),
            );
        }
        Ok(text)
    }
}

/// `3–6, 9`.
fn ranges(trials: &[TrialId]) -> String {
    let mut numbers: Vec<i64> = trials.iter().map(|trial| trial.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let chunks = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}–{last}"),
        [] => String::new(),
    });
    chunks.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[3, 9, 4, 5, 6, 3].map(TrialId)), "3–6, 9");
    }
}
