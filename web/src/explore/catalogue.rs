//! Every finished trial of the store in memory, small enough for hundreds of thousands.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use evaluator::store::{ExperimentId, FinishedTrial, Holdings, Mean, MetricId, MetricRow, TrialId};

use super::settings::{self, SEED, Symbol, Texts};

/// All finished trials, by experiment.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Texts of all settings.
    pub texts: Texts,
    /// Newest first.
    pub experiments: Vec<Arc<Shelf>>,
    /// Metrics by name, the newest version first.
    pub metrics: BTreeMap<String, Vec<MetricRow>>,
}

/// An experiment's finished trials.
#[derive(Debug)]
pub struct Shelf {
    /// What they are known by.
    pub holdings: Holdings,
    /// By their place in the experiment.
    pub entries: Vec<Entry>,
}

/// A finished trial.
#[derive(Debug)]
pub struct Entry {
    /// The trial.
    pub trial: TrialId,
    /// Its experiment.
    pub experiment: ExperimentId,
    /// The distortion asked for, if the strategy asks for one.
    pub threshold: Option<f64>,
    /// Equal for trials that differ in their seed alone.
    pub pool: u64,
    /// Whether it is what elastic budgets are compared with: a fixed budget, or a codec.
    pub is_baseline: bool,
    /// Key and value, by key.
    settings: Box<[(Symbol, Symbol)]>,
    means: Box<[Mean]>,
}

impl Shelf {
    /// Of trials as the store has them.
    pub fn new(holdings: Holdings, trials: &[FinishedTrial], texts: &mut Texts) -> Self {
        let experiment = format!("{} #{}", holdings.name, holdings.id);
        let seed = texts.symbol(SEED);
        let entry = |trial: &FinishedTrial| {
            let settings = settings::settings(trial, &experiment);
            let mut settings: Vec<_> =
                settings.iter().map(|(key, value)| (texts.symbol(key), texts.symbol(value))).collect();
            settings.sort_unstable();
            let mut pool = DefaultHasher::new();
            settings.iter().filter(|(key, _)| *key != seed).for_each(|setting| setting.hash(&mut pool));
            Entry {
                trial: trial.id,
                experiment: holdings.id,
                threshold: trial.threshold,
                pool: pool.finish(),
                is_baseline: (trial.training_run_id.is_none() && trial.config["training"].is_null())
                    || trial.strategy.starts_with("fixed"),
                settings: settings.into(),
                means: trial.means.clone().into(),
            }
        };
        let entries = trials.iter().map(entry).collect();
        Self { holdings, entries }
    }
}

impl Entry {
    /// The value of a key.
    pub fn setting(&self, key: Symbol) -> Option<Symbol> {
        let at = self.settings.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.settings[at].1)
    }

    /// All its keys with their values.
    pub fn settings(&self) -> &[(Symbol, Symbol)] {
        &self.settings
    }

    /// The mean of the first of these metrics that was measured: versions of one metric, the newest first.
    pub fn mean(&self, versions: &[MetricRow]) -> Option<Mean> {
        let of = |id: MetricId| self.means.iter().find(|mean| mean.metric_id == id);
        versions.iter().find_map(|version| of(version.id)).copied()
    }
}

impl Catalogue {
    /// Metrics by name, the newest version first.
    pub fn metrics(rows: Vec<MetricRow>) -> BTreeMap<String, Vec<MetricRow>> {
        let mut metrics: BTreeMap<String, Vec<MetricRow>> = BTreeMap::new();
        for row in rows {
            metrics.entry(row.name.clone()).or_default().push(row);
        }
        for versions in metrics.values_mut() {
            versions.sort_by_key(|row| std::cmp::Reverse(row.version));
        }
        metrics
    }
}
