//! The dashboard: pages over the results store, for one person on one machine.
//!
//! Every page is made by the server from the store as it is now; links and forms are all it needs, JavaScript only adds
//! comfort. The store is read, never written: a sweep may run meanwhile. Nobody but the local user may ask
//! (`guard.rs`), nothing from a URL is taken for more than a number, a hash or one of a few words (`extract.rs`), and the
//! browser is told to run and load nothing but the files in `assets/`.

#![forbid(unsafe_code)]

mod added;
mod assets;
mod charts;
mod difference;
mod error;
mod explore;
mod extract;
mod format;
mod guard;
mod live;
mod pages;
mod paging;
mod samples;
mod server;
mod thin;
mod timeline;
mod training_charts;

pub use server::{WebError, bind, serve};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use evaluator::store::Reader;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// Every address of the dashboard, for a server on this port of the loopback interface. Streams of running work end when
/// `ended` is cancelled.
pub fn router(reader: Reader, port: u16, ended: CancellationToken) -> Router {
    let live = live::Live::new(reader.clone(), ended);
    let trade_offs = pages::trade_offs::Sources::new(reader.clone());
    Router::new()
        .route("/", get(pages::trade_offs::page).with_state(trade_offs.clone()))
        .route("/trade-offs/{file}", get(pages::trade_offs::file).with_state(trade_offs.clone()))
        .route("/compare", get(pages::compare::page).with_state(trade_offs.clone()))
        .route("/compare/{file}", get(pages::compare::file).with_state(trade_offs))
        .route("/experiments", get(pages::experiments::page))
        .route("/experiments/{experiment}", get(pages::experiment::page))
        .route("/experiments/{experiment}/training", get(pages::training::page))
        .route("/experiments/{experiment}/live", get(live::stream).with_state(live))
        .route("/experiments/{experiment}/tables/{file}", get(pages::downloads::table))
        .route("/experiments/{experiment}/figures/{file}", get(pages::downloads::figure))
        .route("/experiments/{experiment}/trials/{trial}", get(pages::trial::page))
        .route("/experiments/{experiment}/trials/{trial}/samples/{sample}", get(pages::sample::page))
        .route("/artifacts/{hash}", get(pages::pictures::artifact))
        .route("/differences/{original}/{reconstruction}/{kind}", get(pages::pictures::difference))
        .route("/assets/{name}", get(assets::asset))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(error::no_such_page)
        .with_state(reader)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(port, guard::guard))
}
