//! Training: AdamW on random crops, a schedule, and checkpoints from which a run goes on as if it had never stopped.

pub(crate) mod adamw;
mod batch;
mod checkpoint;
mod config;
mod data;
mod stages;
mod trainer;
mod worker;

pub use adamw::{AdamW, clip_global_norm};
pub(crate) use batch::{sequences_of_shard, sums_of_batch};
pub use config::{PerceptualLoss, Schedule, TrainConfig};
pub use data::{Sequence, TrainingData};
pub use stages::Stage;
pub use trainer::{Start, StepReport, Trainer};
