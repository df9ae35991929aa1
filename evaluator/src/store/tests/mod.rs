//! Tests of the store as a whole; those of one table are in its module.

mod child;
mod concurrency;
mod constraints;
mod crash;
pub(super) mod fixture;
mod opening;
mod plans;
