//! Tests of metrics: families, label sets and their removal, each type's updates, and the API for
//! bindings of other languages.

mod bindings;
mod exemplars;
mod families;
mod memory;
mod native;
mod one_shot;
mod redefine;
mod removal;
mod scratch;
mod typed;
mod wrap;
