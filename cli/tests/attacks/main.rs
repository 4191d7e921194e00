//! Attacks on `shmetrics serve` by clients without a password and by other users of the machine,
//! and half-written files. Each test asserts what an attack must not achieve.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod configuration;
mod floods;
mod planted;
mod signals;
mod terminals;
mod units;

/// The value of a series that the page has.
#[track_caller]
fn metric(page: &str, series: &str) -> f64 {
    support::value(page, series).unwrap_or_else(|| panic!("the page has no {series}: {page}"))
}
