//! A reader survives any bytes, and a writer any scribbler: no crash, no hang, no page without end. The mutations are made from
//! `docs/format.md`: each field of each record, as it is documented.
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
