//! The dashboard, asked as a browser would ask it.

mod api;
mod database;
mod files;
mod fixture;
mod guard;
mod hostile;
mod html;
mod live;
mod notes;
mod pages;
mod predictors;
mod revalidate;
mod routes;
mod samples;
mod server;
mod site;
mod tags;
mod trade_offs;
mod training;
mod writing;
