//! The gate on numbers made up for it.

pub(super) mod fixture;
mod hostile;
mod rendered;
mod verdicts;
