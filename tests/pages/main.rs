//! Tests of pages: every format and escaping, names, several segments on one page, and series as
//! values.

mod conformance;
mod formats;
mod golden;
mod join;
mod names;
mod naming;
mod points;
mod render;
