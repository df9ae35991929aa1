//! Copying the rows of one table from an attached store, whatever columns it has.
//!
//! Columns are asked of the schema, and one convention translates ids: a column `<table>_id` refers to the id of
//! `<table>`. Tables come after those they refer to, so that `temp.<table>_ids` (old → new) is there when it is needed.

use sqlx::{AssertSqlSafe, SqliteConnection};

/// A table whose rows are copied.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns by which a row is the same row in every store.
    key: &'static [&'static str],
    rule: Rule,
}

/// Which rows are copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Those that are missing.
    Missing,
    /// Those that are missing, and those that are done there and not here.
    Work,
    /// Those of the work that was copied, in place of what its unfinished row had here.
    PartOf(&'static str),
}

use Rule::{Missing, PartOf, Work};

/// Every table that is copied.
pub(super) const COPIED: &[Table] = &[
    Table::new("artifact", &["hash"], Missing),
    Table::new("experiment", &["key"], Missing),
    Table::new("dataset", &["key"], Missing),
    Table::new("source", &["dataset_id", "name"], Missing),
    Table::new("sample", &["key"], Missing),
    Table::new("metric", &["name", "version"], Missing),
    Table::new("protocol", &["key"], Missing),
    Table::new("provenance", &["key"], Missing),
    Table::new("training_run", &["key"], Work),
    Table::new("training_point", &["training_run_id", "step"], PartOf("training_run")),
    Table::new("experiment_training", &["experiment_id", "ordinal"], Missing),
    Table::new("predictor", &["key"], Missing),
    Table::new("curve", &["weights_hash", "sample_id", "block", "history", "protocol_id"], Missing),
    Table::new("curve_point", &["curve_id", "kept_tokens"], Missing),
    Table::new("progressive", &["weights_hash", "sample_id", "protocol_id", "kept_tokens"], Missing),
    Table::new("trial", &["key"], Work),
    Table::new("trial_sample", &["trial_id", "sample_id"], PartOf("trial")),
    Table::new("trial_block", &["trial_id", "sample_id", "block"], PartOf("trial")),
    Table::new("measurement", &["trial_id", "sample_id", "metric_id"], PartOf("trial")),
    Table::new("summary", &["trial_id", "metric_id"], PartOf("trial")),
    Table::new("experiment_trial", &["experiment_id", "ordinal"], Missing),
    Table::new("tag", &["experiment_id", "name"], Missing),
    Table::new("note", &["experiment_id", "trial_id", "text", "written_at"], Missing),
];

impl Table {
    const fn new(name: &'static str, key: &'static [&'static str], rule: Rule) -> Self {
        Self { name, key, rule }
    }

    /// Copies the rows that the rule says from the store attached as `schema`; how many they were.
    pub(super) async fn copy(&self, schema: &str, connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
        let Self { name, .. } = self;
        let all: Vec<String> =
            sqlx::query_scalar("select name from pragma_table_info(?)").bind(name).fetch_all(&mut *connection).await?;
        let has_id = all.iter().any(|column| column == "id");
        let columns: Vec<&str> = all.iter().map(String::as_str).filter(|column| *column != "id").collect();
        let (into, values) = (columns.join(", "), columns.iter().map(|c| translated(c)).collect::<Vec<_>>().join(", "));
        let here = self.key.iter().map(|column| format!("ours.{column} is {}", translated(column)));
        let here = here.collect::<Vec<_>>().join(" and ");

        let mut rows = 0;
        let missing = match self.rule {
            PartOf(work) => {
                let replaced = format!(
                    "delete from main.{name} where {work}_id in (select new from temp.{work}_taken where new is not null)"
                );
                execute(&replaced, connection).await?;
                format!("theirs.{work}_id in (select old from temp.{work}_taken)")
            }
            Work => {
                rows += self.take_finished(schema, &into, &values, connection).await?;
                format!("theirs.id in (select old from temp.{name}_taken where new is null)")
            }
            Missing => format!("not exists (select 1 from main.{name} as ours where {here})"),
        };
        // In the order of the source, so that «the latest of this name» stays the latest.
        let order = if has_id { "order by theirs.id" } else { "" };
        let insert = format!(
            "insert into main.{name} ({into}) select {values} from {schema}.{name} as theirs where {missing} {order}"
        );
        rows += execute(&insert, connection).await?;
        if has_id {
            let ids = format!("temp.{name}_ids");
            execute(&format!("create table if not exists {ids} (old integer primary key, new integer)"), connection)
                .await?;
            execute(&format!("delete from {ids}"), connection).await?;
            let pairs = format!(
                "insert or ignore into {ids} select theirs.id, ours.id
                 from {schema}.{name} as theirs cross join main.{name} as ours where {here}"
            );
            execute(&pairs, connection).await?;
        }
        Ok(rows)
    }

    /// Notes which work is copied, and replaces what is done there and unfinished here.
    async fn take_finished(
        &self,
        schema: &str,
        into: &str,
        values: &str,
        connection: &mut SqliteConnection,
    ) -> Result<u64, sqlx::Error> {
        let Self { name, .. } = self;
        let taken = format!("temp.{name}_taken");
        execute(&format!("create table if not exists {taken} (old integer primary key, new integer)"), connection)
            .await?;
        execute(&format!("delete from {taken}"), connection).await?;
        let note = format!(
            "insert into {taken} select theirs.id, ours.id
             from {schema}.{name} as theirs left join main.{name} as ours on ours.key = theirs.key
             where ours.id is null or (theirs.status = 'done' and ours.status <> 'done')"
        );
        execute(&note, connection).await?;
        let replace = format!(
            "update main.{name} as ours
             set ({into}) = (select {values} from {schema}.{name} as theirs where theirs.key = ours.key)
             where id in (select new from {taken} where new is not null)"
        );
        execute(&replace, connection).await
    }
}

/// A place in an experiment is its newest evaluator's trial's, as in [`Store::link_trial`](super::Store::link_trial).
pub(super) async fn newest_trials_take_their_places(
    schema: &str,
    connection: &mut SqliteConnection,
) -> Result<u64, sqlx::Error> {
    let update = format!(
        "update main.experiment_trial as place set (variant, trial_id) = (newer.variant, newer.trial_id)
         from (select experiment.new as experiment_id, theirs.ordinal, theirs.variant, trial.id as trial_id,
                      trial.evaluator_version
               from {schema}.experiment_trial as theirs
               join temp.experiment_ids as experiment on experiment.old = theirs.experiment_id
               join temp.trial_ids as ids on ids.old = theirs.trial_id
               join main.trial as trial on trial.id = ids.new) as newer
         where newer.experiment_id = place.experiment_id and newer.ordinal = place.ordinal
           and newer.evaluator_version > (select evaluator_version from main.trial where id = place.trial_id)"
    );
    execute(&update, connection).await
}

/// A source's value as it is in the destination.
fn translated(column: &str) -> String {
    match column.strip_suffix("_id") {
        Some(table) => format!("(select new from temp.{table}_ids where old = theirs.{column})"),
        None => format!("theirs.{column}"),
    }
}

async fn execute(statement: &str, connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(AssertSqlSafe(statement.to_owned())).execute(connection).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::fixture::Workbench;
    use super::*;

    /// Each process tells its own events and holds its own leases; the migrations are the destination's.
    const NOT_COPIED: [&str; 4] = ["_sqlx_migrations", "event", "lease", "sqlite_sequence"];

    #[tokio::test]
    async fn every_table_of_the_schema_is_copied_or_left_out_on_purpose() {
        let bench = Workbench::new().await;
        let tables: Vec<String> =
            sqlx::query_scalar("select name from sqlite_schema where type = 'table' order by name")
                .fetch_all(&bench.store.writer)
                .await
                .unwrap();
        let mut listed: Vec<&str> = COPIED.iter().map(|table| table.name).chain(NOT_COPIED).collect();
        listed.sort_unstable();
        assert_eq!(listed, tables);
    }

    /// What [`translated`] relies on.
    #[tokio::test]
    async fn columns_named_after_a_table_refer_to_it_and_tables_come_after_those_they_refer_to() {
        let bench = Workbench::new().await;
        for (place, table) in COPIED.iter().enumerate() {
            let references: Vec<(String, String)> =
                sqlx::query_as("select \"from\", \"table\" from pragma_foreign_key_list(?)")
                    .bind(table.name)
                    .fetch_all(&bench.store.writer)
                    .await
                    .unwrap();
            let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info(?)")
                .bind(table.name)
                .fetch_all(&bench.store.writer)
                .await
                .unwrap();
            for (_, parent) in &references {
                assert!(COPIED[..place].iter().any(|earlier| earlier.name == parent), "{} → {parent}", table.name);
            }
            for column in columns {
                match column.strip_suffix("_id") {
                    // A part may refer to both by way of `trial_sample`.
                    Some(parent) => assert!(
                        COPIED[..place].iter().any(|earlier| earlier.name == parent)
                            && references
                                .iter()
                                .any(|(from, to)| *from == column && (to == parent || to == "trial_sample")),
                        "{}.{column}",
                        table.name
                    ),
                    None => assert!(
                        references.iter().all(|(from, to)| *from != column || to == "artifact"),
                        "{}.{column} refers to an id, but is not named after its table",
                        table.name
                    ),
                }
            }
        }
    }
}
