//! The dashboard: pages over the results store, for one person on one machine.
//!
//! Every page is made by the server from the store as it is now; links and forms are all it needs, JavaScript only adds
//! comfort. A sweep may run meanwhile: nothing is written into the store but the tags and notes of its forms. Nobody but
//! the local user or who has the token may ask (`guard.rs`), nothing from a URL is taken for more than a number, a hash,
//! one of a few words or a tag to compare with (`extract.rs`), and the browser is told to run and load nothing but the
//! files in `assets/` (`answer.rs`).
//!
//! A request passes `connections.rs` (limits of a connection), `answer.rs` (its number, mistakes, headers),
//! `revalidate.rs` (whether the browser has the answer already), `guard.rs` (who may ask) and, for what is in the store,
//! `database.rs` (whether it can be read) before its page sees it. What a form sends goes to the store through
//! `database.rs` too, and the browser back to the page that shows it.

#![forbid(unsafe_code)]

mod access;
mod added;
mod answer;
mod api;
mod assets;
mod charts;
mod connections;
mod database;
mod difference;
mod download;
mod error;
mod explore;
mod extract;
mod format;
mod guard;
mod listing;
mod live;
mod pages;
mod paging;
mod revalidate;
mod sample;
mod samples;
mod saved;
mod server;
mod tables;
mod tag_filter;
mod thin;
mod timeline;
mod training_charts;

pub use access::{Access, Token};
pub use server::{Server, WebError};

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use database::Database;
use evaluator::store::Reader;
use tokio_util::sync::CancellationToken;

type Route = (&'static str, MethodRouter<Database>);

/// The addresses of what is in the store.
fn stored() -> Vec<Route> {
    let pages = vec![
        ("/", get(pages::trade_offs::page)),
        ("/trade-offs/{file}", get(pages::trade_offs::table)),
        ("/trade-offs/figures/{file}", get(pages::trade_offs::figure)),
        ("/compare", get(pages::compare::page)),
        ("/compare/{file}", get(pages::compare::file)),
        ("/experiments", get(pages::experiments::page)),
        ("/experiments/{experiment}", get(pages::experiment::page)),
        ("/experiments/{experiment}/tags", post(pages::tags::add)),
        ("/experiments/{experiment}/tags/remove", post(pages::tags::remove)),
        ("/experiments/{experiment}/notes", post(pages::notes::add)),
        ("/experiments/{experiment}/notes/{note}/delete", post(pages::notes::delete)),
        ("/experiments/{experiment}/training", get(pages::training::page)),
        ("/experiments/{experiment}/training/{file}", get(pages::training::figure)),
        ("/experiments/{experiment}/predictors", get(pages::predictors::page)),
        ("/experiments/{experiment}/live", get(live::stream)),
        ("/experiments/{experiment}/tables/{file}", get(pages::tables::of_experiment)),
        ("/experiments/{experiment}/figures/{file}", get(pages::downloads::figure)),
        ("/experiments/{experiment}/trials/{trial}", get(pages::trial::page)),
        ("/experiments/{experiment}/trials/{trial}/notes", post(pages::notes::add_about_trial)),
        ("/experiments/{experiment}/trials/{trial}/tables/{file}", get(pages::tables::of_trial)),
        ("/experiments/{experiment}/trials/{trial}/samples/{sample}", get(pages::sample::page)),
        ("/experiments/{experiment}/trials/{trial}/samples/{sample}/{file}", get(pages::sample::figure)),
        ("/experiments/{experiment}/trials/{trial}/samples/{sample}/tables/{file}", get(pages::tables::of_sample)),
        ("/artifacts/{hash}", get(pages::pictures::artifact)),
        ("/differences/{original}/{reconstruction}/{kind}", get(pages::pictures::difference)),
    ];
    pages.into_iter().chain(api::stored().into_iter().map(api::Endpoint::route)).collect()
}

/// The addresses that answer without the store.
fn built_in() -> Vec<Route> {
    vec![("/assets/{name}", get(assets::asset)), ("/healthz", get(|| async { "ok\n" })), api::built_in().route()]
}

/// Every address, with what varies in braces.
pub fn addresses() -> Vec<&'static str> {
    stored().into_iter().chain(built_in()).map(|(address, _)| address).collect()
}

/// The dashboard over a store, for those who have access. Streams of running work end when `stopping` is cancelled.
pub fn router(reader: Reader, access: Access, stopping: CancellationToken) -> Router {
    let database = Database::new(reader, stopping);
    let add = |router: Router<Database>, (address, handler): Route| router.route(address, handler);
    let stored = stored().into_iter().fold(Router::new(), add);
    let stored = stored.route_layer(from_fn_with_state(database.clone(), database::ready));
    built_in()
        .into_iter()
        .fold(stored, add)
        .method_not_allowed_fallback(error::no_such_method)
        .fallback(error::no_such_page)
        .with_state(database)
        .layer(from_fn_with_state(Arc::new(access), guard::guard))
        .layer(from_fn(revalidate::revalidate))
        .layer(from_fn_with_state(Arc::new(answer::RequestIds::new()), answer::answer))
        .layer(revalidate::compression())
}
