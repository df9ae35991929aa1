//! Row ids, one type per table, so that a sample's id cannot be passed where a trial's is meant.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            sqlx::Type, serde::Serialize, serde::Deserialize,
        )]
        #[sqlx(transparent)]
        #[serde(transparent)]
        pub struct $name(
            /// The row's integer primary key.
            pub i64,
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A row of `experiment`.
    ExperimentId
    /// A row of `dataset`.
    DatasetId
    /// A row of `source`.
    SourceId
    /// A row of `sample`.
    SampleId
    /// A row of `metric`.
    MetricId
    /// A row of `protocol`.
    ProtocolId
    /// A row of `provenance`.
    ProvenanceId
    /// A row of `training_run`.
    TrainingRunId
    /// A row of `curve`.
    CurveId
    /// A row of `predictor`.
    PredictorId
    /// A row of `trial`.
    TrialId
    /// A row of `event`; grows with time.
    EventId
    /// A row of `note`.
    NoteId
}
