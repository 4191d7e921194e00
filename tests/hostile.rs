//! A reader survives any bytes, and a writer survives any damage: no crash, no hang, no endless
//! page. The mutations change each field of each record of `docs/format.md`.
#![allow(missing_docs)]

mod common;

#[path = "hostile/bytes.rs"]
mod bytes;
#[path = "hostile/check.rs"]
mod check;
#[path = "hostile/fields.rs"]
mod fields;
#[path = "hostile/scribbler.rs"]
mod scribbler;
#[path = "hostile/trial.rs"]
mod trial;
#[path = "hostile/victim.rs"]
mod victim;
#[path = "hostile/writer.rs"]
mod writer;
