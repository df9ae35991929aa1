//! The words of the store as the API says them.

use evaluator::metric::Direction;
use evaluator::store::{TrainingStatus, TrialStatus};
use serde::Serialize;
use utoipa::ToSchema;

/// Where a trial or a training run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(example = "done")]
pub enum State {
    /// Not begun.
    Pending,
    /// Being worked on, or its process was killed while it was.
    Running,
    /// Stopped on request; the next run goes on from there.
    Stopped,
    /// Stopped by an error.
    Failed,
    /// Finished; never changes again.
    Done,
}

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(example = "higher")]
pub enum Better {
    /// Larger values.
    Higher,
    /// Smaller values.
    Lower,
    /// Neither: the metric describes.
    Neither,
}

impl From<TrialStatus> for State {
    fn from(status: TrialStatus) -> Self {
        match status {
            TrialStatus::Pending => Self::Pending,
            TrialStatus::Running => Self::Running,
            TrialStatus::Failed => Self::Failed,
            TrialStatus::Done => Self::Done,
        }
    }
}

impl From<TrainingStatus> for State {
    fn from(status: TrainingStatus) -> Self {
        match status {
            TrainingStatus::Pending => Self::Pending,
            TrainingStatus::Running => Self::Running,
            TrainingStatus::Stopped => Self::Stopped,
            TrainingStatus::Failed => Self::Failed,
            TrainingStatus::Done => Self::Done,
        }
    }
}

impl From<Direction> for Better {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Higher => Self::Higher,
            Direction::Lower => Self::Lower,
            Direction::Neither => Self::Neither,
        }
    }
}
