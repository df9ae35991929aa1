//! Experiments: searches, metrics, sweeps, the results store, tables and figures.

#![forbid(unsafe_code)]

pub mod chart;
pub mod content;
mod csv;
mod difference;
pub mod encode;
pub mod error;
pub mod experiment;
pub mod gate;
pub mod metric;
pub mod rate_distortion;
pub mod report;
pub mod search;
pub mod statistics;
pub mod store;
pub mod sweep;

pub use error::{EvaluatorError, Result};
