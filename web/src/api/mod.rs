//! `/api/…`: what the pages show as JSON, for notebooks and scripts, described by OpenAPI at `/api/openapi.json`.
//!
//! An endpoint is a function from the path's and the query's types to the answer's type. What is served and what is said
//! of it come from these same types (`endpoint.rs`), so that the description cannot tell of anything else. Names of
//! fields are a promise: they may be joined by others, and do not change their meaning. Numbers are as exact as the
//! store has them, in the unit that the description states; what is not known is null, and so nothing is NaN. Times are
//! UTC, as RFC 3339 writes them. Lists come in pages that say how many there are in all.

mod curves;
mod description;
mod endpoint;
mod experiments;
mod notes;
mod paging;
mod samples;
mod states;
mod trade_offs;
mod trials;

pub use endpoint::Endpoint;

use crate::database::Database;
use endpoint::{Nothing, endpoint};

/// Every endpoint over the store.
pub fn stored() -> Vec<Endpoint> {
    vec![
        endpoint(
            "trade_offs",
            "/api/trade-offs",
            "What quality costs, over any choice of finished trials",
            trade_offs::find,
        ),
        endpoint("experiments", "/api/experiments", "All experiments, newest first", experiments::list),
        endpoint("experiment", "/api/experiments/{experiment}", "One experiment", experiments::one),
        endpoint(
            "training",
            "/api/experiments/{experiment}/training",
            "Along the training runs of an experiment",
            curves::list,
        ),
        endpoint("trials", "/api/experiments/{experiment}/trials", "The trials of an experiment", trials::list),
        endpoint("trial", "/api/experiments/{experiment}/trials/{trial}", "One trial, with its outcome", trials::one),
        endpoint(
            "samples",
            "/api/experiments/{experiment}/trials/{trial}/samples",
            "The samples of a trial with what was measured of them",
            samples::list,
        ),
        endpoint(
            "sample",
            "/api/experiments/{experiment}/trials/{trial}/samples/{sample}",
            "One sample of a trial: what the search kept of each block, and what became of it",
            samples::one,
        ),
    ]
}

/// The endpoint that answers without the store.
pub fn built_in() -> Endpoint {
    let describe = async |_: Database, _: Nothing, _: Nothing| Ok(description::description());
    endpoint("description", "/api/openapi.json", "This description", describe)
}
