//! The dashboard, asked as a browser would ask it.

mod files;
mod fixture;
mod guard;
mod hostile;
mod html;
mod live;
mod pages;
mod samples;
mod server;
mod site;
mod trade_offs;
mod training;
