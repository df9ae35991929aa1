//! What can be wrong with an experiment file.

use std::path::PathBuf;

/// An experiment file that cannot be run, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The file is not there or cannot be read.
    #[error("cannot read the experiment {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or a value has the wrong type.
    #[error("{path}: {message}", path = path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        message: String,
    },
    /// A key that nothing reads.
    #[error("{place}: unknown key `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// File and line, or the option that set it.
        place: String,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// An override that does not fit.
    #[error("{place}: {message}")]
    Override {
        /// The variant, grid point or option.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be.
    #[error("variant {variant}: {source}")]
    Value {
        /// The variant.
        variant: String,
        /// The rule it breaks.
        source: Box<engine::EngineError>,
    },
    /// A search strategy that cannot be.
    #[error("variant {variant}: sweep.strategies: {source}")]
    Strategy {
        /// The variant.
        variant: String,
        /// What is wrong with its name.
        source: crate::search::SearchError,
    },
}
