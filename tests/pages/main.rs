//! Tests of pages: every format and escaping, names, several segments on one page, collectors, and
//! series as values.

mod collectors;
mod conformance;
mod formats;
mod golden;
mod join;
mod names;
mod naming;
mod points;
mod render;
