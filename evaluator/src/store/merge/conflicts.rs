//! Rows of one key that do not agree: two stores cannot both be right, and no merge should choose.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::error::At;
use super::super::lease::LeaseRow;
use super::super::{Reader, Result, StoreError};
use super::Source;

/// Each finds a row of `{theirs}` that differs from ours: what it is, our value and theirs. `%!.17g` tells any two
/// numbers apart.
const DISAGREEMENTS: &[&str] = &[
    "select 'metric ' || ours.name || ' version ' || ours.version,
            ours.unit || ', ' || ours.direction || ' is better' || iif(ours.noisy, ', noisy', ''),
            theirs.unit || ', ' || theirs.direction || ' is better' || iif(theirs.noisy, ', noisy', '')
     from {theirs}.metric as theirs
     join main.metric as ours on ours.name = theirs.name and ours.version = theirs.version
     where (ours.unit, ours.direction, ours.noisy) <> (theirs.unit, theirs.direction, theirs.noisy)",
    "select 'the hash of ' || ours.name || ' of dataset ' || dataset.name, ours.hash, theirs.hash
     from {theirs}.dataset as their_dataset
     cross join main.dataset as dataset on dataset.key = their_dataset.key
     cross join {theirs}.source as theirs on theirs.dataset_id = their_dataset.id
     cross join main.source as ours on ours.dataset_id = dataset.id and ours.name = theirs.name
     where ours.hash <> theirs.hash",
    "select 'the hash of the weights of training run ' || ours.id || ' ('
                || coalesce((select experiment.name || ', ' || variant
                             from main.experiment_training
                             join main.experiment as experiment on experiment.id = experiment_id
                             where training_run_id = ours.id), 'of no experiment')
                || ', seed ' || ours.seed || ', key ' || substr(ours.key, 1, 16) || ')',
            ours.weights_hash, theirs.weights_hash
     from {theirs}.training_run as theirs
     cross join main.training_run as ours on ours.key = theirs.key
     where ours.weights_hash <> theirs.weights_hash",
    "select metric.name || ' of ' || source.name || ' crop ' || sample.ordinal || ' in trial ' || trial.id || ' ('
                || coalesce((select experiment.name || ', ' || variant
                             from main.experiment_trial join main.experiment as experiment on experiment.id = experiment_id
                             where trial_id = trial.id), 'of no experiment')
                || ', ' || trial.strategy || coalesce(', τ = ' || trial.threshold, '')
                || ', seed ' || trial.seed || ', key ' || substr(trial.key, 1, 16) || ')',
            printf('%!.17g', ours.value), printf('%!.17g', theirs.value)
     from {theirs}.trial as their_trial
     cross join main.trial as trial on trial.key = their_trial.key
     cross join {theirs}.measurement as theirs on theirs.trial_id = their_trial.id
     cross join {theirs}.metric as their_metric on their_metric.id = theirs.metric_id
     cross join main.metric as metric on metric.name = their_metric.name and metric.version = their_metric.version
     cross join {theirs}.sample as their_sample on their_sample.id = theirs.sample_id
     cross join main.sample as sample on sample.key = their_sample.key
     cross join main.measurement as ours
         on ours.trial_id = trial.id and ours.sample_id = sample.id and ours.metric_id = metric.id
     cross join main.source as source on source.id = sample.source_id
     where not metric.noisy and ours.value <> theirs.value
     order by their_trial.id",
    "select 'the curve of ' || source.name || ' crop ' || sample.ordinal || ' block ' || curve.block || ' at '
                || ours.kept_tokens || ' tokens with the weights ' || substr(curve.weights_hash, 1, 16),
            printf('%!.17g, PSNR %!.17g, SSIM %!.17g', ours.distortion, ours.psnr, ours.ssim),
            printf('%!.17g, PSNR %!.17g, SSIM %!.17g', theirs.distortion, theirs.psnr, theirs.ssim)
     from {theirs}.curve as their_curve
     cross join {theirs}.sample as their_sample on their_sample.id = their_curve.sample_id
     cross join main.sample as sample on sample.key = their_sample.key
     cross join {theirs}.protocol as their_protocol on their_protocol.id = their_curve.protocol_id
     cross join main.protocol as protocol on protocol.key = their_protocol.key
     cross join main.curve as curve
         on curve.weights_hash = their_curve.weights_hash and curve.sample_id = sample.id
        and curve.block = their_curve.block and curve.history = their_curve.history
        and curve.protocol_id = protocol.id
     cross join {theirs}.curve_point as theirs on theirs.curve_id = their_curve.id
     cross join main.curve_point as ours on ours.curve_id = curve.id and ours.kept_tokens = theirs.kept_tokens
     cross join main.source as source on source.id = sample.source_id
     where (ours.distortion, ours.psnr, ours.ssim) <> (theirs.distortion, theirs.psnr, theirs.ssim)",
];

/// Leases of what is unfinished here and would be replaced.
const WORKED_ON: &str = "
    select lease.* from main.lease
    where subject in (select 'training_run:' || ours.id
                      from main.training_run as ours join {theirs}.training_run as theirs on theirs.key = ours.key
                      where ours.status <> 'done' and theirs.status = 'done'
                      union all
                      select 'trial:' || ours.id
                      from main.trial as ours join {theirs}.trial as theirs on theirs.key = ours.key
                      where ours.status <> 'done' and theirs.status = 'done')
    order by subject";

/// Refuses a source that disagrees, or whose finished work somebody is just doing here.
pub(super) async fn refuse(store: &Reader, source: &Source, connection: &mut SqliteConnection) -> Result<()> {
    for query in DISAGREEMENTS {
        let query = format!("{} limit 1", query.replace("{theirs}", &source.schema));
        let found: Option<(String, String, String)> =
            sqlx::query_as(AssertSqlSafe(query)).fetch_optional(&mut *connection).await.at(store)?;
        if let Some((what, ours, theirs)) = found {
            let source_path = source.reader.path().to_owned();
            return Err(StoreError::MergeConflict { source_path, what, ours, theirs });
        }
    }
    let query = WORKED_ON.replace("{theirs}", &source.schema);
    let leases: Vec<LeaseRow> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(connection).await.at(store)?;
    leases.into_iter().try_for_each(|lease| lease.refuse(store.path()))
}
