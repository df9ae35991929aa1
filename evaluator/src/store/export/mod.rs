//! Numbers for other programs: one row each, with everything it takes to understand it without the database.
//!
//! Rows are written as they are read, however many there are, in an order that does not depend on when they were stored.

mod rows;

use std::io::Write;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    Column as _, Decode as _, Executor as _, Row as _, SqlSafeStr as _, Sqlite, SqliteConnection, Statement as _,
};
use sqlx::{TypeInfo as _, ValueRef as _};

use super::error::At;
use super::{ExperimentId, Reader, Result, StoreError, TrialId};
pub use rows::ExportFormat;
use rows::{Field, Rows};

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// Each metric of each sample of each finished trial.
    Measurements,
    /// Each point of the distortion curves of each trained variant.
    Curves,
    /// Each trial, finished or not, with its configuration and its summaries.
    Trials,
}

const MEASUREMENTS: &str = "
    select experiment.name as experiment, experiment.id as experiment_id, variant, trial.seed, strategy, threshold,
           replayed, dataset.name as dataset, source.name as source, sample.ordinal as crop, metric.name as metric,
           metric.version as metric_version, unit, direction, noisy, value, trial.key as trial, weights_hash,
           evaluator_version, protocol.key as protocol_key
    from experiment
    cross join experiment_trial on experiment_id = experiment.id
    cross join trial on trial.id = experiment_trial.trial_id
    cross join measurement on measurement.trial_id = trial.id
    cross join metric on metric.id = metric_id
    cross join sample on sample.id = sample_id
    cross join source on source.id = source_id
    cross join dataset on dataset.id = source.dataset_id
    cross join protocol on protocol.id = protocol_id
    where trial.status = 'done' and (?1 is null or experiment.id = ?1)
    order by experiment.id, experiment_trial.ordinal, source.name, sample.ordinal, sample.key, metric.name,
             metric.version";

// A variant's curves are those that its trials could replay: of its weights, its pictures and its protocol.
const CURVES: &str = "
    with model as (
        select experiment_id, min(ordinal) as place, variant, seed, weights_hash, protocol_id, dataset_id
        from experiment_trial join trial on trial.id = trial_id
        where ?1 is null or experiment_id = ?1
        group by experiment_id, variant, seed, weights_hash, protocol_id, dataset_id)
    select experiment.name as experiment, experiment.id as experiment_id, variant, model.seed, dataset.name as dataset,
           source.name as source, sample.ordinal as crop, block, history, kept_tokens, distortion, psnr, ssim,
           curve.weights_hash, protocol.key as protocol_key
    from model
    cross join experiment on experiment.id = model.experiment_id
    cross join curve on curve.weights_hash = model.weights_hash and curve.protocol_id = model.protocol_id
    cross join sample on sample.id = sample_id
    cross join source on source.id = source_id and source.dataset_id = model.dataset_id
    cross join dataset on dataset.id = source.dataset_id
    cross join protocol on protocol.id = curve.protocol_id
    cross join curve_point on curve_id = curve.id
    order by experiment.id, place, source.name, sample.ordinal, sample.key, block, history, kept_tokens";

const TRIALS: &str = "
    select experiment.name as experiment, experiment.id as experiment_id, variant, trial.seed, strategy, threshold,
           replayed, trial.status, samples,
           (select count(*) from trial_sample where trial_id = trial.id) as samples_done, trial.error,
           trial.started_at, trial.finished_at, dataset.name as dataset, dataset.key as dataset_key,
           protocol.description as protocol, trial.key as trial, weights_hash, evaluator_version,
           provenance.version as elastictok_version, git_commit, git_dirty, rustc, cpu, cpu_features, threads, os, host,
           trial.config, trial.id as summaries
    from experiment
    cross join experiment_trial on experiment_id = experiment.id
    cross join trial on trial.id = experiment_trial.trial_id
    cross join dataset on dataset.id = dataset_id
    cross join protocol on protocol.id = protocol_id
    left join provenance on provenance.id = provenance_id
    where ?1 is null or experiment.id = ?1
    order by experiment.id, experiment_trial.ordinal";

const SUMMARIES: &str = "
    select metric.name as metric, version as metric_version, unit, direction, noisy, samples, mean, deviation, low,
           high, minimum, maximum
    from summary join metric on metric.id = metric_id
    where trial_id = ?
    order by metric.name, version";

/// Columns that hold JSON: part of a JSON row, text in a CSV field.
const JSON: [&str; 4] = ["history", "protocol", "config", "summaries"];

impl Export {
    fn query(self) -> &'static str {
        match self {
            Self::Measurements => MEASUREMENTS,
            Self::Curves => CURVES,
            Self::Trials => TRIALS,
        }
    }
}

impl Reader {
    /// Writes the rows of one experiment, or of all; how many they were.
    ///
    /// # Errors
    /// [`File`](StoreError::File) if `out` cannot be written.
    pub async fn export(
        &self,
        what: Export,
        experiment: Option<ExperimentId>,
        format: ExportFormat,
        out: &mut (dyn Write + Send),
    ) -> Result<u64> {
        let failed = |source| StoreError::from_io("write", "the export".into(), source);
        let mut snapshot = self.snapshot().await?;
        let mut beside = self.snapshot().await?;
        let query = what.query();
        let statement = (&mut *snapshot).prepare(query.into_sql_str()).await.at(self)?;
        let columns: Vec<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut rows = Rows::begin(out, format, columns).map_err(failed)?;
        let mut found = sqlx::query(query).bind(experiment).fetch(&mut *snapshot);
        while let Some(row) = found.try_next().await.at(self)? {
            let summaries = match what {
                Export::Trials => Some(summaries(TrialId(row.get("summaries")), &mut beside).await.at(self)?),
                _ => None,
            };
            let fields = (0..row.len()).map(|column| match (row.column(column).name(), &summaries) {
                ("summaries", Some(summaries)) => Ok(Field::Json(summaries)),
                _ => field(&row, column),
            });
            let fields = fields.collect::<Result<Vec<_>, _>>().at(self)?;
            rows.write(&fields).map_err(failed)?;
        }
        rows.end().map_err(failed)
    }
}

/// A trial's summaries as JSON: an array of objects.
async fn summaries(trial: TrialId, connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    let found = sqlx::query(SUMMARIES).bind(trial).fetch_all(connection).await?;
    let mut objects = Vec::new();
    for row in &found {
        let fields = (0..row.len()).map(|column| field(row, column)).collect::<Result<Vec<_>, _>>()?;
        objects.push(rows::object(row.columns().iter().map(sqlx::Column::name).zip(&fields)));
    }
    Ok(format!("[{}]", objects.join(",")))
}

/// One value, as what it is stored as.
fn field(row: &SqliteRow, column: usize) -> Result<Field<'_>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    let is_json = JSON.contains(&row.column(column).name());
    if value.is_null() {
        return Ok(Field::Missing);
    }
    let decoded = match value.type_info().name() {
        "INTEGER" => <i64 as sqlx::Decode<Sqlite>>::decode(value).map(Field::Integer),
        "REAL" => f64::decode(value).map(Field::Real),
        _ => <&str>::decode(value).map(|text| match is_json {
            true => Field::Json(text),
            false => Field::Text(text),
        }),
    };
    decoded.map_err(sqlx::Error::Decode)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::super::tests::fixture::{Workbench, key, record, summary};
    use super::super::{CurvePoint, NewCurve};
    use super::*;

    async fn bench() -> Workbench {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        store.start_trial(trial).await.unwrap();
        for (number, &sample) in bench.samples.iter().enumerate() {
            let mut record = record(&bench, sample);
            record.measurements[0].1 = 0.1 + 0.2 + number as f64;
            store.record_sample(trial, &record).await.unwrap();
            let points = (1..=3).map(|n| CurvePoint { kept_tokens: n, distortion: 1e-7 / 3.0, psnr: 30.0, ssim: 0.1 });
            let curve = NewCurve {
                weights: key("weights"),
                sample,
                block: 0,
                history: Vec::new(),
                protocol: bench.protocol,
                seconds: 1.0,
                points: points.collect(),
            };
            store.put_curve(&curve).await.unwrap();
        }
        store.finish_trial(trial, &[summary(bench.psnr, 1.0 / 3.0)]).await.unwrap();
        bench
    }

    async fn text(bench: &Workbench, what: Export, format: ExportFormat) -> String {
        let mut out = Vec::new();
        bench.store.export(what, None, format, &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    async fn json(bench: &Workbench, what: Export) -> Vec<serde_json::Value> {
        serde_json::from_str(&text(bench, what, ExportFormat::Json).await).unwrap()
    }

    #[tokio::test]
    async fn measurements_come_in_order_with_all_that_explains_them_and_every_bit() {
        let bench = bench().await;
        let rows = json(&bench, Export::Measurements).await;
        let order: Vec<_> = rows.iter().map(|row| (&row["source"], row["crop"].as_i64(), &row["metric"])).collect();
        assert_eq!(order.len(), 8);
        assert!(order[0].0 == "a.png" && order[0].1 == Some(0) && order[0].2 == "psnr", "{:?}", order[0]);
        assert!(order[7].0 == "b.png" && order[7].1 == Some(1) && order[7].2 == "tokens", "{:?}", order[7]);
        let first = &rows[0];
        assert_eq!(first["value"], 0.1 + 0.2 + 2.0);
        for (column, value) in [("experiment", "first"), ("variant", "base"), ("strategy", "binary"), ("unit", "dB")] {
            assert_eq!(first[column], value);
        }
        assert_eq!((first["seed"].as_i64(), first["threshold"].as_f64()), (Some(7), Some(0.05)));
        let csv = text(&bench, Export::Measurements, ExportFormat::Csv).await;
        assert!(csv.starts_with("experiment,experiment_id,variant,seed,strategy,threshold,"), "{csv}");
        assert_eq!(csv.lines().count(), 9);
    }

    #[tokio::test]
    async fn curves_belong_to_the_variants_whose_trials_could_replay_them() {
        let bench = bench().await;
        let rows = json(&bench, Export::Curves).await;
        assert_eq!(rows.len(), 12);
        let first = &rows[0];
        assert_eq!((&first["variant"], &first["source"]), (&"base".into(), &"a.png".into()));
        assert_eq!((first["kept_tokens"].as_i64(), first["distortion"].as_f64()), (Some(1), Some(1e-7 / 3.0)));
        assert_eq!(first["history"], serde_json::json!([]));
    }

    #[tokio::test]
    async fn a_trial_is_one_row_with_its_configuration_and_summaries() {
        let bench = bench().await;
        let other = bench.store.put_trial(&bench.new_trial("not begun")).await.unwrap().id;
        bench.store.link_trial(bench.experiment, 1, "wide, deep", other).await.unwrap();
        let rows = json(&bench, Export::Trials).await;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["config"], serde_json::json!({ "strategy": "binary" }));
        assert_eq!(rows[0]["protocol"], serde_json::json!({ "crop": 256 }));
        assert_eq!(
            (&rows[0]["summaries"][0]["metric"], &rows[0]["summaries"][0]["mean"]),
            (&"psnr".into(), &(1.0 / 3.0).into())
        );
        assert_eq!((&rows[1]["status"], &rows[1]["summaries"]), (&"pending".into(), &serde_json::json!([])));
        let csv = text(&bench, Export::Trials, ExportFormat::Csv).await;
        assert!(csv.contains(",\"wide, deep\",") && csv.contains("\"{\"\"strategy\"\":\"\"binary\"\"}\""), "{csv}");
    }

    #[tokio::test]
    async fn an_export_of_nothing_has_its_columns() {
        let bench = Workbench::new().await;
        let csv = text(&bench, Export::Curves, ExportFormat::Csv).await;
        assert!(csv.starts_with("experiment,") && csv.lines().count() == 1, "{csv}");
        assert!(json(&bench, Export::Measurements).await.is_empty());
    }

    /// Sorting keeps no more than one trial's rows waiting.
    #[tokio::test]
    async fn measurements_are_sorted_trial_by_trial() {
        let bench = Workbench::new().await;
        let explain = format!("explain query plan {MEASUREMENTS}");
        let plan = sqlx::query(AssertSqlSafe(explain)).bind(1).fetch_all(&bench.store.pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step == "USE TEMP B-TREE FOR LAST 5 TERMS OF ORDER BY"), "{plan:#?}");
    }
}
