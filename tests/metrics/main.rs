//! Tests of metrics: families, label sets and their removal, each type's updates, and the API for
//! bindings of other languages.

mod bindings;
mod bundles;
mod by_name;
mod exemplars;
mod families;
mod memory;
mod native;
mod redefine;
mod removal;
mod scratch;
mod typed;
mod wrap;
