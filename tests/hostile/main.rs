//! A reader survives any bytes, and a writer survives any damage: no crash, no hang, no endless
//! page. The mutations change each field of each record of `docs/format.md`.

mod budget;
mod bytes;
mod check;
mod entries;
mod fields;
mod holes;
mod scribbler;
mod trial;
mod truncation;
mod writer;
