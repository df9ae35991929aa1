//! The dashboard in a real browser, used as a person would: by mouse, by keyboard, without a script.
//!
//! Needs `chromium` and `chromedriver`; without them every test says so and passes (`driver.rs`).

mod driver;
mod tab;

#[path = "../dashboard/fixture/mod.rs"]
mod fixture;
#[path = "../dashboard/routes.rs"]
#[allow(dead_code, reason = "other tests ask more of an address")]
mod routes;

mod choices;
mod keyboard;
mod live;
mod looks;
mod points;
mod quiet;
mod sample;
mod way;
