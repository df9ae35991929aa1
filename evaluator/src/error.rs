//! What can stop an experiment.

/// An error of the evaluator: what was tried, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluatorError {
    /// The experiment file.
    #[error(transparent)]
    Experiment(#[from] crate::experiment::ExperimentError),
    /// Model, training or data.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The results store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The gate.
    #[error(transparent)]
    Gate(#[from] crate::gate::GateError),
    /// A search.
    #[error(transparent)]
    Search(#[from] crate::search::SearchError),
    /// A metric.
    #[error(transparent)]
    Metric(#[from] crate::metric::MetricError),
    /// A figure.
    #[error(transparent)]
    Chart(#[from] crate::chart::ChartError),
    /// Numbers that cannot stand side by side.
    #[error("{variant} was measured under another protocol: {difference}; report the variants in separate experiments")]
    Protocols {
        /// The variant that differs from the first.
        variant: String,
        /// The fields that differ.
        difference: String,
    },
    /// A model that this machine cannot train.
    #[error(
        "variant {variant} has {parameters} weights: training needs at least {needed} MiB, this machine has {available} \
         free; lower model.width, model.hidden, the layers or train.batch"
    )]
    Memory {
        /// The variant.
        variant: String,
        /// Its weights.
        parameters: usize,
        /// MiB for weights, gradients, moments and the pixels of a batch alone.
        needed: usize,
        /// MiB available now.
        available: usize,
    },
    /// A model that this mesh of workers cannot train.
    #[error("variant {variant} cannot be trained on this mesh: {source}")]
    Mesh {
        /// The variant.
        variant: String,
        /// Why not.
        source: engine::EngineError,
    },
    /// Ranks of one job that were not started alike.
    #[error(
        "rank {rank} was not started as rank 0 was: {what} is {there} there and {here} here; every rank needs the same \
         program, arguments, experiment file, pictures, videos and threads"
    )]
    RanksDiffer {
        /// The first rank that differs from rank 0.
        rank: usize,
        /// What differs.
        what: String,
        /// What it is for rank 0.
        here: String,
        /// What it is for the other.
        there: String,
    },
    /// A rank that made the same steps came to other weights.
    #[error(
        "rank {rank} came to other weights than rank 0 by the same steps: its machine computes differently; the last \
         checkpoint is kept, run without that machine"
    )]
    RanksDrifted {
        /// The rank.
        rank: usize,
    },
    /// Weights that were lost could not be made again.
    #[error(
        "the weights {path} are lost, and training again on this machine, with so many threads and this mesh, gives others: \
         restore the file, or start a new store with --db",
        path = path.display()
    )]
    Weights {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A picture could not be written as PNG.
    #[error("cannot encode a picture as PNG: {0}")]
    Png(#[from] image::ImageError),
    /// A report of nothing.
    #[error("the store holds no experiment: `elastictok run experiments/quickstart.toml` makes one")]
    NoExperiment,
    /// Two curves that cannot be compared.
    #[error("{variant} against {anchor}: {source}")]
    Rate {
        /// The first variant.
        anchor: String,
        /// The other.
        variant: String,
        /// Why not.
        source: crate::rate_distortion::RateDistortionError,
    },
    /// No table or figure has this name.
    #[error("there is no {what} {name:?}; there are {names}")]
    UnknownReport {
        /// Table or figure.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        names: String,
    },
    /// An experiment without what a table or figure shows.
    #[error("experiment {experiment} holds nothing for {table}; name another one with --experiment")]
    NothingToShow {
        /// The experiment.
        experiment: String,
        /// The table or figure.
        table: &'static str,
    },
    /// Somebody asked to stop; what was finished is stored.
    #[error("stopped; run the same command again to go on")]
    Stopped,
}

/// The evaluator's results.
pub type Result<T> = std::result::Result<T, EvaluatorError>;
